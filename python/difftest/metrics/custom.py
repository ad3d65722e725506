"""Metrics that a repository declares with ``@difftest.metric``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from difftest.errors import MetricError
from difftest.imports import importing_from
from difftest.metrics import signature
from difftest.metrics.forms import mistaken_form, presented, temporary_folder
from difftest.prints import to_stderr
from difftest.traces import innermost, shown

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from difftest.metrics.custom_batch import CustomBatchMetric
    from difftest.registry import MetricDefinition

    Image = npt.NDArray[np.uint8]


def load(definition: MetricDefinition) -> CustomMetric | CustomBatchMetric:
    """The metric of a declaration, its class instantiated."""
    if definition.category == "batch":
        from difftest.metrics.custom_batch import CustomBatchMetric

        return CustomBatchMetric(definition)
    return CustomMetric(definition)


class Declared:
    """What a declaration says, and the function or object that it stands on."""

    def __init__(self, definition: MetricDefinition) -> None:
        self.name = definition.name
        self.direction = definition.direction
        self.category = definition.category
        self.range = definition.range
        self.margin = definition.margin
        self.weights: str | None = getattr(definition.target, "weights", None)
        self.min_samples: int | None = getattr(definition.target, "min_samples", None)
        self._folder = Path(definition.file).parent
        self._declared_at = shown(Path(definition.file), definition.line)
        self._call = signature.read(definition.name, definition.target)
        self._target: Any = definition.target

    def _instance(self) -> Any:
        """The class's own object. Raises ``MetricError`` where it cannot be made."""
        try:
            with importing_from(self._folder), to_stderr():
                return self._target()
        except Exception as broken:
            raise MetricError(
                f"the metric `{self.name}` did not load: {innermost(broken, self._declared_at)}"
            ).with_traceback(broken.__traceback__) from broken

    def _number(self, value: Any, of: str, index: int | None = None) -> float:
        """A finite number out of what the metric answered: numpy's and torch's scalars and truth values are ones."""
        try:
            score = float(value.item() if callable(getattr(value, "item", None)) else value)
        except (TypeError, ValueError, RuntimeError):
            score = math.nan
        if not math.isfinite(score):
            raise MetricError(
                f"the metric `{self.name}` ({self._declared_at}) gave {value!r} for {of}; a finite number was "
                "expected",
                index=index,
            )
        return score

    def _failed(self, broken: Exception, on: str, index: int | None = None) -> MetricError:
        hint = mistaken_form(broken, self._call.image)
        return MetricError(
            f"the metric `{self.name}` failed on {on}: {innermost(broken, self._declared_at)}{hint}",
            index=index,
        ).with_traceback(broken.__traceback__)


class CustomMetric(Declared):
    """A declared function or class that scores images, called in the form it asks for."""

    def __init__(self, definition: MetricDefinition) -> None:
        super().__init__(definition)
        self._function: Any = self._target
        if self._call.method is not None:
            self._function = getattr(self._instance(), self._call.method)

    def compute_batch(
        self,
        images: Sequence[Image],
        prompts: Sequence[str],
        references: Sequence[Image | None],
    ) -> list[float]:
        if not len(images) == len(prompts) == len(references):
            raise MetricError(
                f"the metric `{self.name}` was given {len(images)} images, {len(prompts)} prompts "
                f"and {len(references)} references; there must be as many of each"
            )
        if not images:
            return []
        if self.category == "reference":
            for index, reference in enumerate(references):
                if reference is None:
                    raise MetricError(
                        f"the metric `{self.name}` compares with a reference image, and "
                        f"{_cell(index, prompts)} has none; give the test a reference_dir",
                        index=index,
                    )
        with temporary_folder() as folder, importing_from(self._folder), to_stderr():
            taken = presented(self._call.image, images, folder / "image")
            others: dict[str, list[Any]] = {}
            if self._call.prompt is not None:
                others[self._call.prompt] = list(prompts)
            if self._call.reference is not None:
                slot = self._call.reference
                others[slot.parameter] = presented(slot, references, folder / "reference")
            if self._call.batched:
                return self._batch(taken, others, prompts)
            return [
                self._one(
                    index, image, {name: values[index] for name, values in others.items()}, prompts
                )
                for index, image in enumerate(taken)
            ]

    def _one(self, index: int, image: Any, others: dict[str, Any], prompts: Sequence[str]) -> float:
        try:
            value = self._function(image, **others)
        except Exception as broken:
            raise self._failed(broken, _cell(index, prompts), index) from broken
        return self._number(value, _cell(index, prompts), index)

    def _batch(
        self, images: list[Any], others: dict[str, list[Any]], prompts: Sequence[str]
    ) -> list[float]:
        try:
            answer = self._function(images, **others)
            values = list(answer) if isinstance(answer, Sequence) else answer.tolist()
        except Exception as broken:
            raise self._failed(broken, f"{len(images)} images") from broken
        values = values if isinstance(values, list) else [values]
        if len(values) != len(images):
            raise MetricError(
                f"the metric `{self.name}` ({self._declared_at}) gave {len(values)} scores for "
                f"{len(images)} images; one for each was expected"
            )
        return [
            self._number(value, _cell(index, prompts), index) for index, value in enumerate(values)
        ]


def _cell(index: int, prompts: Sequence[str]) -> str:
    return f"image {index + 1} of {len(prompts)} (prompt {prompts[index]!r})"
