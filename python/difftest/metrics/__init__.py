"""Metrics that Python computes. The native ones never come here."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from difftest import plugins
from difftest.errors import MetricError
from difftest.nearest import suggestion
from difftest.registry import get_registry

if TYPE_CHECKING:
    from difftest.metrics.protocol import BatchMetric, ImageMetric

#: By name: the class, in the module of the metric's own name.
BUILTIN = {
    "clip_score": "ClipScore",
    "image_reward": "ImageReward",
    "aesthetic_score": "AestheticScore",
    "pick_score": "PickScore",
    "geneval": "GenEval",
    "shapes_oracle": "ShapesOracle",
    "vlm_judge": "VlmJudge",
    "lpips": "Lpips",
    "dreamsim": "DreamSim",
    "fid": "Fid",
    "kid": "Kid",
}


def load(name: str, device: str | None = None) -> ImageMetric | BatchMetric:
    """The metric of this name, its model loaded. Raises ``MetricError`` with the nearest name.

    ``device`` is torch's name of where its network computes; ``None`` is the first GPU, else the CPU.
    """
    if name in BUILTIN:
        module: Any = importlib.import_module(f"difftest.metrics.{name}")
        made: ImageMetric | BatchMetric = getattr(module, BUILTIN[name])(device=device)
        return made
    declared = get_registry().metrics
    if name in declared:
        from difftest.metrics import custom

        return custom.load(declared[name])
    entry = plugins.find(plugins.METRICS, name, own=known(), error=MetricError)
    if entry is None:
        every = {*known(), *plugins.names(plugins.METRICS)}
        raise MetricError(f"there is no metric `{name}`; {suggestion(name, every)}")
    return _of_plugin(name, plugins.origin(entry), plugins.load(entry, error=MetricError))


def known() -> list[str]:
    """The names that need no plug-in: difftest's own, native ones included, and the repository's."""
    from difftest.metrics.facts import table

    return [*table(), *get_registry().metrics]


def _of_plugin(name: str, origin: str, factory: Any) -> ImageMetric | BatchMetric:
    """What the plug-in makes, if it is a metric by the protocol."""
    from difftest.metrics import plugin_check
    from difftest.traces import describe

    try:
        metric = factory()
    except MetricError:
        raise
    except Exception as broken:
        raise MetricError(f"{origin} did not load: {describe(broken)}") from broken
    checked: ImageMetric | BatchMetric = plugin_check.checked(name, origin, metric)
    return checked
