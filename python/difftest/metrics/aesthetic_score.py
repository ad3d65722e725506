"""How much people would like an image, by LAION's improved aesthetic predictor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from difftest.metrics import faults, weights
from difftest.metrics.facts import Stated

if TYPE_CHECKING:
    from difftest.metrics.protocol import Image

HEAD = weights.File(
    "aesthetic_score",
    "sac+logos+ava1-l14-linearMSE.pth",
    "https://github.com/christophschuhmann/improved-aesthetic-predictor/raw/main/sac%2Blogos%2Bava1-l14-linearMSE.pth",
)


class AestheticScore(Stated):
    """The head's rating of the CLIP ViT-L/14 embedding, about 1 to 10: its training ratings' scale.

    As published at github.com/christophschuhmann/improved-aesthetic-predictor.
    """

    name = "aesthetic_score"

    def __init__(self, device: str | None = None) -> None:
        with faults.loading(self.name, "clip"):
            from difftest.metrics import clip_model
            from difftest.metrics.rating_head import rating_head

            self._clip = clip_model.load(self.name, clip_model.VIT_L_14, device)
            file = weights.find(HEAD)
            self._head = rating_head()
            weights.fill(self.name, self._head, weights.tensors(self.name, file), file)
        self.weights = weights.combined([self._clip.weights, weights.digest([file])])

    def compute_batch(
        self,
        images: Sequence[Image],
        prompts: Sequence[str],  # noqa: ARG002  (a metric's signature)
        references: Sequence[Image | None],  # noqa: ARG002
    ) -> list[float]:
        if not images:
            return []
        with faults.computing(self.name):
            import torch

            with torch.inference_mode():
                embedded = torch.from_numpy(self._clip.embed_images(images))
                return [float(score) for score in self._head(embedded)[:, 0]]
