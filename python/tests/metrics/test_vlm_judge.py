"""The slot for a vision language model's judgement."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from difftest import ConfigurationError, MetricError, metrics
from difftest.metrics import vlm_judge

IMAGES = [np.zeros((4, 4, 3), np.uint8), np.full((4, 4, 3), 255, np.uint8)]
PROMPTS, NONE = ["dark", "bright"], [None, None]


@pytest.fixture(autouse=True)
def _no_judge() -> Iterator[None]:
    vlm_judge.forget()
    yield
    vlm_judge.forget()


def test_without_a_judge_it_says_how_to_bring_one() -> None:
    with pytest.raises(
        ConfigurationError,
        match=r"vlm_judge has no judge: .*vlm_judge\.register.*`difftest\.judges`",
    ):
        metrics.load("vlm_judge")


def test_a_registered_judge_is_asked() -> None:
    @vlm_judge.register
    def judge(images: Any, prompts: Any) -> list[float]:
        return [float(image.mean() > 100) for image in images]

    metric = metrics.load("vlm_judge")
    assert metric.compute_batch(IMAGES, PROMPTS, NONE) == [0.0, 1.0]
    assert (metric.category, metric.range, metric.weights) == ("per_sample", (0.0, 1.0), None)
    assert judge(IMAGES, PROMPTS) == [0.0, 1.0], "it stays callable"


def test_a_judge_says_which_version_it_is() -> None:
    class Judge:
        weights = "sha256:ab"

        def __call__(self, images: Any, prompts: Any) -> list[float]:
            return [0.5] * len(images)

    vlm_judge.register(Judge())
    assert metrics.load("vlm_judge").weights == "sha256:ab"


def test_an_installed_judge_is_found_and_two_are_too_many(distribution: Any) -> None:
    distribution(
        "judge-one",
        {"difftest.judges": {"one": "judge_one:judge"}},
        judge_one="def judge(images, prompts): return [0.25] * len(images)",
    )
    assert metrics.load("vlm_judge").compute_batch(IMAGES, PROMPTS, NONE) == [0.25, 0.25]
    distribution(
        "judge-two", {"difftest.judges": {"two": "judge_two:judge"}}, judge_two="judge = 3"
    )
    with pytest.raises(ConfigurationError, match="2 judges to choose from, one, two"):
        metrics.load("vlm_judge")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ([0.5], "gave 1 scores for 2 images"),
        ([0.5, 1.5], r"gave 1\.5 for image 2 of 2 \(prompt 'bright'\); a number from 0 to 1"),
        ([0.5, float("nan")], "gave nan for image 2"),
        ("ab", "vlm_judge failed: ValueError"),
    ],
)
def test_an_answer_that_cannot_be_used_is_named(answer: Any, said: str) -> None:
    vlm_judge.register(lambda images, prompts: answer)
    with pytest.raises(MetricError, match=said):
        metrics.load("vlm_judge").compute_batch(IMAGES, PROMPTS, NONE)


def test_what_is_no_judge_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="the judge is 3; a callable"):
        vlm_judge.register(3)  # type: ignore[type-var]
