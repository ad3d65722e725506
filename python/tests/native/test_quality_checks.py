"""The quality checks are what their formulas say, with NumPy's and SciPy's own parts."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from scipy import ndimage

from difftest import _native
from python.tests.native.pictures import Image, natural, synthetic

PICTURES = [(name, image) for name, image, _ in natural() + synthetic()]
PICTURES += [(f"other of {name}", image) for name, _, image in synthetic()]


def band(image: Image, width: int) -> npt.NDArray[np.uint8]:
    """The pixels less than `width` from an edge."""
    inside = np.zeros(image.shape[:2], bool)
    inside[
        width : max(width, image.shape[0] - width), width : max(width, image.shape[1] - width)
    ] = 1
    return image[~inside]


def foreground(image: Image) -> npt.NDArray[np.bool_]:
    """More than 32 levels from the lower median of the border, in some channel."""
    border = np.sort(band(image, 1), axis=0)
    background = border[(len(border) - 1) // 2]
    return np.asarray((np.abs(image.astype(int) - background) > 32).any(-1))


def centering(image: Image) -> float:
    shown = foreground(image)
    if not shown.any():
        return 0.0
    middle = (np.array(shown.shape) - 1) / 2
    offset = np.array(ndimage.center_of_mass(shown)) - middle
    shares = np.divide(offset, middle, out=np.zeros(2), where=middle > 0)
    return float(1 - np.hypot(*shares) / np.sqrt(2))


def single_object(image: Image) -> float:
    shown = foreground(image)
    labels, _ = ndimage.label(shown, structure=np.ones((3, 3)))
    sizes = np.bincount(labels.ravel())[1:]
    sizes = sizes[sizes >= np.ceil(shown.size / 1000)]
    return float(sizes.max() / sizes.sum()) if len(sizes) else 0.0


def white_background(image: Image) -> float:
    width = max(1, min(image.shape[:2]) // 16)
    return float((band(image, width) >= 240).all(-1).mean())


def blank_image(image: Image) -> float:
    return float(min(1.0, image.reshape(-1, 3).std(axis=0).max() / 16))


@pytest.mark.parametrize("check", [centering, single_object, white_background, blank_image])
def test_the_check_is_its_formula(check: Callable[[Image], float]) -> None:
    seen = set()
    for name, image in PICTURES:
        score = _native.native_metric(check.__name__, image)
        assert score == pytest.approx(check(image), abs=1e-9), name
        assert 0 <= score <= 1
        seen.add(round(score, 6))
    assert len(seen) > 5, "these pictures do not tell this check from a constant"
