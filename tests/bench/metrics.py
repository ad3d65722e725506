"""Native metrics against the implementations that they are tested against, on one thread."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import NamedTuple

import cv2
import imagehash
import numpy as np
import timing
import torch
from PIL import Image as PillowImage
from skimage.metrics import peak_signal_noise_ratio
from torchmetrics.functional.image import multiscale_structural_similarity_index_measure

from difftest import _native

torch.set_num_threads(1)
cv2.setNumThreads(1)


class Peer(NamedTuple):
    metric: str
    name: str
    value: Callable[[], float]
    #: Times as fast as the peer.
    wanted: float
    tolerance: float


def luma(image: timing.Image) -> np.ndarray:
    return np.asarray(PillowImage.fromarray(image).convert("L"))


def peers(a: timing.Image, b: timing.Image) -> list[Peer]:
    def ms_ssim() -> float:
        tensors = [torch.from_numpy(x).permute(2, 0, 1)[None].float() for x in (a, b)]
        return float(multiscale_structural_similarity_index_measure(*tensors, data_range=255.0))

    def psnr() -> float:
        return float(peak_signal_noise_ratio(a, b, data_range=255))

    def phash() -> float:
        first, second = (imagehash.phash(PillowImage.fromarray(x)) for x in (a, b))
        return float(first - second)

    def color_histogram() -> float:
        first, second = (
            cv2.calcHist([x], [0, 1, 2], None, [8, 8, 8], [0, 256] * 3) for x in (a, b)
        )
        return float(cv2.compareHist(first, second, cv2.HISTCMP_BHATTACHARYYA))

    def edge_similarity() -> float:
        first, second = (
            np.hypot(
                cv2.Sobel(luma(x), cv2.CV_64F, 1, 0, ksize=3),
                cv2.Sobel(luma(x), cv2.CV_64F, 0, 1, ksize=3),
            ).ravel()
            for x in (a, b)
        )
        return float(first @ second / (np.linalg.norm(first) * np.linalg.norm(second)))

    def sharpness() -> float:
        return float(cv2.Laplacian(luma(a), cv2.CV_64F).var())

    return [
        Peer("ms_ssim", "torchmetrics", ms_ssim, 10, 1e-4),
        Peer("psnr", "scikit-image", psnr, 10, 1e-9),
        Peer("phash", "imagehash", phash, 10, 0),
        # Nothing is promised of these but that they are not slower.
        Peer("color_histogram", "OpenCV", color_histogram, 1, 1e-6),
        Peer("edge_similarity", "OpenCV and NumPy", edge_similarity, 1, 1e-9),
        Peer("sharpness", "OpenCV", sharpness, 1, 1e-6),
    ]


def main() -> int:
    first = timing.photograph()
    second = timing.noisy(first)
    print(f"Two {timing.SIDE}×{timing.SIDE} RGB arrays to a score, one thread, medians:")
    failed = False
    for peer in peers(first, second):

        def ours(metric: str = peer.metric) -> float:
            return _native.native_metric(metric, first, second)

        difference = abs(ours() - peer.value())
        times = timing.compare(ours, peer.value)
        value = f"values differ by {difference:.1e}"
        print(timing.line(peer.metric, peer.name, times, peer.wanted, value), flush=True)
        failed |= difference > peer.tolerance or times.ratio < peer.wanted
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
