"""What the engine asks of a metric."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from difftest.registry import Category, Direction

    Image = npt.NDArray[np.uint8]


class Metric(Protocol):
    """Loaded once in a run; called with one batch at a time."""

    @property
    def name(self) -> str: ...

    @property
    def direction(self) -> Direction: ...

    @property
    def category(self) -> Category: ...

    @property
    def range(self) -> tuple[float, float] | None:
        """The smallest and largest possible score."""

    @property
    def margin(self) -> float:
        """The loss a reviewer would still accept, in the metric's own unit."""

    @property
    def weights(self) -> str | None:
        """``sha256:…`` over the files of weights that decide a score; ``None`` where there are none."""

    @property
    def min_samples(self) -> int | None:
        """Of a batch metric: it refuses fewer images than this."""


class ImageMetric(Metric, Protocol):
    """Of the category ``per_sample`` or ``reference``: images to scores."""

    def compute_batch(
        self,
        images: Sequence[Image],
        prompts: Sequence[str],
        references: Sequence[Image | None],
    ) -> list[float]:
        """One finite score for each image.

        Images are RGB, ``uint8 (H, W, 3)``. The three sequences have one length. Raises ``MetricError``; its
        ``index`` says which image it was, where one can be blamed.
        """


@dataclass(frozen=True)
class BatchScore:
    """One score of a whole set of images."""

    value: float
    #: How many images it is of.
    samples: int
    #: What a reader must know of it, such as its bias at so few images.
    note: str | None = None
    #: What the score would be of other prompts, of the same distribution: one value a replicate, in the metric's
    #: unit, under ``bootstrap.weights(prompts)`` (a Poisson bootstrap, Chamandy et al. 2012, with prompts as units).
    #: Replicate b of two runs is of the same weights, so the differences of two runs' replicates are replicates of
    #: the difference. Empty where the metric has none; all finite, for one that is not discards them all.
    replicates: Sequence[float] = ()


class Accumulator(Protocol):
    """The images of one test, as they come."""

    def update(
        self,
        images: Sequence[Image],
        prompts: Sequence[str],
        references: Sequence[Image | None],
    ) -> None:
        """Take in one batch."""

    def value(self) -> BatchScore:
        """The score of all that came. Raises ``MetricError`` below the metric's ``min_samples``."""


class BatchMetric(Metric, Protocol):
    """Of the category ``batch``: a set of images to one score."""

    def begin(self, reference_dir: str | None) -> Accumulator:
        """Start a test whose images are compared with those of ``reference_dir``, where it has one."""
