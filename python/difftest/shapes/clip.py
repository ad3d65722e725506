"""The embedded CLIP: how well an image of the world of shapes fits a prompt."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from difftest.onnx_runtime import Runtime
from difftest.shapes.diffusers_folder import CLIP_MEAN, CLIP_STD
from difftest.shapes.layout import CLIP_FILE, CLIP_IMAGE_GRAPH, CLIP_TEXT_GRAPH, WEIGHTS
from difftest.shapes.session import Graph, digest
from difftest.shapes.tokenizer import TOKENIZER_FILE, Words
from difftest.shapes.world import IMAGE_SIZE

Embeddings = npt.NDArray[np.float32]
_BATCH = 64


class ShapesClip:
    """CLIP of one closed world. Outside of it, its scores mean nothing."""

    def __init__(
        self,
        threads: int = 1,
        weights_dir: str | Path | None = None,
        provider: str = "CPUExecutionProvider",
    ) -> None:
        self._weights = Path(weights_dir) if weights_dir is not None else WEIGHTS
        self._words = Words(TOKENIZER_FILE)
        self._text, self._image = (
            Graph(self._weights / graph, Runtime(provider, threads))
            for graph in (CLIP_TEXT_GRAPH, CLIP_IMAGE_GRAPH)
        )

    def score(
        self, prompts: Sequence[str], images: Sequence[npt.NDArray[np.uint8]]
    ) -> npt.NDArray[np.float64]:
        """Cosine of each prompt with its image, clipped at 0: ``(N,)`` in 0..1 (CLIPScore,
        2104.08718, unscaled).
        """
        if len(prompts) != len(images):
            raise ValueError(f"{len(prompts)} prompts but {len(images)} images")
        distinct = list(dict.fromkeys(prompts))
        texts = self.embed_texts(distinct)[[distinct.index(prompt) for prompt in prompts]]
        cosines = (texts.astype(np.float64) * self.embed_images(images)).sum(1)
        scores: npt.NDArray[np.float64] = np.clip(cosines, 0, 1)
        return scores

    def embed_texts(self, prompts: Sequence[str]) -> Embeddings:
        """Embeddings of length 1, ``(N, 64)``."""
        ids = self._words.tokenize(prompts)
        parts = [self._text({"input_ids": part}) for part in _batches(ids)]
        return np.concatenate([np.empty((0, 64), np.float32), *parts])

    def embed_images(self, images: Sequence[npt.NDArray[np.uint8]]) -> Embeddings:
        """Embeddings of length 1, ``(N, 64)``, of RGB images ``(H, W, 3)``; other sizes than 32 x
        32 are resized.
        """
        sized = [to_world_size(np.asarray(image)) for image in images]
        pixels = np.asarray(sized, np.float32).reshape(-1, IMAGE_SIZE, IMAGE_SIZE, 3)
        scaled = (pixels / np.float32(255) - np.float32(CLIP_MEAN)) / np.float32(CLIP_STD)
        planes = np.ascontiguousarray(scaled.transpose(0, 3, 1, 2))
        parts = [self._image({"pixel_values": part}) for part in _batches(planes)]
        return np.concatenate([np.empty((0, 64), np.float32), *parts])

    @functools.cached_property
    def fingerprint(self) -> str:
        """SHA-256 over everything that decides a score."""
        files = (self._weights / CLIP_FILE, self._text.path, self._image.path, self._words.file)
        return digest(files, {})


def _batches(rows: npt.NDArray[np.generic]) -> list[npt.NDArray[np.generic]]:
    return [rows[first : first + _BATCH] for first in range(0, len(rows), _BATCH)]


def to_world_size(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The image as this world draws it, 32 x 32; ``ValueError`` where it is no RGB image."""
    if image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"an image has the shape {image.shape}; (height, width, 3) was expected")
    if image.shape[:2] == (IMAGE_SIZE, IMAGE_SIZE):
        return image
    from PIL import Image

    resized = Image.fromarray(image).resize((IMAGE_SIZE, IMAGE_SIZE), Image.Resampling.BOX)
    return np.asarray(resized)
