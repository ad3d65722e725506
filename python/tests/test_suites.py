"""The prompt suites that come with difftest."""

from __future__ import annotations

import pytest

import difftest


def test_suites_are_listed_and_read() -> None:
    assert "shapes" in difftest.list_suites()
    for name in difftest.list_suites():
        suite = difftest.get_suite(name)
        assert len({prompt.id for prompt in suite.prompts}) == len(suite.prompts)
        assert len(set(suite.texts)) == len(suite.texts)
        assert all(prompt.id.startswith(f"{name}/") for prompt in suite.prompts)
        assert all(prompt.tags and prompt.notes.endswith(".") for prompt in suite.prompts)


def test_an_unknown_suite_names_the_nearest() -> None:
    with pytest.raises(difftest.ConfigurationError, match="`shaeps`; did you mean `shapes`"):
        difftest.get_suite("shaeps")


def test_prompts_are_chosen_by_their_tag() -> None:
    suite = difftest.get_suite("shapes")
    assert 0 < len(suite.tagged("unseen-pair")) < len(suite.prompts)
    with pytest.raises(difftest.ConfigurationError, match="no tag `colour`; did you mean `color`"):
        suite.tagged("colour")


def test_the_shapes_suite_keeps_to_the_world_of_shapes() -> None:
    world = pytest.importorskip("difftest.shapes.world")
    suite = difftest.get_suite("shapes")
    assert len(suite.prompts) >= 24
    seen = []
    for prompt in suite.prompts:
        scene = world.parse_caption(prompt.text)
        assert world.caption(scene) == prompt.text
        unseen = (scene.color, scene.shape) in world.UNSEEN_PAIRS
        expected = "unseen-pair" if unseen else "trained" if scene in world.TRAIN else "held-out"
        assert expected in prompt.tags
        seen.append(scene)
    for attribute, words in world.ATTRIBUTES.items():
        assert {getattr(scene, attribute) for scene in seen} == set(words), attribute
