"""How well an image fits its prompt, by the embedded CLIP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from difftest.errors import MetricError, MissingDependencyError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from difftest.registry import Category, Direction

    Image = npt.NDArray[np.uint8]


class ClipScore:
    """Cosine of image and prompt, clipped at 0 (CLIPScore, Hessel et al., arXiv 2104.08718, unscaled)."""

    name = "clip_score"
    direction: Direction = "higher_is_better"
    category: Category = "per_sample"
    range = (0.0, 1.0)
    margin = 0.02

    def __init__(self) -> None:
        try:
            from difftest.shapes.clip import ShapesClip

            self._clip = ShapesClip()
        except ModuleNotFoundError as missing:
            raise MissingDependencyError(missing.name or "onnxruntime", "clip_score") from missing
        except (OSError, ValueError) as broken:
            raise MetricError(f"clip_score did not load its weights: {broken}") from broken

    def compute_batch(
        self,
        images: Sequence[Image],
        prompts: Sequence[str],
        references: Sequence[Image | None],  # noqa: ARG002  (a metric's signature)
    ) -> list[float]:
        try:
            return [float(score) for score in self._clip.score(prompts, images)]
        except ModuleNotFoundError as missing:
            raise MissingDependencyError(missing.name or "onnxruntime", "clip_score") from missing
        except Exception as broken:
            raise MetricError(f"clip_score failed: {type(broken).__name__}: {broken}") from broken
