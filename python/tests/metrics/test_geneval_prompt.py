"""What a GenEval prompt asks for: the benchmark's JSONL schema, and its sentences."""

from __future__ import annotations

import json
from typing import Any

import pytest

from difftest import ConfigurationError
from difftest.metrics.detector import OBJECTS
from difftest.metrics.geneval_prompt import Request, Requirement, parse_lines, parse_prompt

#: As the benchmark's create_prompts.py writes them, one of every tag.
LINES: list[dict[str, Any]] = [
    {
        "tag": "single_object",
        "include": [{"class": "bench", "count": 1}],
        "prompt": "a photo of a bench",
    },
    {
        "tag": "two_object",
        "include": [{"class": "tie", "count": 1}, {"class": "hot dog", "count": 1}],
        "prompt": "a photo of a tie and a hot dog",
    },
    {
        "tag": "counting",
        "include": [{"class": "bus", "count": 3}],
        "exclude": [{"class": "bus", "count": 4}],
        "prompt": "a photo of three buses",
    },
    {
        "tag": "colors",
        "include": [{"class": "orange", "count": 1, "color": "purple"}],
        "prompt": "a photo of a purple orange",
    },
    {
        "tag": "position",
        "include": [
            {"class": "dining table", "count": 1},
            {"class": "tv", "count": 1, "position": ["left of", 0]},
        ],
        "prompt": "a photo of a tv left of a dining table",
    },
    {
        "tag": "color_attr",
        "include": [
            {"class": "umbrella", "count": 1, "color": "orange"},
            {"class": "skis", "count": 1, "color": "red"},
        ],
        "prompt": "a photo of an orange umbrella and a red skis",
    },
]


def parsed(lines: list[Any]) -> dict[str, Request]:
    return parse_lines("\n".join(map(json.dumps, lines)) + "\n\n", "prompts.jsonl", OBJECTS)


@pytest.mark.parametrize("line", LINES, ids=[line["tag"] for line in LINES])
def test_a_line_and_its_own_sentence_ask_for_the_same(line: dict[str, Any]) -> None:
    (from_file,) = parsed([line]).values()
    assert parse_prompt(line["prompt"], OBJECTS) == from_file
    assert from_file.tag == line["tag"]


def test_what_a_line_asks_for() -> None:
    requests = parsed(LINES)
    counted = requests["a photo of three buses"]
    assert counted.include == (Requirement("bus", 3),)
    assert counted.exclude == (Requirement("bus", 4),)
    placed = requests["a photo of a tv left of a dining table"]
    assert placed.include[1] == Requirement("tv", 1, None, ("left of", 0))
    assert requests["a photo of a purple orange"].include[0].color == "purple"


@pytest.mark.parametrize(
    ("prompt", "tag"),
    [
        ("A photo of an orange.", "single_object"),
        ("a photo of an orange and a banana", "two_object"),
        ("a photo of an orange orange", "colors"),
        ("a photo of a cup above an orange", "position"),
        ("a photo of four skises", "counting"),
        ("a photo of a computer keyboard", "single_object"),
    ],
)
def test_sentences_with_their_own_traps(prompt: str, tag: str) -> None:
    found = parse_prompt(prompt, OBJECTS)
    assert found is not None
    assert found.tag == tag


@pytest.mark.parametrize(
    "prompt",
    [
        "a large red circle, center, on a white background",
        "a photo of a unicorn",
        "a photo of bench",
        "a photo of a red",
        "a photo of eleven dogs",
        "a photo of a dog beside a cat",
        "",
    ],
)
def test_any_other_text_asks_for_nothing(prompt: str) -> None:
    assert parse_prompt(prompt, OBJECTS) is None


BENCH = LINES[0]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ([1], "is no object"),
        ({"tag": "colors", "prompt": "p"}, "`include` is missing"),
        ({**BENCH, "tag": "colours"}, "the tag is 'colours'; did you mean `colors`"),
        ({**BENCH, "excludes": []}, "the key `excludes` is not known; did you mean `exclude`"),
        ({**BENCH, "prompt": ""}, "`prompt` is ''"),
        ({**BENCH, "include": {}}, r"`include` is \{\}; a list"),
        ({**BENCH, "include": []}, "neither includes nor excludes"),
        (
            {**BENCH, "include": [{"class": "banch", "count": 1}]},
            "the detector knows no 'banch'; did you mean `bench`",
        ),
        ({**BENCH, "include": [{"class": "bench"}]}, "`count` is missing"),
        ({**BENCH, "include": [{"class": "bench", "count": 0}]}, "the count of 'bench' is 0"),
        ({**BENCH, "include": [{"class": "bench", "count": True}]}, "the count of 'bench' is True"),
        (
            {**BENCH, "include": [{"class": "bench", "count": 1, "color": "grey"}]},
            "the color is 'grey'; did you mean `green`",
        ),
        (
            {**BENCH, "include": [{"class": "bench", "count": 1, "position": ["left of", 0]}]},
            "the index of an earlier thing",
        ),
        (
            {**BENCH, "include": [{"class": "bench", "count": 1, "position": "left"}]},
            "the position is 'left'; one of left of, right of, above, below",
        ),
    ],
)
def test_a_line_that_is_wrong_is_named(line: Any, said: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"^prompts\.jsonl:2: .*{said}"):
        parsed([BENCH, line])


def test_a_line_that_is_no_json_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"^f:1: "):
        parse_lines("{", "f", OBJECTS)
