"""The Fréchet distance of two sets of features, and what it would be of infinitely many. Pure."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Features = npt.NDArray[np.floating]
Weights = npt.NDArray[np.integer]
_Floats = npt.NDArray[np.float64]

#: Sizes at which the extrapolation is fitted, and the smallest of them as a share of the whole.
_POINTS = 6
_SMALLEST = 0.5


def distance(one: Features, other: Features) -> float:
    """``|μ₁ − μ₂|² + Tr(Σ₁ + Σ₂ − 2(Σ₁Σ₂)^½)`` of features ``(N, D)`` and ``(M, D)`` (Heusel et al., 1706.08500).

    With ``A`` the centred features over ``√(N − 1)``, ``Σ = AᵀA`` and ``Tr (Σ₁Σ₂)^½`` is the sum of the singular
    values of ``A₁A₂ᵀ``: no root of a matrix, which is ill-conditioned where there are fewer images than features.
    """
    a, mean_a, trace_a = _centred(one)
    b, mean_b, trace_b = _centred(other)
    return _distance(_factor(a), _factor(b), mean_a - mean_b, trace_a + trace_b)


def at_infinity(one: Features, other: Features, seed: int = 0) -> float:
    """The intercept of the distance over 1/N: FID∞ (Chong and Forsyth, arXiv 1911.07023), of ``one``'s side.

    The distance of N images is too high by about c/N. A line through the distances of random subsets of ``one``,
    from half of it to the whole, is followed to 1/N = 0. The other set stays whole: its own bias stays in.
    """
    rng = np.random.default_rng(seed)
    b, mean_b, trace_b = _centred(other)
    factor_b = _factor(b)
    sizes = np.unique(np.linspace(max(2, len(one) * _SMALLEST), len(one), _POINTS).astype(int))
    distances = []
    for size in sizes:
        chosen = one[rng.permutation(len(one))[:size]]
        a, mean_a, trace_a = _centred(chosen)
        distances.append(_distance(_factor(a), factor_b, mean_a - mean_b, trace_a + trace_b))
    _, intercept = np.polyfit(1 / sizes, distances, 1)
    return float(intercept)


def reweighted(one: Features, other: Features, weights: Weights) -> _Floats:
    """The distance for each row of ``weights``, ``(B, N)``: how often each of ``one`` counts. ``(B,)``.

    As if every row of ``one`` were there as often as its weight says: with n = Σw, the mean is Σwx/n and the
    covariance Σw(x − μ)(x − μ)ᵀ/(n − 1). ``nan`` where n < 2. The other set is fixed.

    Of a bootstrap's weights these are too high, by about as much again as the distance of N images is: some 37% of
    the rows are left out and others are there twice, which adds no direction of its own. The difference of two sets
    of one size and spread, with the same weights, is nearly free of that. Where their spreads differ, so do their
    biases, and the difference of replicates is off by that: its spread is to be read, not its place.

    Once: ``G = X·A₂ᵀ``. A replicate weights and centres the rows of ``G``; its singular values are the roots of the
    eigenvalues of the smaller Gram matrix, off by at most 2⁻²⁶ of the largest of them.
    """
    b, mean_b, trace_b = _centred(other)
    x = one.astype(np.float64) - mean_b
    counts = weights.astype(np.float64)
    n = counts.sum(1)
    with np.errstate(divide="ignore", invalid="ignore"):
        means = counts @ x / n[:, None]
        apart = (means**2).sum(1)
        traces = (counts @ (x**2).sum(1) - n * apart) / (n - 1) + trace_b
    # Neither the covariance nor the other set sees this shift; it keeps digits.
    rows = (x - x.mean(0)) @ _factor(b).T
    wide = rows.shape[0] <= rows.shape[1]
    taken, scatter = (rows @ rows.T, _between_rows) if wide else (rows, _between_columns)
    found = np.full(len(counts), np.nan)
    for index in np.flatnonzero(n >= 2):
        eigenvalues = np.linalg.eigvalsh(scatter(taken, counts[index]))
        shared = np.sqrt(np.maximum(eigenvalues, 0)).sum()
        found[index] = max(apart[index] + traces[index] - 2 * shared, 0.0)
    return found


def _between_columns(rows: _Floats, counts: _Floats) -> _Floats:
    """The covariance of rows that count so often."""
    there, n = counts > 0, counts.sum()
    scaled = (rows[there] - counts @ rows / n) * np.sqrt(counts[there] / (n - 1))[:, None]
    covariance: _Floats = scaled.T @ scaled
    return covariance


def _between_rows(products: _Floats, counts: _Floats) -> _Floats:
    """What has the covariance's eigenvalues, but for zeros, from all rows' products with each other."""
    there, n = np.flatnonzero(counts), counts.sum()
    with_mean = products[there] @ counts / n
    of_mean = counts[there] @ with_mean / n
    centred = products[np.ix_(there, there)] - with_mean[:, None] - with_mean[None, :] + of_mean
    roots = np.sqrt(counts[there] / (n - 1))
    scaled: _Floats = centred * roots[:, None] * roots[None, :]
    return scaled


def _centred(features: Features) -> tuple[_Floats, _Floats, float]:
    exact = features.astype(np.float64)
    mean = exact.mean(0)
    scaled = (exact - mean) / np.sqrt(len(exact) - 1)
    return scaled, mean, float((scaled**2).sum())


def _factor(centred: _Floats) -> _Floats:
    """A matrix with the same ``AᵀA`` and at most ``D`` rows."""
    if len(centred) <= centred.shape[1]:
        return centred
    upper: Any = np.linalg.qr(centred, mode="r")
    factor: _Floats = upper
    return factor


def _distance(a: _Floats, b: _Floats, apart: _Floats, traces: float) -> float:
    shared = np.linalg.svd(a @ b.T, compute_uv=False).sum()
    return max(float(apart @ apart + traces - 2 * shared), 0.0)
