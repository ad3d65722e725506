"""A CLIP of transformers: one for all the metrics that look through the same weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from difftest.metrics import backbone, weights
from difftest.metrics.clip_pixels import ClipPixels

if TYPE_CHECKING:
    from difftest.metrics.backbone import Features, Image

#: What the aesthetic predictor was trained on, and what GenEval names colours with.
VIT_L_14 = "openai/clip-vit-large-patch14"
EXTRA = "clip"

_MODEL_FILES = ("config.json", *weights.SAFETENSORS)
_TOKENIZER_FILES = ("tokenizer*", "vocab.json", "merges.txt", "special_tokens_map.json")
_PROCESSOR_FILES = ("preprocessor_config.json", *_TOKENIZER_FILES)
_BATCH = 32


def load(metric: str, model: str, device: str | None, processor: str | None = None) -> ClipModel:
    """The CLIP ``model`` (of the hub, or a folder); ``processor`` names another one whose tokenizer it uses."""
    device = backbone.device_of(device)
    folder = weights.find_repository(
        weights.Repository(metric, model, (*_MODEL_FILES, *(() if processor else _PROCESSOR_FILES)))
    )
    preparing = folder
    if processor is not None:
        preparing = weights.find_repository(weights.Repository(metric, processor, _PROCESSOR_FILES))
    digest = weights.digest(weights.safetensors_files(metric, folder))
    return backbone.shared(
        (ClipModel, digest, preparing.resolve(), device),
        lambda: ClipModel(metric, folder, preparing, device),
    )


class ClipModel:
    """Images and texts to embeddings of length 1, in float32."""

    def __init__(self, metric: str, folder: Path, processor: Path, device: str) -> None:
        import transformers

        # transformers' loaders are untyped.
        model_class: Any = transformers.CLIPModel
        tokenizer_class: Any = transformers.AutoTokenizer
        self._network = weights.from_folder(metric, model_class, folder)
        self._tokenizer = tokenizer_class.from_pretrained(processor, local_files_only=True)
        self._pixels = ClipPixels.from_folder(metric, processor)
        self._placed = backbone.Placed(f"CLIP {folder.name}", self._network, device)
        self._images, self._texts = backbone.ImageFeatures(), backbone.TextFeatures()
        self.weights = weights.digest(weights.safetensors_files(metric, folder))
        #: What cosines are multiplied with: the learnt inverse temperature.
        self.scale = float(self._network.logit_scale.exp())

    def score(self, prompts: Sequence[str], images: Sequence[Image]) -> npt.NDArray[np.float64]:
        """Cosine of each prompt with its image, clipped at 0: ``(N,)`` in 0..1."""
        scores: npt.NDArray[np.float64] = np.clip(self.cosines(prompts, images), 0, 1)
        return scores

    def cosines(self, prompts: Sequence[str], images: Sequence[Image]) -> npt.NDArray[np.float64]:
        """Cosine of each prompt with its image: ``(N,)`` in -1..1."""
        texts = self.embed_texts(prompts).astype(np.float64)
        together: npt.NDArray[np.float64] = (texts * self.embed_images(images)).sum(1)
        return together

    def embed_images(self, images: Sequence[Image]) -> Features:
        """``(N, D)``; an image seen before is not computed again."""
        return np.stack(self._images.of(images, self._embed_images))

    def embed_texts(self, texts: Sequence[str]) -> Features:
        """``(N, D)``; texts beyond the model's length, 77 tokens in OpenAI's, are cut off."""
        return np.stack(self._texts.of(texts, self._embed_texts))

    def _embed_images(self, images: list[Image]) -> Features:
        import torch

        rows = []
        with self._placed.resident(), torch.inference_mode():
            for first in range(0, len(images), _BATCH):
                pixels = torch.from_numpy(self._pixels(images[first : first + _BATCH]))
                # The parts rather than `get_image_features`: its answer has changed between versions.
                pooled = self._network.vision_model(pixel_values=pixels.to(self._placed.device))
                rows.append(self._network.visual_projection(pooled.pooler_output).cpu().numpy())
        return _unit(np.concatenate(rows))

    def _embed_texts(self, texts: list[str]) -> Features:
        import torch

        rows = []
        with self._placed.resident(), torch.inference_mode():
            for first in range(0, len(texts), _BATCH):
                tokens = self._tokenizer(
                    texts[first : first + _BATCH],
                    padding=True,
                    truncation=True,
                    max_length=self._network.config.text_config.max_position_embeddings,
                    return_tensors="pt",
                )
                pooled = self._network.text_model(
                    input_ids=tokens["input_ids"].to(self._placed.device),
                    attention_mask=tokens["attention_mask"].to(self._placed.device),
                )
                rows.append(self._network.text_projection(pooled.pooler_output).cpu().numpy())
        return _unit(np.concatenate(rows))


def _unit(rows: Features) -> Features:
    unit: Features = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit
