"""The bank itself: every change can be made, and what is known of it fits."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from difftest.onnx_runtime import Runtime
from tests.bank import heads, truth
from tests.bank.bank import CHANGES
from tests.bank.changes import TEST_FILE, Change, Edit, Grade, Kind, materialise
from tests.bank.memory import Memory

PROMPTS = [
    "a large orange cross, top left, on a gray background",
    "a small red circle, center, on a white background",
]
SEEDS = [1, 2]


@pytest.fixture(scope="module")
def memory() -> Iterator[Memory]:
    """Most changes ask the networks what the base has asked them, and others the same networks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Runtime, "session", functools.cache(Runtime.session))
        yield Memory()


@pytest.fixture(scope="module")
def base_images(memory: Memory, tmp_path_factory: pytest.TempPathFactory) -> heads.Images:
    base = heads.load(materialise(None, tmp_path_factory.mktemp("base") / "base"))
    with memory.answering(learn=True):
        return heads.draw(base, PROMPTS, SEEDS)


def test_there_are_enough_of_each_kind_and_names_are_unique():
    kinds = [change.kind for change in CHANGES]
    assert min(kinds.count(Kind.HARMLESS), kinds.count(Kind.HARMFUL)) >= 20
    assert len({change.name for change in CHANGES}) == len(CHANGES)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.name)
def test_every_change_makes_pictures(
    change: Change, tmp_path: Path, memory: Memory, base_images: heads.Images
):
    head = materialise(change, tmp_path / "head", repetition=1)
    with memory.answering(learn=False):
        images = heads.draw(heads.load(head), PROMPTS, SEEDS)
    assert images.shape == (2, 32, 32, 3)
    assert "SEEDS = [112]" in (head / TEST_FILE).read_text()
    if change.grade is Grade.IDENTICAL:
        assert np.array_equal(images, base_images)


def test_an_edit_that_misses_is_an_error(tmp_path: Path):
    repository = materialise(None, tmp_path / "base")
    with pytest.raises(ValueError, match="0 times, not once"):
        Edit("pipeline.py", "STEPS = 11", "STEPS = 1").apply(repository)


def test_the_truth_covers_exactly_the_changes():
    known = truth.read()
    assert known["changes"].keys() == {change.name for change in CHANGES}
    assert known["margins"] == truth.margins()
    for change in CHANGES:
        effect = known["changes"][change.name]
        assert (effect["kind"], effect["grade"]) == (change.kind.value, change.grade.value)


def test_the_truth_bears_the_grades_out():
    for change in CHANGES:
        effect = truth.read()["changes"][change.name]
        if change.kind is Kind.HARMLESS:
            upper = effect["loss"]["shapes_oracle"] + 2 * effect["standard_error"]["shapes_oracle"]
            assert upper < truth.margins()["shapes_oracle"], change.name
        if change.grade is Grade.IDENTICAL:
            assert effect["differing_images"] == 0, change.name
        if change.grade in (Grade.CLEAR, Grade.GROSS):
            assert effect["seen"], change.name
