"""Metrics that a repository declares for all images of a test together: ``@difftest.metric(..., category="batch")``."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from difftest.errors import MetricError
from difftest.imports import importing_from
from difftest.metrics import forms, signature
from difftest.metrics.custom import Declared
from difftest.metrics.protocol import BatchScore
from difftest.prints import to_stderr

if TYPE_CHECKING:
    from difftest.metrics.protocol import Accumulator, Image
    from difftest.registry import MetricDefinition


class CustomBatchMetric(Declared):
    """A declared function, or a class, that answers one number for a test.

    A function and ``compute_batch`` get all images at once; a class with ``update`` and ``value`` gets them batch by
    batch, and is made anew for every test.
    """

    def __init__(self, definition: MetricDefinition) -> None:
        super().__init__(definition)
        self._function: Any = self._target
        if self._call.method is not None and not self._call.streamed:
            self._function = getattr(self._instance(), self._call.method)

    def begin(self, reference_dir: str | None) -> Accumulator:
        if self._call.streamed:
            return _Stream(self, self._instance(), reference_dir)
        return _Gathered(self, self._function, reference_dir)

    def check_count(self, count: int) -> None:
        """Raises ``MetricError`` below the minimum that the class states, and where nothing came."""
        least = max(self.min_samples or 1, 1)
        if count < least:
            raise MetricError(
                f"the metric `{self.name}` needs at least {least} images, and there are {count}; give the test "
                "more prompts or seeds"
            )

    def call(
        self,
        function: Any,
        images: Sequence[Image],
        prompts: Sequence[str],
        references: Sequence[Image | None],
        reference_dir: str | None,
        folder: Path,
    ) -> Any:
        """Call the metric's function with what its parameters ask for, in the form they ask for."""
        with importing_from(self._folder), to_stderr():
            taken = forms.presented(self._call.image, images, folder / "image")
            others: dict[str, Any] = {}
            if self._call.prompt is not None:
                others[self._call.prompt] = list(prompts)
            slot = self._call.reference
            if slot is not None and slot.parameter == signature.REFERENCE_DIR:
                others[slot.parameter] = reference_dir
            elif slot is not None:
                others[slot.parameter] = forms.presented(slot, references, folder / "reference")
            try:
                return function(taken, **others)
            except Exception as broken:
                raise self._failed(broken, f"{len(images)} images") from broken

    def score(self, value: Any, count: int) -> BatchScore:
        return BatchScore(self._number(value, f"{count} images"), count)

    def value_of(self, instance: Any, count: int) -> Any:
        """What the streaming class's ``value`` answers."""
        try:
            with importing_from(self._folder), to_stderr():
                return instance.value()
        except Exception as broken:
            raise self._failed(broken, f"{count} images") from broken


class _Stream:
    """A test whose images the metric's own object takes in."""

    def __init__(self, metric: CustomBatchMetric, instance: Any, reference_dir: str | None) -> None:
        self._metric, self._instance, self._reference_dir = metric, instance, reference_dir
        self._count = 0

    def update(
        self,
        images: Sequence[Image],
        prompts: Sequence[str],
        references: Sequence[Image | None],
    ) -> None:
        self._count += len(images)
        with forms.temporary_folder() as folder:
            self._metric.call(
                self._instance.update, images, prompts, references, self._reference_dir, folder
            )

    def value(self) -> BatchScore:
        self._metric.check_count(self._count)
        return self._metric.score(self._metric.value_of(self._instance, self._count), self._count)


class _Gathered:
    """A test whose images wait on disk until the last has come: a function wants them all at once."""

    def __init__(self, metric: CustomBatchMetric, function: Any, reference_dir: str | None) -> None:
        self._metric, self._function, self._reference_dir = metric, function, reference_dir
        # Removed with the accumulator.
        self._folder = tempfile.TemporaryDirectory(prefix="difftest-")
        self._prompts: list[str] = []
        self._has_reference: list[bool] = []

    def update(
        self,
        images: Sequence[Image],
        prompts: Sequence[str],
        references: Sequence[Image | None],
    ) -> None:
        import numpy as np

        for image, prompt, reference in zip(images, prompts, references, strict=True):
            index = len(self._prompts)
            np.save(self._file("image", index), image)
            if reference is not None:
                np.save(self._file("reference", index), reference)
            self._prompts.append(prompt)
            self._has_reference.append(reference is not None)

    def value(self) -> BatchScore:
        import numpy as np

        count = len(self._prompts)
        self._metric.check_count(count)
        images = [np.load(self._file("image", index)) for index in range(count)]
        references = [
            np.load(self._file("reference", index)) if known else None
            for index, known in enumerate(self._has_reference)
        ]
        answer = self._metric.call(
            self._function,
            images,
            self._prompts,
            references,
            self._reference_dir,
            Path(self._folder.name),
        )
        return self._metric.score(answer, count)

    def _file(self, what: str, index: int) -> Path:
        return Path(self._folder.name) / f"{what}-{index}.npy"
