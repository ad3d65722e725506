"""The pure parts of FID and KID against closed forms, scipy, and draws whose answer is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from difftest.metrics import frechet, kernel_distance


def features(count: int, width: int, seed: int, shift: float = 0.0) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    mixed = rng.normal(0, 1, (count, width)) @ np.random.default_rng(99).normal(
        0, 1, (width, width)
    )
    return (mixed + shift).astype(np.float32)


@pytest.mark.parametrize(
    ("n", "m", "width"), [(300, 200, 8), (64, 80, 16), (20, 200, 48), (9, 12, 64)]
)
def test_the_frechet_distance_is_that_of_its_definition(n: int, m: int, width: int) -> None:
    linalg = pytest.importorskip("scipy.linalg", reason="scipy is in the development environment")
    one, other = features(n, width, 1).astype(float), features(m, width, 2, shift=0.5).astype(float)
    first, second = np.cov(one, rowvar=False), np.cov(other, rowvar=False)
    # Over the symmetric form, whose root exists where there are fewer images than features too.
    half = linalg.sqrtm(first).real
    root = linalg.sqrtm(half @ second @ half).real
    apart = one.mean(0) - other.mean(0)
    expected = apart @ apart + np.trace(first) + np.trace(second) - 2 * np.trace(root)
    assert frechet.distance(one, other) == pytest.approx(expected, rel=1e-4)


def test_the_frechet_distance_of_a_set_to_itself_is_zero() -> None:
    one = features(100, 16, 1)
    assert frechet.distance(one, one) == pytest.approx(0, abs=1e-6)
    assert frechet.distance(one, one + 2) == pytest.approx(4 * 16, rel=1e-5), "the means alone"


def test_its_bias_falls_with_the_count_and_the_extrapolation_is_nearer_the_truth() -> None:
    """Two draws of one distribution: the true distance is 0."""
    reference = features(4000, 24, 1)
    biased = [frechet.distance(features(n, 24, 2), reference) for n in (60, 120, 480)]
    assert biased[0] > 1.7 * biased[1] > 3 * biased[2] > 0
    nearer = [abs(frechet.at_infinity(features(120, 24, seed), reference)) for seed in range(5)]
    assert np.mean(nearer) < 0.4 * biased[1]


def test_the_kernel_distance_of_two_small_sets_is_that_of_its_definition() -> None:
    x, y = (features(5, 3, seed).astype(float) for seed in (1, 2))

    def k(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
        return float((a @ b / 3 + 1) ** 3)

    own = sum(k(s[i], s[j]) for s in (x, y) for i in range(5) for j in range(5) if i != j) / (5 * 4)
    across = sum(k(a, b) for a in x for b in y) / 25
    value, error = kernel_distance.distance(x, y)
    assert value == pytest.approx(own - 2 * across)
    assert math.isnan(error), "one estimate has no spread"


def test_the_kernel_distance_is_unbiased() -> None:
    """Of draws of one distribution it scatters around 0, at any count."""
    values = [
        kernel_distance.distance(features(40, 8, seed), features(40, 8, seed + 500))[0]
        for seed in range(200)
    ]
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(200)
    assert min(values) < 0 < max(values)
    apart = kernel_distance.distance(features(40, 8, 1), features(40, 8, 2, shift=1.0))[0]
    assert apart > np.mean(values) + 2 * np.std(values)


def test_subsets_are_drawn_where_a_set_is_larger_and_always_the_same_ones() -> None:
    one, other = features(300, 8, 1), features(200, 8, 2)
    value, error = kernel_distance.distance(one, other, subsets=20, largest=100)
    assert (value, error) == kernel_distance.distance(one, other, subsets=20, largest=100)
    assert error > 0
    whole = kernel_distance.distance(one, other, subsets=20)[0]
    assert value == pytest.approx(whole, abs=6 * error)
