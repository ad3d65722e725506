"""Every example of docs/writing-tests.md, collected and run as a reader would have it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

import difftest
from difftest import _bridge, _native
from difftest.recipe import Recipe

if TYPE_CHECKING:
    from conftest import Repository

PAGE = Path(__file__).parents[2] / "docs" / "writing-tests.md"
BLOCK = re.compile(r"^```(python|toml|yaml|text)\n# (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def page(repository: Repository) -> Repository:
    text = PAGE.read_text(encoding="utf-8")
    blocks = BLOCK.findall(text)
    assert len(blocks) == text.count("```") // 2, "every block names its file in its first line"
    for _, path, source in blocks:
        assert not (repository.root / path).exists(), f"{path} is there twice"
        repository.write(path, source)
    return repository


def test_every_example_is_collected(page: Repository) -> None:
    tests, errors = page.collect()
    assert errors == []
    assert [test["id"].split("::")[1] for test in tests] == [
        "test_background_is_bright",
        "test_triangle_looks_the_same",
        "test_every_size_and_color",
        "test_two_of_them",
        "test_red_circle",
        "test_the_whole_suite",
        "test_what_the_model_was_never_shown",
        "test_prompts_of_your_own",
        "test_one_prompt_a_line",
        "test_one_metric_one_number",
        "test_some_of_several",
    ]


def test_the_templates_of_the_examples_expand_as_the_page_says(page: Repository) -> None:
    tests, _ = page.collect()
    by_name = {test["id"].split("::")[1]: test for test in tests}

    def expanded(name: str) -> list[str]:
        test = by_name[name]
        return [
            text
            for prompt in test["prompts"]
            for text in _native.expand(prompt, test["variables"], test["combine"])
        ]

    end = "circle, center, on a white background"
    assert expanded("test_every_size_and_color") == [
        f"a {size} {color} {end}" for size in ("small", "large") for color in ("red", "blue")
    ]
    assert expanded("test_two_of_them") == [f"a small red {end}", f"a large blue {end}"]
    assert len(expanded("test_prompts_of_your_own")) == 4
    assert len(expanded("test_one_prompt_a_line")) == 2


def test_every_suite_is_on_the_page() -> None:
    table = re.findall(r"^\| (`.*?) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    named = [name for row in table for name in re.findall(r"`(\w+)`", row)]
    assert sorted(named) == difftest.list_suites()


def test_the_metrics_of_the_examples_score(page: Repository) -> None:
    page.collect()
    blue = np.zeros((4, 4, 3), np.uint8)
    blue[:2, :, 2] = 255
    for name, expected in (("blue_share", 0.5), ("blue_error", 0.0), ("long_prompt_share", 1.0)):
        metric = _bridge.load_metric(name)
        assert metric.compute_batch(
            [blue], ["a prompt of more than forty letters, I say"], [blue]
        ) == [expected]


def test_the_generator_without_a_model_draws(page: Repository) -> None:
    (image,) = page.generator("gradient:draw").generate([Recipe("anything", 3)])
    assert image.shape == (32, 32, 3)


def test_the_generator_and_the_body_of_the_examples_work_together(page: Repository) -> None:
    tests, _ = page.collect()
    generator = page.generator("pipeline:make")
    for test in tests:
        _bridge.run_body(test["id"], generator)


def test_the_page_is_of_a_pages_length() -> None:
    assert len(PAGE.read_text(encoding="utf-8").splitlines()) < 280
