"""What the decorators have declared in this process so far."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from difftest.errors import ConfigurationError
from difftest.traces import shown

Direction = Literal["higher_is_better", "lower_is_better"]
Category = Literal["per_sample", "reference", "batch"]
Combine = Literal["product", "zip"]

DIRECTIONS: tuple[Direction, ...] = ("higher_is_better", "lower_is_better")
CATEGORIES: tuple[Category, ...] = ("per_sample", "reference", "batch")
COMBINES: tuple[Combine, ...] = ("product", "zip")

#: The attribute under which a decorated function carries its definition.
ATTRIBUTE = "__difftest__"


@dataclass(frozen=True)
class Quality:
    """``@difftest.test``: metrics on generated images."""

    metrics: tuple[str, ...]
    #: Only the metrics that have one.
    thresholds: Mapping[str, float]
    reference_dir: str | None


@dataclass(frozen=True)
class VisualRegression:
    """``@difftest.visual_regression``: images against a stored baseline."""

    baseline_dir: str
    ssim_threshold: float


@dataclass(frozen=True)
class TestDefinition:
    """A decorated function, before discovery has given it an id."""

    __test__ = False  # pytest takes classes named Test* for its own

    name: str
    function: Callable[..., Any]
    kind: Quality | VisualRegression
    #: Templates: those of the prompt suite first, then the explicit ones.
    prompts: tuple[str, ...]
    variables: Mapping[str, tuple[str, ...]]
    #: How the values of several variables come together in one prompt.
    combine: Combine
    negative_prompt: str | None
    seeds: tuple[int, ...]
    #: Its name, or the path that was given.
    suite: str | None
    #: Absolute path of the file, and the decorator's own line in it, counted from 1.
    file: str
    line: int


@dataclass(frozen=True)
class MetricDefinition:
    """A function or class under ``@difftest.metric``."""

    name: str
    target: Callable[..., Any]
    direction: Direction
    category: Category
    #: The smallest and largest possible score, where the metric has them.
    range: tuple[float, float] | None
    #: The loss that a reviewer would still accept, in the metric's own unit.
    margin: float
    file: str
    line: int


@dataclass
class Registry:
    """Tests in the order of their declaration, metrics by name."""

    tests: list[TestDefinition] = field(default_factory=list)
    metrics: dict[str, MetricDefinition] = field(default_factory=dict)

    def add_metric(self, metric: MetricDefinition) -> None:
        """A metric declared again by the same file replaces itself: that file was imported twice."""
        known = self.metrics.get(metric.name)
        if known is not None and known.file != metric.file:
            raise ConfigurationError(
                f"the metric `{metric.name}` is declared twice: at "
                f"{shown(Path(known.file), known.line)} and at "
                f"{shown(Path(metric.file), metric.line)}; rename one of them"
            )
        self.metrics[metric.name] = metric


_registry = Registry()


def get_registry() -> Registry:
    """The registry of this process."""
    return _registry


def clear_registry() -> None:
    """Forget every test and every metric that was declared so far."""
    _registry.tests.clear()
    _registry.metrics.clear()
