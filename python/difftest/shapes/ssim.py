"""Structural similarity (Wang et al. 2004) of small images, for the tables of this model.

Luminance (ITU-R BT.601), uniform 7 x 7 windows that lie wholly inside the image, population
variances. The engine has its own, faster one; this one keeps ``evaluate`` free of it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_WINDOW = 7
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


def ssim(first: npt.ArrayLike, second: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Mean SSIM of each pair of ``(N, H, W, 3)`` RGB images, 0..255: ``(N,)`` in -1..1."""
    a, b = (np.asarray(images, np.float64) @ (0.299, 0.587, 0.114) for images in (first, second))
    mean_a, mean_b = _local_mean(a), _local_mean(b)
    variance_a = _local_mean(a * a) - mean_a**2
    variance_b = _local_mean(b * b) - mean_b**2
    covariance = _local_mean(a * b) - mean_a * mean_b
    similarity = ((2 * mean_a * mean_b + _C1) * (2 * covariance + _C2)) / (
        (mean_a**2 + mean_b**2 + _C1) * (variance_a + variance_b + _C2)
    )
    means: npt.NDArray[np.float64] = similarity.mean((1, 2))
    return means


def _local_mean(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    windows = np.lib.stride_tricks.sliding_window_view(values, (_WINDOW, _WINDOW), axis=(1, 2))
    means: npt.NDArray[np.float64] = windows.mean((3, 4))
    return means
