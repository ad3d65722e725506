"""How well an image fits its prompt, by CLIP: the embedded one of the world of shapes, or a real one."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from difftest.errors import MetricError
from difftest.metrics import faults
from difftest.metrics.facts import Stated

if TYPE_CHECKING:
    from difftest.metrics.clip_model import ClipModel
    from difftest.metrics.protocol import Image
    from difftest.shapes.clip import ShapesClip

#: Names the CLIP: a model of the Hugging Face hub or a folder of one.
MODEL_VARIABLE = "DIFFTEST_CLIP_MODEL"
_EMBEDDED = "shapes"
#: Words of the world of shapes that any other prompt may use too.
_COMMON = frozenset({"a", "on", "background"})


class ClipScore(Stated):
    """Cosine of image and prompt, clipped at 0 (CLIPScore, Hessel et al., arXiv 2104.08718, unscaled)."""

    name = "clip_score"

    def __init__(self, device: str | None = None) -> None:
        model = os.environ.get(MODEL_VARIABLE) or _EMBEDDED
        self._is_embedded = model == _EMBEDDED
        if self._is_embedded:
            with faults.loading(self.name):
                from difftest.shapes.clip import ShapesClip

                embedded = ShapesClip()
                self.weights = f"sha256:{embedded.fingerprint}"
            self._clip: ShapesClip | ClipModel = embedded
        else:
            with faults.loading(self.name, "clip"):
                from difftest.metrics import clip_model

                loaded = clip_model.load(self.name, model, device)
            self._clip, self.weights = loaded, loaded.weights

    def compute_batch(
        self,
        images: Sequence[Image],
        prompts: Sequence[str],
        references: Sequence[Image | None],  # noqa: ARG002  (a metric's signature)
    ) -> list[float]:
        if not images:
            return []
        if self._is_embedded:
            for index, prompt in enumerate(prompts):
                _check_is_of_shapes(prompt, index)
        with faults.computing(self.name):
            return [float(score) for score in self._clip.score(prompts, images)]


def _check_is_of_shapes(prompt: str, index: int) -> None:
    """Raises ``MetricError`` for a prompt of which the embedded CLIP knows no word: its score would be noise."""
    from difftest.shapes.world import VOCABULARY

    if not set(re.findall(r"\w+", prompt.lower())) & (set(VOCABULARY) - _COMMON):
        raise MetricError(
            f"clip_score is computed by the embedded CLIP, which knows the world of shapes alone and no word of "
            f"{prompt!r}; for a real one set {MODEL_VARIABLE}=openai/clip-vit-large-patch14 (pip install "
            "'difftest[clip]')",
            index=index,
        )
