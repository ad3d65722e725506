"""The one table of metrics, and what the native ones say of what they cannot score."""

from __future__ import annotations

import json

import numpy as np
import pytest

from difftest import _native
from python.tests.native.pictures import waves

NATIVE = [
    "ssim",
    "ms_ssim",
    "psnr",
    "phash",
    "color_histogram",
    "edge_similarity",
    "sharpness",
    "centering",
    "white_background",
    "single_object",
    "blank_image",
]


def test_the_table_has_every_metric_with_its_facts() -> None:
    table = {metric["name"]: metric for metric in json.loads(_native.builtin_metrics())}
    assert list(table)[: len(NATIVE)] == NATIVE
    assert table["clip_score"]["category"] == "per_sample"
    assert table["lpips"]["direction"] == "lower_is_better"
    assert table["psnr"]["range"] == [0.0, 100.0]
    assert table["fid"]["min_samples"]
    assert table["kid"]["min_samples"]
    assert table["fid"]["range"] is None
    for metric in table.values():
        assert metric["meaning"]
        assert metric["source"]
        assert metric["margin"] > 0


@pytest.mark.parametrize("name", NATIVE)
def test_every_native_metric_scores(name: str) -> None:
    a, b = waves(200, 180, 0.3), waves(200, 180, 0.5)
    assert np.isfinite(_native.native_metric(name, a, b))


def test_what_cannot_be_scored_is_said() -> None:
    small, thin = waves(32, 32, 0.1), waves(10, 32, 0.1)
    with pytest.raises(ValueError, match=r"32×10 pixels is too small for ssim: .* 11 pixels"):
        _native.native_metric("ssim", thin, thin)
    with pytest.raises(ValueError, match="differ in size: 32×32 and 32×10"):
        _native.ssim(small, thin)
    with pytest.raises(ValueError, match="psnr compares an image with a reference image"):
        _native.native_metric("psnr", small)
    with pytest.raises(ValueError, match='called "sharpnes"; did you mean "sharpness"'):
        _native.native_metric("sharpnes", small)
    with pytest.raises(ValueError, match=r'4 channels: Image\.convert\("RGB"\)'):
        _native.native_metric("sharpness", np.zeros((8, 8, 4), np.uint8))
    with pytest.raises(ValueError, match="0×4 pixels has no pixels"):
        _native.native_metric("sharpness", np.zeros((4, 0, 3), np.uint8))
