"""Metrics of installed distributions: entry points of the group `difftest.metrics`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from difftest import MetricError, metrics

METRIC = """
    class Brightness:
        name = "brightness"
        direction = "higher_is_better"
        category = "per_sample"
        range = (0.0, 255.0)
        margin = 5.0
        weights = None
        min_samples = None

        def compute_batch(self, images, prompts, references):
            return [float(image.mean()) for image in images]
"""
IMAGES = [np.full((4, 4, 3), 10, np.uint8)]


def test_an_installed_metric_is_found_by_its_name(distribution: Any) -> None:
    distribution("bright", {"difftest.metrics": {"brightness": "bright:Brightness"}}, bright=METRIC)
    metric = metrics.load("brightness")
    assert metric.compute_batch(IMAGES, ["p"], [None]) == [10.0]
    assert (metric.direction, metric.margin, metric.weights) == ("higher_is_better", 5.0, None)


def test_what_says_nothing_may_be_left_out(distribution: Any) -> None:
    lines = [line for line in METRIC.splitlines() if "weights" not in line and "min_s" not in line]
    distribution(
        "bright",
        {"difftest.metrics": {"brightness": "bright:Brightness"}},
        bright="\n".join(lines),
    )
    metric = metrics.load("brightness")
    assert (metric.weights, metric.min_samples) == (None, None)


def test_a_misspelt_name_is_told_the_installed_one(distribution: Any) -> None:
    distribution("bright", {"difftest.metrics": {"brightness": "bright:Brightness"}}, bright=METRIC)
    with pytest.raises(MetricError, match="no metric `brightnes`; did you mean `brightness`"):
        metrics.load("brightnes")
    with pytest.raises(MetricError, match="no metric `sim`; did you mean `ssim`"):
        metrics.load("sim")


@pytest.mark.parametrize(
    ("module", "said"),
    [
        ("raise OSError('no licence')", "cannot be loaded: OSError: no licence"),
        ("import no_such_thing", "cannot be loaded: ModuleNotFoundError"),
        ("def Brightness(): raise OSError('no card')", "did not load: OSError: no card"),
        ("def Brightness(): return 3", "is no metric: its name is None, not 'brightness'"),
        (METRIC.replace('"brightness"', '"dark"'), "its name is 'dark', not 'brightness'"),
        (METRIC.replace("higher_is", "greater_is"), "its direction is 'greater_is_better'"),
        (METRIC.replace("per_sample", "each"), "its category is 'each'"),
        (METRIC.replace("per_sample", "batch"), "of the category batch, it has no method `begin`"),
        (METRIC.replace("compute_batch", "score"), "it has no method `compute_batch`"),
        (METRIC.replace("5.0", "-1"), "its margin is -1; a number from 0"),
    ],
)
def test_a_broken_plug_in_is_named_by_its_distribution(
    distribution: Any, module: str, said: str
) -> None:
    distribution("bright", {"difftest.metrics": {"brightness": "bright:Brightness"}}, bright=module)
    with pytest.raises(MetricError, match=rf"`brightness` of bright 1\.0 .*{said}"):
        metrics.load("brightness")


def test_two_distributions_with_one_name_are_both_named(distribution: Any) -> None:
    distribution("bright", {"difftest.metrics": {"brightness": "bright:Brightness"}}, bright=METRIC)
    distribution("other", {"difftest.metrics": {"brightness": "other:make"}}, other="")
    with pytest.raises(MetricError, match=r"claimed twice, by bright 1\.0 .* and other 1\.0"):
        metrics.load("brightness")


def test_other_names_look_for_no_plug_in(distribution: Any, monkeypatch: Any) -> None:
    import importlib.metadata

    def looked(*_: Any, **__: Any) -> Any:
        raise AssertionError("entry points were read")

    monkeypatch.setattr(importlib.metadata, "entry_points", looked)
    assert metrics.load("shapes_oracle").name == "shapes_oracle"
    with pytest.raises(AssertionError, match="were read"):
        metrics.load("brightness")
