"""The prompt suites that come with difftest."""

from __future__ import annotations

import difflib
import itertools
import json
import re
from collections import Counter
from pathlib import Path

import jsonschema
import pytest

import difftest
from difftest import suites
from difftest.suites.listing import listing

FOLDER = Path(suites.__file__).parent
SCHEMA = json.loads((FOLDER / "schema" / "suite.json").read_text(encoding="utf-8"))
NAMES = [
    "abstract",
    "animals",
    "architecture",
    "composition",
    "food",
    "general",
    "hands",
    "medical",
    "portraits",
    "shapes",
    "styles",
    "text",
]


def words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower()))


def test_the_suites_are_the_ones_that_are_documented() -> None:
    assert difftest.list_suites() == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_suite_is_as_the_schema_says(name: str) -> None:
    content = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(SCHEMA).validate(content)
    ids = [prompt["id"] for prompt in content["prompts"]]
    assert len(set(ids)) == len(ids)
    assert all(prompt_id.startswith(f"{name}/") for prompt_id in ids)


def test_the_schema_refuses_what_is_not_a_suite() -> None:
    good = {"id": "a/b", "prompt": "a red circle", "tags": ["color"], "notes": "n" * 40 + "."}
    suite = {"model": None, "description": "d" * 40 + ".", "prompts": []}
    for changed in (
        {"tags": ["colour"]},
        {"tags": []},
        {"notes": ""},
        {"prompt": "a {color} circle"},
        {"id": "Two Words"},
        {"weight": 2},
    ):
        prompts = [{**good, "id": f"a/b{n}"} for n in range(9)] + [{**good, **changed}]
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**suite, "prompts": prompts}, SCHEMA)
    enough = [{**good, "id": f"a/b{n}"} for n in range(10)]
    jsonschema.validate({**suite, "prompts": enough}, SCHEMA)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**suite, "prompts": enough[1:]}, SCHEMA)


def test_every_tag_of_the_schema_is_used() -> None:
    allowed = SCHEMA["properties"]["prompts"]["items"]["properties"]["tags"]["items"]["enum"]
    used = {tag for name in NAMES for p in difftest.get_suite(name).prompts for tag in p.tags}
    assert used == set(allowed)
    assert allowed == sorted(allowed)


def test_no_prompt_is_there_twice_or_nearly() -> None:
    """Two prompts of nearly the same words find out the same, unless they are a pair on purpose."""
    prompts = [p for name in NAMES if name != "shapes" for p in difftest.get_suite(name).prompts]
    assert len({p.text.lower() for p in prompts}) == len(prompts)
    assert len({p.notes for p in prompts}) == len(prompts)
    alike = []
    for one, other in itertools.combinations(prompts, 2):
        mine, theirs = words(one.text), words(other.text)
        if len(mine & theirs) / len(mine | theirs) < 0.5:
            continue
        if difflib.SequenceMatcher(None, one.text, other.text).ratio() > 0.75:
            alike.append((one.id, other.id))
    assert alike == [
        ("abstract/pure-black", "abstract/pure-white"),
        ("composition/dog-left-cat-right", "composition/cat-left-dog-right"),
        ("text/clock-ten-past-ten", "text/clock-half-past-four"),
    ]


def test_a_suite_exposes_more_than_one_thing() -> None:
    """A suite in which one tag is on every prompt tests one failure over and over."""
    for name in NAMES:
        prompts = difftest.get_suite(name).prompts
        assert 16 <= len(prompts) <= 30, name
        counts = Counter(tag for prompt in prompts for tag in prompt.tags)
        assert len(counts) >= 8, name
        if name != "shapes":
            # What the suite is about.
            del counts["style"], counts["spelling"], counts["count"], counts["face"]
        assert all(count <= 0.7 * len(prompts) for count in counts.values()), (name, counts)


def test_an_unknown_suite_names_the_nearest() -> None:
    with pytest.raises(difftest.ConfigurationError, match="`shaeps`; did you mean `shapes`"):
        difftest.get_suite("shaeps")


def test_prompts_are_chosen_by_their_tag() -> None:
    suite = difftest.get_suite("shapes")
    assert 0 < len(suite.tagged("unseen-pair")) < len(suite.prompts)
    with pytest.raises(difftest.ConfigurationError, match="no tag `colour`; did you mean `color`"):
        suite.tagged("colour")


def test_the_listing_shows_every_suite_and_every_prompt() -> None:
    every = listing(None).splitlines()
    assert [line.split()[0] for line in every[: len(NAMES)]] == NAMES
    one = listing("hands")
    for prompt in difftest.get_suite("hands").prompts:
        assert f"{prompt.id}  [{', '.join(prompt.tags)}]\n  {prompt.text}\n  {prompt.notes}" in one


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
    for attribute, allowed in world.ATTRIBUTES.items():
        assert {getattr(scene, attribute) for scene in seen} == set(allowed), attribute
