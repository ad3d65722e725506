"""The images of one test on their way to one score: kept as features, never as images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from difftest.errors import MetricError
from difftest.metrics import faults
from difftest.metrics.facts import Stated
from difftest.metrics.protocol import BatchScore

if TYPE_CHECKING:
    from difftest.metrics.backbone import Features, Image
    from difftest.metrics.inception import Inception

EXTRA = "fid"


class InceptionMetric(Stated):
    """A batch metric on Inception's features. All of them share one network, and one pass of every image."""

    def __init__(self, device: str | None = None) -> None:
        with faults.loading(self.name, EXTRA):
            from difftest.metrics import inception

            self._inception = inception.load(device)
        self.weights = self._inception.weights

    def begin(self, reference_dir: str | None) -> Pool:
        if reference_dir is None:
            raise MetricError(
                f"{self.name} compares with a set of images; give the test a reference_dir"
            )
        return Pool(self.name, self.min_samples or 2, self._inception, reference_dir, self.score)

    def score(self, found: Features, reference: Features, prompts: Sequence[str]) -> BatchScore:
        """Of images ``(N, D)``, each with its prompt, and references ``(M, D)``."""
        raise NotImplementedError


class Pool:
    """The features of one test."""

    def __init__(
        self,
        metric: str,
        min_samples: int,
        inception: Inception,
        reference_dir: str,
        score: Callable[[Features, Features, Sequence[str]], BatchScore],
    ) -> None:
        self._metric, self._min_samples = metric, min_samples
        self._inception, self._score = inception, score
        with faults.computing(metric, EXTRA):
            from difftest.metrics.inception import image_files

            files = image_files(Path(reference_dir))
            self._check(len(files), f"reference images in {reference_dir}")
            self._reference = inception.folder(files, metric)
        self._rows: list[Features] = []
        self._prompts: list[str] = []

    def update(
        self,
        images: Sequence[Image],
        prompts: Sequence[str],
        references: Sequence[Image | None],  # noqa: ARG002  (a metric's signature)
    ) -> None:
        if images:
            with faults.computing(self._metric, EXTRA):
                self._rows.append(self._inception.features(images))
            self._prompts += prompts

    def value(self) -> BatchScore:
        self._check(sum(map(len, self._rows)), "generated images")
        with faults.computing(self._metric, EXTRA):
            return self._score(np.concatenate(self._rows), self._reference, self._prompts)

    def _check(self, count: int, what: str) -> None:
        if count < self._min_samples:
            raise MetricError(
                f"{self._metric} needs at least {self._min_samples} images on each side, and there are {count} "
                f"{what}: of so few its value is mostly bias and chance; give the test more prompts, seeds or "
                "reference images"
            )
