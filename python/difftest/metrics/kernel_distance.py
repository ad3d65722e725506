"""The kernel distance of two sets of features. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Features = npt.NDArray[np.floating]
Weights = npt.NDArray[np.integer]

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


def reweighted(
    one: Features,
    other: Features,
    weights: Weights,
    units: Sequence[str],
    largest: int = LARGEST_SUBSET,
    seed: int = 0,
) -> npt.NDArray[np.float64]:
    """The distance for each row of ``weights``, ``(B, N)``: how often each of ``one`` counts. ``(B,)``.

    ``units`` says of what each of ``one`` is an image; those of one unit must have one weight. With k the kernel, x
    of ``one``, y of ``other``, and c(i, j) = w(i)·w(j) where i and j are of two units, w(i) where they are of one::

        Σ c(i, j)·k(xᵢ, xⱼ) / Σ c(i, j)   over i ≠ j
        + the mean of k(yᵢ, yⱼ)           over i ≠ j
        − 2·Σ w(i)·k(xᵢ, yⱼ) / (M·Σ w(i)) over i and j

    That is the unbiased estimate of a set in which each unit is w times, without the pairs of two copies of one
    unit: a copy is no second observation, and its kernel with itself, the largest there is, would raise every
    replicate. As E[w] = E[w(i)·w(j)] = 1, both sums of each fraction are right on average; their ratio is off by
    O(1/N). What remains is variance: where both sets are of one distribution the first-order term is 0, and the
    spread over a bootstrap's weights is wider than that of the estimate (Arcones and Giné 1992).

    Weights of 1 give the estimate over all pairs, of which ``distance`` over random subsets is one more estimate,
    with the same mean. Of more than ``largest`` in ``other``, the pairs among themselves are those in disjoint random
    blocks of about that many: the same number in all replicates, and in all runs against that set.
    ``nan`` where no pair is left.
    """
    x, y = one.astype(np.float64), other.astype(np.float64)
    w = weights.astype(np.float64)
    own = _kernel(x, x)
    np.fill_diagonal(own, 0)
    _, unit = np.unique(np.asarray(units), return_inverse=True)
    same = unit[:, None] == unit[None, :]
    np.fill_diagonal(same, False)
    repeated = w**2 - w
    across = np.concatenate([_kernel(x, part).sum(1)[:, None] for part in _blocks(y, largest)], 1)
    n = w.sum(1)
    with np.errstate(divide="ignore", invalid="ignore"):
        weighted = ((w @ own) * w).sum(1) - repeated @ np.where(same, own, 0).sum(1)
        pairs = n**2 - (w**2).sum(1) - repeated @ same.sum(1)
        found: npt.NDArray[np.float64] = (
            weighted / pairs + _within(y, largest, seed) - 2 * (w @ across.sum(1)) / (n * len(y))
        )
    return found


def _within(y: Features, largest: int, seed: int) -> float:
    """The mean kernel of two different ones, in blocks."""
    total, pairs = 0.0, 0
    mixed = np.random.default_rng(seed).permutation(len(y))
    for part in _blocks(y[mixed], largest):
        k = _kernel(part, part)
        total += float(k.sum() - np.trace(k))
        pairs += len(part) * (len(part) - 1)
    return total / pairs


def _blocks(rows: Features, largest: int) -> list[Features]:
    return np.array_split(rows, -(-len(rows) // largest))


def _kernel(a: Features, b: Features) -> Features:
    values: Features = (a @ b.T / a.shape[1] + 1) ** 3
    return values


def _estimate(one: Features, other: Features) -> float:
    x, y = one.astype(np.float64), other.astype(np.float64)
    n = len(x)
    own = sum(float(k.sum() - np.trace(k)) for k in (_kernel(x, x), _kernel(y, y)))
    return float(own / (n * (n - 1)) - 2 * _kernel(x, y).sum() / n**2)
