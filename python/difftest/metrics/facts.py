"""What is known of a built-in metric before it is computed.

The one table is ``core/src/metric.rs``: the editor completes from it, the verdict takes its margins from it.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from difftest.registry import Category, Direction


@dataclass(frozen=True)
class Facts:
    """One row of the table."""

    name: str
    direction: Direction
    category: Category
    #: The smallest and largest possible score, where the metric has them.
    range: tuple[float, float] | None
    #: The loss that a reviewer would still accept, in the metric's own unit.
    margin: float
    #: Of a batch metric: fewer images than this give no score.
    min_samples: int | None


@functools.cache
def table() -> dict[str, Facts]:
    """Every built-in metric by name, native ones included."""
    from difftest import _native

    rows = json.loads(_native.builtin_metrics())
    return {
        row["name"]: Facts(
            row["name"],
            row["direction"],
            row["category"],
            tuple(row["range"]) if row.get("range") else None,
            row["margin"],
            row.get("min_samples"),
        )
        for row in rows
    }


class Stated:
    """A built-in metric that Python computes: it takes what is said of it from the table."""

    name: str

    @property
    def _facts(self) -> Facts:
        return table()[self.name]

    @property
    def direction(self) -> Direction:
        return self._facts.direction

    @property
    def category(self) -> Category:
        return self._facts.category

    @property
    def range(self) -> tuple[float, float] | None:
        return self._facts.range

    @property
    def margin(self) -> float:
        return self._facts.margin

    @property
    def min_samples(self) -> int | None:
        return self._facts.min_samples
