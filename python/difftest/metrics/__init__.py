"""Metrics that Python computes. SSIM is native and never comes here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from difftest.errors import MetricError
from difftest.nearest import suggestion
from difftest.registry import get_registry

if TYPE_CHECKING:
    from difftest.metrics.protocol import Metric


def load(name: str) -> Metric:
    """The metric of this name, its model loaded. Raises ``MetricError`` with the nearest name."""
    if name == "clip_score":
        from difftest.metrics.clip_score import ClipScore

        return ClipScore()
    declared = get_registry().metrics
    if name not in declared:
        known = ["clip_score", *declared]
        raise MetricError(f"there is no metric `{name}`; {suggestion(name, known)}")
    from difftest.metrics.custom import CustomMetric

    return CustomMetric(declared[name])
