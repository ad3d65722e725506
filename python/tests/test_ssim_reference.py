"""The native SSIM is scikit-image's, to the last digits that matter."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from skimage.metrics import structural_similarity

from difftest import _native

Image = npt.NDArray[np.uint8]


def reference(a: Image, b: Image) -> float:
    return float(
        structural_similarity(
            a,
            b,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            channel_axis=-1,
            data_range=255,
        )
    )


def noise(seed: int, height: int, width: int) -> Image:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def smooth(height: int, width: int, phase: float) -> Image:
    y, x = np.mgrid[:height, :width]
    channels = [np.sin(x / 9 + phase * c) * np.cos(y / 7 - phase) for c in range(3)]
    return np.asarray(np.stack(channels, -1) * 127 + 128, np.uint8)


@pytest.mark.parametrize(("height", "width"), [(11, 11), (32, 32), (12, 40), (64, 48), (301, 127)])
def test_equals_scikit_image(height: int, width: int) -> None:
    a = smooth(height, width, 0.3)
    near = np.clip(a.astype(int) + noise(1, height, width) % 9 - 4, 0, 255).astype(np.uint8)
    flat = np.full_like(a, 128)
    for b in (near, smooth(height, width, 0.5), noise(2, height, width), 255 - a, flat):
        assert _native.ssim(a, b) == pytest.approx(reference(a, b), abs=1e-9)
    assert _native.ssim(flat, flat) == 1


def test_takes_arrays_that_are_not_contiguous() -> None:
    a, b = noise(3, 64, 64), noise(4, 64, 64)
    mirrored = _native.ssim(a[:, ::-1], b[:, ::-1])
    assert mirrored == pytest.approx(reference(a[:, ::-1], b[:, ::-1]), abs=1e-9)


def test_says_what_it_cannot_compare() -> None:
    with pytest.raises(ValueError, match="smaller than SSIM's window"):
        _native.ssim(noise(1, 10, 32), noise(2, 10, 32))
    with pytest.raises(ValueError, match="differ in size: 32×32 and 16×32"):
        _native.ssim(noise(1, 32, 32), noise(2, 32, 16))
