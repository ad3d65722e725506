"""``difftest.verdict``: the product's statistics from Python."""

from __future__ import annotations

import doctest
import math

import numpy as np
import pytest

from difftest import verdict


def scores(n: int, loss: float, noise: float = 0.01) -> tuple[list[float], list[float], list[str]]:
    rng = np.random.default_rng(7)
    base = rng.uniform(0.4, 0.6, n)
    head = base - loss + rng.normal(0, noise, n)
    return list(base), list(head), [f"prompt {i}" for i in range(n)]


@pytest.mark.parametrize(
    ("loss", "decision"),
    [(0.1, "regressed"), (0.0, "pass"), (-0.1, "improved"), (0.02, "inconclusive")],
)
def test_a_loss_a_gain_and_no_change_are_told_apart(loss: float, decision: str) -> None:
    base, head, prompts = scores(200, loss)
    found = verdict.paired(base, head, prompts, margin=0.02, range=(0, 1))
    assert found.decision == decision, found
    assert found.estimate == pytest.approx(-loss, abs=0.005)
    assert found.lower is not None
    assert found.upper is not None
    assert found.lower < -loss < found.upper
    # A distance, of which less is better, is the mirror image.
    mirrored = [-b for b in base], [-h for h in head]
    other = verdict.paired(
        *mirrored, prompts, margin=0.02, direction="lower_is_better", range=(-1, 0)
    )
    assert other.decision == decision
    assert other.estimate == pytest.approx(found.estimate)


def test_a_known_maximum_has_boundaries_of_its_own() -> None:
    base, head, prompts = scores(200, 0.1)
    found = verdict.paired(
        base,
        head,
        prompts,
        margin=0.02,
        method="group-sequential",
        planned=200,
        looks=[50, 100, 200],
    )
    assert found.decision == "regressed"
    # Jennison and Turnbull 2000, one-sided 0.025 by five looks, O'Brien-Fleming type spending.
    five = verdict.boundaries([0.2, 0.4, 0.6, 0.8, 1.0], alpha=0.025)
    assert five == pytest.approx([4.877, 3.357, 2.680, 2.290, 2.031], abs=0.02)


def test_a_sequence_is_looked_at_as_often_as_one_likes() -> None:
    sequence = verdict.Sequence(0.02, bound=1.0)
    assert sequence.interval() is None
    decided = None
    for unit in range(200):
        sequence.push([-0.3, -0.25])
        if sequence.evidence().regressed():
            decided = unit + 1
            break
    assert decided is not None
    assert decided < 40
    evidence = sequence.evidence()
    assert evidence.units == decided
    assert not evidence.passes()
    assert evidence.mean == pytest.approx(-0.275)
    for broken in [[math.nan], [math.inf], [1.5], []]:
        with pytest.raises(ValueError, match=r"difference|image"):
            sequence.push(broken)
    assert sequence.evidence() == evidence


def test_welch_is_scipys_by_hand() -> None:
    # Two samples of Welch 1947's kind, worked by hand: means 3 and 5, variances 2.5 and 10, 5 values each.
    found = verdict.welch([1, 2, 3, 4, 5], [1, 3, 5, 7, 9])
    assert found is not None
    assert found.estimate == pytest.approx(2.0)
    assert found.standard_error == pytest.approx(math.sqrt(2.5))
    assert found.t == pytest.approx(2 / math.sqrt(2.5))
    assert found.df == pytest.approx(2.5**2 / (0.5**2 / 4 + 2.0**2 / 4))
    assert found.d == pytest.approx(2 / math.sqrt(6.25))
    assert 0.2 < found.p < 0.3
    assert verdict.welch([1.0], [2.0, 3.0]) is None


def test_many_claims_are_weighed_together() -> None:
    assert verdict.e_bh([math.log(40), 0.0]) == [True, False]
    assert verdict.e_bh([math.log(20), 0.0]) == [False, False]
    assert verdict.e_bh([math.log(20), math.log(20)]) == [True, True]


def test_models_are_ranked_with_their_uncertainty() -> None:
    rng = np.random.default_rng(3)
    prompts = [f"p{i}" for i in range(60)]
    common = rng.normal(0, 1, 60)
    of = {
        "worst": {p: c - 2 for p, c in zip(prompts, common, strict=True)},
        "best": {p: c + 2 for p, c in zip(prompts, common, strict=True)},
        "like it": {
            p: c + 2 + e for p, c, e in zip(prompts, common, rng.normal(0, 1, 60), strict=True)
        },
    }
    found = verdict.rank(of)
    assert list(found)[-1] == "worst"
    assert found["worst"].rank_lower == 3
    assert found["best"].rank_upper == 2
    assert found["best"].p_best + found["like it"].p_best == pytest.approx(1.0)


def test_a_mistake_names_what_was_given() -> None:
    with pytest.raises(ValueError, match="have 1, 2 and 1 entries"):
        verdict.paired([1.0], [1.0, 2.0], ["p"], margin=0.1)
    with pytest.raises(ValueError, match="`alpha` is 2"):
        verdict.paired([1.0], [1.0], ["p"], margin=0.1, alpha=2)
    with pytest.raises(ValueError, match="`margin` is -1"):
        verdict.Sequence(-1.0)
    with pytest.raises(ValueError, match="have to increase"):
        verdict.boundaries([0.5, 0.4])
    found = verdict.paired([math.nan], [1.0], ["the prompt"], margin=0.1)
    assert found.decision == "error"
    assert "the prompt" in found.sentence


def test_the_example_of_the_module_is_true() -> None:
    assert doctest.testmod(verdict).failed == 0
    assert doctest.testmod(verdict).attempted > 0
