"""Whether an image of the world of shapes shows what its prompt claims, read without any model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from difftest.errors import MetricError
from difftest.metrics import faults
from difftest.metrics.facts import Stated

if TYPE_CHECKING:
    from difftest.metrics.protocol import Image
    from difftest.shapes.world import Scene


class ShapesOracle(Stated):
    """1 where colour, shape, place, size and background are all as the prompt says; else the share that is.

    An image without any known figure in it is 0. A prompt that is no caption of this world is an error.
    """

    name = "shapes_oracle"
    weights = None

    def __init__(self, device: str | None = None) -> None:  # noqa: ARG002  (every metric is made so)
        with faults.loading(self.name):
            from difftest.shapes import oracle

            self._oracle = oracle

    def compute_batch(
        self,
        images: Sequence[Image],
        prompts: Sequence[str],
        references: Sequence[Image | None],  # noqa: ARG002  (a metric's signature)
    ) -> list[float]:
        from difftest.shapes import clip
        from difftest.shapes.world import ATTRIBUTES

        if not images:
            return []
        scenes = [self._claim(prompt, index) for index, prompt in enumerate(prompts)]
        with faults.computing(self.name):
            verdicts = self._oracle.judge(scenes, [clip.to_world_size(image) for image in images])
            shown = sum(verdicts[fact].astype(float) for fact in ATTRIBUTES)
            scores = shown / len(ATTRIBUTES) * verdicts["silhouette"]
            return [float(score) for score in scores]

    def _claim(self, prompt: str, index: int) -> Scene:
        from difftest.shapes.world import parse_caption

        try:
            return parse_caption(prompt)
        except ValueError as unread:
            raise MetricError(
                f"{self.name} judges the world of shapes alone: {unread}", index=index
            ) from unread
