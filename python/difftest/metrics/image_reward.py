"""How well people would like an image for its prompt, by ImageReward."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from difftest.metrics import backbone, faults, weights
from difftest.metrics.facts import Stated

if TYPE_CHECKING:
    from difftest.metrics.protocol import Image

MODEL = weights.Repository(
    "image_reward", "THUDM/ImageReward", ("ImageReward.pt", "med_config.json")
)
TOKENIZER = weights.Repository(
    "image_reward",
    "google-bert/bert-base-uncased",
    ("tokenizer*", "vocab.txt", "config.json"),
)
#: Mean and deviation of the raw reward over the training set, as the authors standardise it.
_MEAN, _DEVIATION = 0.16717362830052426, 1.0333394966054072
#: Tokens of a prompt that are read; the rest is cut off.
_LONGEST = 35
_BATCH = 16


class ImageReward(Stated):
    """Xu et al., arXiv 2304.05977: the reward of a BLIP that reads image and prompt together; 0 is average."""

    name = "image_reward"

    def __init__(self, device: str | None = None) -> None:
        with faults.loading(self.name, "clip"):
            from difftest.metrics import blip
            from difftest.metrics.clip_pixels import ClipPixels

            folder = weights.find_repository(MODEL)
            tokenizer = weights.find_repository(TOKENIZER)
            file = folder / "ImageReward.pt"
            self.weights = weights.digest([file])
            self._tokenizer = blip.tokenizer(tokenizer)
            self._placed = backbone.placed(
                "ImageReward",
                self.weights,
                device,
                lambda: blip.load(self.name, folder / "med_config.json", file),
            )
            self._pixels = ClipPixels(self._placed.module.image_size)

    def compute_batch(
        self,
        images: Sequence[Image],
        prompts: Sequence[str],
        references: Sequence[Image | None],  # noqa: ARG002  (a metric's signature)
    ) -> list[float]:
        with faults.computing(self.name):
            return [
                reward
                for first in range(0, len(images), _BATCH)
                for reward in self._rewards(
                    images[first : first + _BATCH], prompts[first : first + _BATCH]
                )
            ]

    def _rewards(self, images: Sequence[Image], prompts: Sequence[str]) -> list[float]:
        import torch

        tokens: Any = self._tokenizer(
            list(prompts),
            padding="max_length",
            truncation=True,
            max_length=_LONGEST,
            return_tensors="pt",
        )
        pixels = torch.from_numpy(self._pixels(images))
        with self._placed.resident(), torch.inference_mode():
            raw = self._placed.module(
                *(
                    part.to(self._placed.device)
                    for part in (tokens["input_ids"], tokens["attention_mask"], pixels)
                )
            )
            return [(float(reward) - _MEAN) / _DEVIATION for reward in raw]
