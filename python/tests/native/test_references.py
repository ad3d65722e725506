"""Each native metric gives the value that its reference implementation gives."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import imagehash
import numpy as np
import pytest
from PIL import Image as PillowImage
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from difftest import _native
from python.tests.native.pictures import Image, Pair, luma, natural, synthetic

PAIRS = natural() + synthetic()


def differences(
    metric: str,
    reference: Callable[[Image, Image], float],
    pairs: list[Pair],
) -> dict[str, tuple[float, float]]:
    """What the metric and its reference say of each pair."""
    return {
        name: (_native.native_metric(metric, a, b), float(reference(a, b))) for name, a, b in pairs
    }


def assert_close(values: dict[str, tuple[float, float]], tolerance: float) -> None:
    assert len(values) > 50
    worst = max(values, key=lambda name: abs(values[name][0] - values[name][1]))
    ours, theirs = values[worst]
    assert abs(ours - theirs) <= tolerance, f"{worst}: {ours}, and the reference {theirs}"


def test_ssim_is_scikit_images() -> None:
    """Wanted is 1e-4; the worst of these pairs is at 3e-7."""

    def reference(a: Image, b: Image) -> float:
        return structural_similarity(
            a,
            b,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            channel_axis=-1,
            data_range=255,
        )

    large_enough = [pair for pair in PAIRS if min(pair[1].shape[:2]) >= 11]
    assert_close(differences("ssim", reference, large_enough), 2e-6)


def test_psnr_is_scikit_images_up_to_its_cap() -> None:
    def reference(a: Image, b: Image) -> float:
        if np.array_equal(a, b):
            return 100.0
        return min(peak_signal_noise_ratio(a, b, data_range=255), 100.0)

    assert_close(differences("psnr", reference, PAIRS), 1e-9)


def hash_of(image: Image) -> imagehash.ImageHash:
    return imagehash.phash(PillowImage.fromarray(image))


def hash_rows_first(image: Image) -> imagehash.ImageHash:
    """Pillow 13 resizes tall images down their columns first, and rounds differently by that.
    Earlier ones, and difftest, always begin along the rows; asked for one axis after the other,
    every version does."""
    grey = PillowImage.fromarray(image).convert("L")
    for size in [(32, grey.height), (32, 32)]:
        grey = grey.resize(size, PillowImage.Resampling.LANCZOS)
    return imagehash.phash(grey)


def test_phash_is_imagehashs() -> None:
    """Bit by bit, but for checks that come out as 127 and 128 everywhere: coefficients that tie but
    for rounding have no median that two ways of adding agree on."""
    values = differences("phash", lambda a, b: hash_rows_first(a) - hash_rows_first(b), PAIRS)
    apart = [name for name, (ours, theirs) in values.items() if ours != theirs]
    assert len(values) > 150
    assert apart in ([], ["checks 127×301"])


def test_phash_is_any_pillows_but_for_a_bit_of_a_tall_image() -> None:
    tall = [
        (f"{name}, upright", *[np.ascontiguousarray(image.swapaxes(0, 1)) for image in (a, b)])
        for name, a, b in natural()
    ]
    values = differences("phash", lambda a, b: hash_of(a) - hash_of(b), natural() + tall)
    assert_close({name: value for name, value in values.items() if "upright" not in name}, 0)
    assert_close({name: value for name, value in values.items() if "upright" in name}, 2)


def test_color_histogram_is_opencvs() -> None:
    def reference(a: Image, b: Image) -> float:
        histograms = [
            cv2.calcHist([image], [0, 1, 2], None, [8, 8, 8], [0, 256] * 3) for image in (a, b)
        ]
        return cv2.compareHist(histograms[0], histograms[1], cv2.HISTCMP_BHATTACHARYYA)

    # OpenCV takes the root of a difference near 0: equal histograms are 1e-8 apart there.
    assert_close(differences("color_histogram", reference, PAIRS), 1e-7)


def test_edge_similarity_is_the_cosine_of_opencvs_sobel_magnitudes() -> None:
    def magnitudes(image: Image) -> np.ndarray:
        plane = luma(image)
        across = cv2.Sobel(plane, cv2.CV_64F, 1, 0, ksize=3)
        return np.hypot(across, cv2.Sobel(plane, cv2.CV_64F, 0, 1, ksize=3)).ravel()

    def reference(a: Image, b: Image) -> float:
        a_edges, b_edges = magnitudes(a), magnitudes(b)
        lengths = np.linalg.norm(a_edges), np.linalg.norm(b_edges)
        if not any(lengths):
            return 1.0
        return float(a_edges @ b_edges / np.prod(lengths)) if all(lengths) else 0.0

    assert_close(differences("edge_similarity", reference, PAIRS), 1e-9)


def test_sharpness_is_the_variance_of_opencvs_laplacian() -> None:
    for name, a, _ in PAIRS:
        expected = cv2.Laplacian(luma(a), cv2.CV_64F).var()
        assert _native.native_metric("sharpness", a) == pytest.approx(expected, rel=1e-12), name


def test_arrays_need_not_be_contiguous() -> None:
    _, a, b = natural()[1]
    mirrored = _native.native_metric("ssim", a[:, ::-1], b[:, ::-1])
    copied = [np.ascontiguousarray(image[:, ::-1]) for image in (a, b)]
    assert mirrored == _native.ssim(*copied)
