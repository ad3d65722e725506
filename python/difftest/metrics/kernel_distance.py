"""The kernel distance of two sets of features. Pure."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Features = npt.NDArray[np.floating]

SUBSETS = 100
LARGEST_SUBSET = 1000


def distance(
    one: Features,
    other: Features,
    subsets: int = SUBSETS,
    largest: int = LARGEST_SUBSET,
    seed: int = 0,
) -> tuple[float, float]:
    """The squared maximum mean discrepancy under ``(x·y/D + 1)³``, and its standard error over the subsets.

    Bińkowski et al., arXiv 1801.01401: the unbiased estimate on ``subsets`` random subsets of at most ``largest``
    features, averaged; it may be below 0. Where both sets are one subset there is nothing to draw: the one estimate
    is exact, and its error is not known (``nan``).
    """
    size = min(len(one), len(other), largest)
    if size == len(one) == len(other):
        return _estimate(one, other), float("nan")
    rng = np.random.default_rng(seed)
    drawn = [
        _estimate(
            one[rng.choice(len(one), size, replace=False)],
            other[rng.choice(len(other), size, replace=False)],
        )
        for _ in range(subsets)
    ]
    return float(np.mean(drawn)), float(np.std(drawn, ddof=1) / np.sqrt(subsets))


def _estimate(one: Features, other: Features) -> float:
    x, y = one.astype(np.float64), other.astype(np.float64)
    n, width = x.shape

    def kernel(a: Features, b: Features) -> Features:
        values: Features = (a @ b.T / width + 1) ** 3
        return values

    own = sum(float(k.sum() - np.trace(k)) for k in (kernel(x, x), kernel(y, y)))
    return float(own / (n * (n - 1)) - 2 * kernel(x, y).sum() / n**2)
