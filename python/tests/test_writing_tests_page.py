"""Every example of docs/writing-tests.md, collected and run as a reader would have it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from difftest import _bridge

if TYPE_CHECKING:
    from conftest import Repository

PAGE = Path(__file__).parents[2] / "docs" / "writing-tests.md"
BLOCK = re.compile(r"^```(python|toml)\n# (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


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
        "test_the_whole_suite",
        "test_what_the_model_was_never_shown",
        "test_red_circle",
        "test_one_metric_one_number",
        "test_some_of_several",
    ]


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
    (image,) = page.generator("gradient:draw").generate(["anything"], [3], [None])
    assert image.shape == (32, 32, 3)


def test_the_generator_and_the_body_of_the_examples_work_together(page: Repository) -> None:
    tests, _ = page.collect()
    generator = page.generator("pipeline:make")
    for test in tests:
        _bridge.run_body(test["id"], generator)


def test_the_page_is_of_a_pages_length() -> None:
    assert len(PAGE.read_text(encoding="utf-8").splitlines()) < 220
