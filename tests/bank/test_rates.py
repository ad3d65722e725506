"""What a bench says of its outcomes."""

from __future__ import annotations

import pytest

from tests.bank.bench import outcome
from tests.bank.rates import Bench, Outcome, Rate

TRUTH = {
    "margins": {"clip_score": 0.02, "shapes_oracle": 0.01},
    "changes": {
        name: {
            "kind": kind,
            "grade": grade,
            "loss": {"clip_score": loss, "shapes_oracle": loss},
            "standard_error": {"clip_score": 0.001, "shapes_oracle": 0.002},
            "worse_images": loss,
            "seen": loss > 0.02,
        }
        for name, kind, grade, loss in (
            ("comments", "harmless", "identical", 0.0),
            ("steps-1", "harmful", "gross", 0.4),
            ("shift-1", "harmful", "faint", 0.004),
        )
    },
}


def said(change: str, decision: str, images: int = 100) -> Outcome:
    return Outcome(change, 0, decision, images, images // 2, 1.0, "because")


def bench(*outcomes: Outcome) -> Bench:
    return Bench(outcomes, TRUTH, full_images=400)


def test_a_good_bench_has_nothing_to_complain_of():
    good = bench(said("comments", "pass"), said("steps-1", "regressed"), said("shift-1", "pass"))
    assert good.failures() == []
    assert (good.detected, good.false_alarms) == (Rate(1, 1), Rate(0, 1))
    assert "passed: shift-1, repetition 0: pass after 50 pairs" in good.report()
    assert "harmless                            100      25%" in good.report()


def test_a_false_alarm_a_miss_and_a_broken_comparison_each_miss_a_target():
    assert "1 false alarms" in bench(said("comments", "regressed")).failures()[0]
    assert "detected 0.0%, wanted 95%" in bench(said("steps-1", "inconclusive")).failures()
    assert "1 comparisons gave no verdict" in bench(said("shift-1", "error")).failures()
    report = bench(said("steps-1", "inconclusive")).report()
    assert "MISSED: steps-1" in report
    assert "shapes_oracle +0.4000 ± 0.0020 (margin 0.01)" in report


def test_a_harmful_change_that_the_oracle_does_not_see_is_no_miss():
    assert bench(said("shift-1", "inconclusive")).failures() == []


@pytest.mark.parametrize(
    ("rate", "low", "high"), [(Rate(0, 10), 0.0, 0.2775), (Rate(9, 10), 0.5958, 0.9821)]
)
def test_intervals_are_those_of_the_literature(rate: Rate, low: float, high: float):
    """Values of R's `binom.confint(…, method = "wilson")`."""
    assert rate.interval() == pytest.approx((low, high), abs=2e-4)


def test_an_outcome_is_read_from_a_comparison():
    test = {"decision": "regressed", "sentences": ["worse by 0.1", "and so on"], "pairs": 40}
    comparison = {
        "decision": "regressed",
        "tests": [test, {"decision": "pass", "sentences": ["fine"], "pairs": 4}],
        "notes": ["unequal conditions"],
        "base": {"images": 48},
        "head": {"images": 44},
    }
    read = outcome("steps-1", 2, comparison, 1.23)
    assert read == Outcome(
        "steps-1", 2, "regressed", 92, 44, 1.2, "worse by 0.1; unequal conditions"
    )
    assert outcome("steps-1", 2, {**comparison, "base": None}, 1.0).images == 44
