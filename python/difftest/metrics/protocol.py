"""What the engine asks of a metric."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from difftest.registry import Category, Direction

    Image = npt.NDArray[np.uint8]


class Metric(Protocol):
    """Images to scores. Loaded once in a run; called with one batch at a time."""

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
