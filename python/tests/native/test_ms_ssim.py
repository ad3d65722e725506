"""The native multi-scale SSIM is torchmetrics', in 64-bit floats."""

from __future__ import annotations

import pytest

from difftest import _native
from python.tests.native.pictures import Image, changed, photographs, waves

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("torch_required")]


def reference(a: Image, b: Image) -> float:
    import torch
    from torchmetrics.functional.image import multiscale_structural_similarity_index_measure

    tensors = [torch.from_numpy(image).permute(2, 0, 1)[None].double() for image in (a, b)]
    return float(multiscale_structural_similarity_index_measure(*tensors, data_range=255.0))


def test_equals_torchmetrics_on_photographs() -> None:
    for name, image in photographs():
        odd = image[: 2 * 133 + 1, : 2 * 140 + 1]
        for change, other in changed(odd):
            value = _native.native_metric("ms_ssim", odd, other)
            assert value == pytest.approx(reference(odd, other), abs=5e-6), f"{name}, {change}"


@pytest.mark.parametrize(("height", "width"), [(176, 176), (177, 351), (200, 183)])
def test_equals_torchmetrics_on_drawn_pictures(height: int, width: int) -> None:
    a = waves(height, width, 0.3)
    for b in (waves(height, width, 0.5), 255 - a, a * 0 + 128, a // 128 * 255):
        assert _native.native_metric("ms_ssim", a, b) == pytest.approx(reference(a, b), abs=5e-6)


def test_both_refuse_what_has_no_fifth_scale() -> None:
    a = waves(175, 300, 0.3)
    with pytest.raises(ValueError, match="300×175 pixels is too small for ms_ssim"):
        _native.native_metric("ms_ssim", a, a)
    with pytest.raises(ValueError, match="kernel"):
        reference(a, a)
