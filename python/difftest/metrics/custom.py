"""Metrics that a repository declares with ``@difftest.metric``."""

from __future__ import annotations

import contextlib
import math
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from difftest.errors import MetricError
from difftest.imports import importing_from
from difftest.metrics import signature
from difftest.metrics.signature import Slot
from difftest.prints import to_stderr
from difftest.traces import innermost, shown

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from difftest.registry import MetricDefinition

    Image = npt.NDArray[np.uint8]


class CustomMetric:
    """A declared function or class, called in the form it asks for."""

    def __init__(self, definition: MetricDefinition) -> None:
        self.name = definition.name
        self.direction = definition.direction
        self.category = definition.category
        self.range = definition.range
        self.margin = definition.margin
        self._folder = Path(definition.file).parent
        self._declared_at = shown(Path(definition.file), definition.line)
        self._call = signature.read(definition.name, definition.target)
        self._function: Any = definition.target
        if self._call.method is not None:
            try:
                with importing_from(self._folder):
                    self._function = getattr(definition.target(), self._call.method)
            except Exception as broken:
                raise MetricError(
                    f"the metric `{self.name}` did not load: {innermost(broken, self._declared_at)}"
                ).with_traceback(broken.__traceback__) from broken

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
        with _files() as folder, importing_from(self._folder), to_stderr():
            taken = _present(self._call.image, images, folder / "image")
            others: dict[str, list[Any]] = {}
            if self._call.prompt is not None:
                others[self._call.prompt] = list(prompts)
            if self._call.reference is not None:
                slot = self._call.reference
                others[slot.parameter] = _present(slot, references, folder / "reference")
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
            raise MetricError(
                f"the metric `{self.name}` failed on {_cell(index, prompts)}: "
                f"{innermost(broken, self._declared_at)}",
                index=index,
            ).with_traceback(broken.__traceback__) from broken
        return self._score(value, index, prompts)

    def _batch(
        self, images: list[Any], others: dict[str, list[Any]], prompts: Sequence[str]
    ) -> list[float]:
        try:
            answer = self._function(images, **others)
            values = list(answer) if isinstance(answer, Sequence) else answer.tolist()
        except Exception as broken:
            raise MetricError(
                f"the metric `{self.name}` failed on {len(images)} images: "
                f"{innermost(broken, self._declared_at)}"
            ).with_traceback(broken.__traceback__) from broken
        values = values if isinstance(values, list) else [values]
        if len(values) != len(images):
            raise MetricError(
                f"the metric `{self.name}` ({self._declared_at}) gave {len(values)} scores for "
                f"{len(images)} images; one for each was expected"
            )
        return [self._score(value, index, prompts) for index, value in enumerate(values)]

    def _score(self, value: Any, index: int, prompts: Sequence[str]) -> float:
        try:
            score = float(value)
        except (TypeError, ValueError):
            score = math.nan
        if not math.isfinite(score):
            raise MetricError(
                f"the metric `{self.name}` ({self._declared_at}) gave {value!r} for "
                f"{_cell(index, prompts)}; a finite number was expected",
                index=index,
            )
        return score


def _cell(index: int, prompts: Sequence[str]) -> str:
    return f"image {index + 1} of {len(prompts)} (prompt {prompts[index]!r})"


@contextlib.contextmanager
def _files() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="difftest-") as folder:
        yield Path(folder)


def _present(slot: Slot, images: Sequence[Image | None], stem: Path) -> list[Any]:
    """The images in the form a metric asks for; what it does to them stays its own."""
    if slot.form == "array":
        return [None if image is None else image.copy() for image in images]
    from PIL import Image as Pil

    pictures = [None if image is None else Pil.fromarray(image) for image in images]
    if slot.form == "pil":
        return pictures
    paths: list[Path | None] = []
    for index, picture in enumerate(pictures):
        path = stem.with_name(f"{stem.name}-{index}.png")
        if picture is not None:
            picture.save(path)
        paths.append(None if picture is None else path)
    return paths
