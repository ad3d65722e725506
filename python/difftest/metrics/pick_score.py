"""Which image people would pick for a prompt, by PickScore."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from difftest.metrics import faults
from difftest.metrics.facts import Stated

if TYPE_CHECKING:
    from difftest.metrics.protocol import Image

MODEL = "yuvalkirstain/PickScore_v1"
#: Whose tokenizer and preprocessing the authors use with it.
PROCESSOR = "laion/CLIP-ViT-H-14-laion2B-s32B-b79K"


class PickScore(Stated):
    """Cosine of image and prompt times the learnt scale, by a CLIP ViT-H/14 trained on people's choices.

    Kirstain et al., "Pick-a-Pic", arXiv 2305.01569.
    """

    name = "pick_score"

    def __init__(self, device: str | None = None) -> None:
        with faults.loading(self.name, "clip"):
            from difftest.metrics import clip_model

            self._clip = clip_model.load(self.name, MODEL, device, PROCESSOR)
        self.weights = self._clip.weights

    def compute_batch(
        self,
        images: Sequence[Image],
        prompts: Sequence[str],
        references: Sequence[Image | None],  # noqa: ARG002  (a metric's signature)
    ) -> list[float]:
        if not images:
            return []
        with faults.computing(self.name):
            cosines = self._clip.cosines(prompts, images)
            return [self._clip.scale * float(cosine) for cosine in cosines]
