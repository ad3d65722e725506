"""Metrics of a repository for all images of a test together."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import difftest
from difftest import metrics

IMAGES = [np.full((4, 6, 3), shade, np.uint8) for shade in (10, 20)]
PROMPTS = ["dark", "less dark"]
NONE = [None, None]


@pytest.fixture(autouse=True)
def _registry() -> Iterator[None]:
    difftest.clear_registry()
    yield
    difftest.clear_registry()


def first_pixel(picture: Any) -> float:
    return float(np.asarray(picture)[0, 0, 0])


def together(target: Any, batches: int = 1, reference_dir: str | None = None, **said: Any) -> Any:
    difftest.metric("m", category="batch", **said)(target)
    metric = metrics.load("m")
    assert metric.category == "batch"
    pool = metric.begin(reference_dir)
    for _ in range(batches):
        pool.update(IMAGES, PROMPTS, NONE)
    return pool.value()


@pytest.mark.parametrize(
    "annotation",
    [
        "list[np.ndarray]",
        "Sequence[NDArray[np.uint8]]",
        "list[Image.Image]",
        "list[str]",
        "list[Path]",
    ],
)
def test_a_function_gets_all_images_of_a_test_at_once(annotation: str) -> None:
    def spread(images):  # type: ignore[no-untyped-def]
        assert isinstance(images, list)
        shades = [first_pixel(Image.open(i) if isinstance(i, (str, Path)) else i) for i in images]
        return max(shades) - min(shades) + len(shades)

    spread.__annotations__ = {"images": annotation}
    score = together(spread, batches=3)
    assert (score.value, score.samples, score.note) == (16.0, 6, None)


def test_it_may_take_the_prompts_and_the_folder_of_references() -> None:
    def share(images: list[np.ndarray], prompts: list[str], reference_dir: str | None) -> float:
        assert prompts == PROMPTS * 2
        assert reference_dir == "references"
        return len(set(prompts)) / len(prompts)

    assert together(share, batches=2, reference_dir="references").value == 0.5


def test_a_class_may_take_a_test_in_as_it_comes_and_is_new_for_each() -> None:
    class Spread:
        min_samples = 3

        def __init__(self) -> None:
            self.shades: list[float] = []

        def update(self, images: list[np.ndarray], prompts: list[str]) -> None:
            assert len(images) == len(prompts) == 2
            self.shades += [float(image.mean()) for image in images]

        def value(self) -> Any:
            return np.float32(len(self.shades))

    difftest.metric("m")(Spread)
    metric = metrics.load("m")
    assert (metric.category, metric.min_samples) == ("batch", 3), "its methods say so"
    for batches in (2, 4):
        assert together(Spread, batches).value == 2 * batches
    with pytest.raises(difftest.MetricError, match="`m` needs at least 3 images, and there are 2"):
        together(Spread, 1)


def test_a_class_with_a_batch_may_be_asked_once_for_all() -> None:
    class Count:
        category = "batch"

        def compute_batch(self, images: list[np.ndarray]) -> int:
            return len(images)

    assert together(Count, batches=5).value == 10


def test_a_batch_metric_that_breaks_names_the_line() -> None:
    def broken(images: list[np.ndarray]) -> float:
        return 1 / 0

    def odd(images: list[np.ndarray]) -> Any:
        return math.nan

    line = broken.__code__.co_firstlineno + 1
    with pytest.raises(difftest.MetricError, match=rf"on 2 images: ZeroDivisionError.*:{line}\)"):
        together(broken)
    with pytest.raises(difftest.MetricError, match="gave nan for 2 images; a finite number"):
        together(odd)
    with pytest.raises(difftest.MetricError, match="at least 1 images, and there are 0"):
        together(broken, batches=0)
