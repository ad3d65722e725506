"""GenEval's rules, case by case as the authors' program decides them."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from difftest.metrics.detector import OBJECTS
from difftest.metrics.geneval_judge import Detection, judge, kept, relations
from difftest.metrics.geneval_prompt import Request, parse_prompt


def found(
    name: str, score: float = 0.95, x: float = 50, y: float = 50, side: float = 20
) -> Detection:
    half = side / 2
    return Detection(name, score, (x - half, y - half, x + half, y + half))


def asked(prompt: str) -> Request:
    request = parse_prompt(f"a photo of {prompt}", OBJECTS)
    assert request is not None
    return request


def no_colors(objects: Sequence[Detection]) -> Sequence[str]:
    raise AssertionError("no colour was asked for")


def holds(prompt: str, detections: list[Detection], colors: dict[str, str] | None = None) -> bool:
    named = colors or {}
    look = (lambda objects: [named[one.object] for one in objects]) if named else no_colors
    correct, wrong = judge(asked(prompt), detections, look)
    assert correct == (not wrong)
    return correct


def test_one_object_is_there_or_not() -> None:
    assert holds("a bench", [found("bench", 0.31), found("dog")])
    assert not holds("a bench", [found("bench", 0.29), found("dog")])
    assert not holds("a bench", [])


def test_two_objects_must_both_be_there() -> None:
    assert holds("a bench and a dog", [found("dog"), found("bench")])
    assert not holds("a bench and a dog", [found("dog"), found("dog")])


def test_a_count_is_exact_and_only_sure_detections_count() -> None:
    three = [found("dog"), found("dog"), found("dog")]
    assert holds("three dogs", three)
    assert not holds("three dogs", three[:2])
    assert not holds("three dogs", [*three, found("dog")])
    assert holds("three dogs", [*three, found("dog", 0.85)]), "below the threshold of counting"


def test_a_colour_is_asked_of_the_surest_alone() -> None:
    request = asked("a red cup")
    seen: list[list[float]] = []

    def colors(objects: Sequence[Detection]) -> Sequence[str]:
        seen.append([one.score for one in objects])
        return ["red" if one.score > 0.9 else "blue" for one in objects]

    assert judge(request, [found("cup", 0.5), found("cup", 0.95)], colors) == (True, [])
    correct, wrong = judge(request, [found("cup", 0.8)], colors)
    assert not correct
    assert wrong == ["expected red cup >= 1, found 0 of ['blue']"]
    assert seen == [[0.95], [0.8]]


def test_colours_belong_to_their_objects() -> None:
    both = [found("cup"), found("dog")]
    assert holds("a red cup and a blue dog", both, {"cup": "red", "dog": "blue"})
    assert not holds("a red cup and a blue dog", both, {"cup": "blue", "dog": "red"})


@pytest.mark.parametrize(
    ("x", "y", "where"),
    [
        (0, 50, {"left of"}),
        (100, 50, {"right of"}),
        (50, 0, {"above"}),
        (50, 100, {"below"}),
        (0, 0, {"left of", "above"}),
        (100, 100, {"right of", "below"}),
        (53, 50, set()),
        (50, 50, set()),
    ],
)
def test_where_one_lies_seen_from_another(x: float, y: float, where: set[str]) -> None:
    assert relations(found("cup", x=x, y=y), found("dog")) == where


def test_a_place_is_relative_to_an_object_that_is_there() -> None:
    dog, left, right = found("dog"), found("cup", x=0), found("cup", x=100)
    assert holds("a cup left of a dog", [dog, left])
    assert not holds("a cup left of a dog", [dog, right])
    assert not holds("a cup left of a dog", [left])
    correct, wrong = judge(asked("a cup left of a dog"), [dog, right], no_colors)
    assert (correct, wrong) == (False, ["expected cup left of target, found right of target"])


def test_at_most_sixteen_of_a_class_are_looked_at() -> None:
    many = [found("dog", 0.9 + index / 1000) for index in range(20)]
    assert len(kept(many, "single_object")["dog"]) == 16
    assert kept(many, "single_object")["dog"][0].score == max(one.score for one in many)
