"""Whether what a plug-in made is a metric: said once, when it loads, by the plug-in's name."""

from __future__ import annotations

import math
from typing import Any

from difftest.errors import MetricError
from difftest.registry import CATEGORIES, DIRECTIONS

_METHODS = {"per_sample": "compute_batch", "reference": "compute_batch", "batch": "begin"}


def checked(name: str, origin: str, metric: Any) -> Any:
    """The metric itself. Raises ``MetricError`` naming what it lacks of ``difftest.metrics.protocol``."""

    def refuse(what: str) -> MetricError:
        return MetricError(f"{origin} is no metric: {what}")

    if getattr(metric, "name", None) != name:
        raise refuse(f"its name is {getattr(metric, 'name', None)!r}, not {name!r}")
    for attribute, words in (("direction", DIRECTIONS), ("category", CATEGORIES)):
        said = getattr(metric, attribute, None)
        if said not in words:
            raise refuse(f"its {attribute} is {said!r}; there is: {', '.join(words)}")
    method = _METHODS[metric.category]
    if not callable(getattr(metric, method, None)):
        raise refuse(f"of the category {metric.category}, it has no method `{method}`")
    margin = getattr(metric, "margin", None)
    if not isinstance(margin, (int, float)) or not math.isfinite(margin) or margin < 0:
        raise refuse(f"its margin is {margin!r}; a number from 0 was expected")
    # What may be left out, with the value that says nothing.
    for attribute in ("range", "weights", "min_samples"):
        if not hasattr(metric, attribute):
            try:
                setattr(metric, attribute, None)
            except (AttributeError, TypeError):
                raise refuse(f"it has no attribute `{attribute}` (None says nothing)") from None
    return metric
