"""The embedded text-to-image model, run by ONNX Runtime."""

from __future__ import annotations

import functools
import importlib.metadata
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from difftest.onnx_runtime import Runtime
from difftest.shapes import diffusion
from difftest.shapes.diffusion import PREDICTION_TYPES, Latents, PredictionType
from difftest.shapes.layout import (
    TEXT_ENCODER_FILE,
    TEXT_ENCODER_GRAPH,
    UNET_FILE,
    UNET_GRAPH,
    WEIGHTS,
)
from difftest.shapes.session import Graph, digest
from difftest.shapes.tokenizer import TOKENIZER_FILE, TokenIds, Words
from difftest.shapes.world import IMAGE_SIZE

Image = npt.NDArray[np.uint8]

DEFAULT_STEPS = 10
DEFAULT_GUIDANCE_SCALE = 1.5
_EMPTY_PROMPT = ""


def noise(seeds: Sequence[int]) -> Latents:
    """Starting latents ``(N, 48, 8, 8)``; each depends on its own seed alone, whatever else is in
    the batch.
    """
    drawn = [
        np.random.Generator(np.random.PCG64(seed)).standard_normal(
            diffusion.LATENT_SHAPE, np.float32
        )
        for seed in seeds
    ]
    return np.stack(drawn) if drawn else np.empty((0, *diffusion.LATENT_SHAPE), np.float32)


class ShapesPipeline:
    """Prompts and seeds to ``uint8 (32, 32, 3)`` RGB images.

    Equal prompt, seed, options, library versions, ``threads`` and batches give equal bytes. Another
    batch composition or thread count moves floats by about 1e-5 and may flip a byte by one.
    """

    width = height = IMAGE_SIZE

    def __init__(
        self,
        steps: int = DEFAULT_STEPS,
        guidance_scale: float = DEFAULT_GUIDANCE_SCALE,
        prediction_type: PredictionType = "sample",
        threads: int = 1,
        batch_size: int = 8,
        weights_dir: str | Path | None = None,
        provider: str = "CPUExecutionProvider",
        *,
        tokenizer_file: str | Path = TOKENIZER_FILE,
        runtime: Runtime | None = None,
    ) -> None:
        """``guidance_scale`` of 1 or less runs without guidance (and ignores negative prompts), as
        in diffusers. ``runtime`` takes the place of ``threads`` and ``provider``, for those who set
        more.
        """
        diffusion.timesteps(steps)
        if prediction_type not in PREDICTION_TYPES:
            known = ", ".join(PREDICTION_TYPES)
            raise ValueError(f"prediction_type is {prediction_type!r}; it must be one of {known}")
        if batch_size < 1 or threads < 1:
            raise ValueError(
                f"batch_size ({batch_size}) and threads ({threads}) must be at least 1"
            )
        self.steps, self.guidance_scale = steps, float(guidance_scale)
        self.prediction_type: PredictionType = prediction_type
        self.runtime = runtime or Runtime(provider, threads)
        self.batch_size = batch_size
        self._weights = Path(weights_dir) if weights_dir is not None else WEIGHTS
        self._words = Words(Path(tokenizer_file))
        self._text_encoder, self._unet = (
            Graph(self._weights / graph, self.runtime) for graph in (TEXT_ENCODER_GRAPH, UNET_GRAPH)
        )

    def generate(
        self,
        prompts: Sequence[str],
        seeds: Sequence[int],
        negative_prompts: Sequence[str | None] | None = None,
        *,
        steps: int | None = None,
        guidance: float | None = None,
    ) -> list[Image]:
        """One image per (prompt, seed) pair. A negative prompt takes the place of the empty one in
        guidance. ``steps`` and ``guidance`` are the pipeline's own unless given here.
        """
        pixels = self.generate_pixels(
            prompts, seeds, negative_prompts, steps=steps, guidance=guidance
        )
        return list(np.rint(pixels).astype(np.uint8))

    def generate_pixels(
        self,
        prompts: Sequence[str],
        seeds: Sequence[int],
        negative_prompts: Sequence[str | None] | None = None,
        *,
        steps: int | None = None,
        guidance: float | None = None,
    ) -> npt.NDArray[np.float32]:
        """The images before rounding, ``float32 (N, 32, 32, 3)``, 0..255."""
        negatives = check_request(prompts, seeds, negative_prompts)
        ids, negative_ids = self._words.tokenize(prompts), self._words.tokenize(negatives)
        settings = (
            self.steps if steps is None else steps,
            self.guidance_scale if guidance is None else float(guidance),
        )
        parts = [
            self._denoise(ids[part], negative_ids[part], noise(seeds[part]), *settings)
            for part in batches(len(prompts), self.batch_size)
        ]
        empty = np.empty((0, IMAGE_SIZE, IMAGE_SIZE, 3), np.float32)
        return np.concatenate([empty, *map(diffusion.unfold, parts)])

    def _denoise(
        self,
        ids: TokenIds,
        negative_ids: TokenIds,
        start: Latents,
        steps: int,
        guidance_scale: float,
    ) -> Latents:
        return diffusion.ddim(
            lambda sample, t, context: self._unet(
                {"sample": sample, "timestep": t, "encoder_hidden_states": context}
            ),
            start,
            self._text_encoder({"input_ids": ids}),
            self._text_encoder({"input_ids": negative_ids}),
            steps=steps,
            guidance_scale=guidance_scale,
            prediction_type=self.prediction_type,
        )

    @functools.cached_property
    def fingerprint(self) -> str:
        """SHA-256 over the weights, graphs, tokenizer and every option that decides the image."""
        weights = (self._weights / UNET_FILE, self._weights / TEXT_ENCODER_FILE)
        files = (*weights, self._text_encoder.path, self._unet.path, self._words.file)
        moved = {
            "provider": self.runtime.provider,
            "graph_optimization": self.runtime.graph_optimization,
        }
        return digest(files, {**self._options, **moved})

    @property
    def _options(self) -> dict[str, object]:
        return {
            "steps": self.steps,
            "guidance_scale": self.guidance_scale,
            "prediction_type": self.prediction_type,
            "scheduler": "DDIM",
        }

    @property
    def description(self) -> dict[str, object]:
        """What a run records about how its images were made."""
        return {
            "model": "shapes",
            "backend": "onnxruntime",
            "device": self.runtime.provider,
            "dtype": "float32",
            "weights_dtype": "float16",
            "width": self.width,
            "height": self.height,
            "threads": self.runtime.threads,
            "inter_op_threads": self.runtime.inter_op_threads,
            "graph_optimization": self.runtime.graph_optimization,
            "batch_size": self.batch_size,
            **self._options,
            "versions": library_versions("onnxruntime", "numpy", "tokenizers"),
        }


def check_request(
    prompts: Sequence[str], seeds: Sequence[int], negatives: Sequence[str | None] | None
) -> list[str]:
    """The negative prompts with every ``None`` as the empty prompt; ``ValueError`` where lengths
    differ.
    """
    if isinstance(prompts, str):
        raise TypeError("prompts is one string; pass a list of prompts")
    if len(seeds) != len(prompts):
        raise ValueError(f"{len(prompts)} prompts but {len(seeds)} seeds")
    if negatives is not None and len(negatives) != len(prompts):
        raise ValueError(f"{len(prompts)} prompts but {len(negatives)} negative prompts")
    if any(seed < 0 for seed in seeds):
        raise ValueError(f"seeds must not be negative: {min(seeds)}")
    return [text or _EMPTY_PROMPT for text in negatives or [None] * len(prompts)]


def batches(total: int, size: int) -> Iterator[slice]:
    """Consecutive slices of at most ``size`` that cover ``range(total)``."""
    return (slice(first, first + size) for first in range(0, total, size))


def library_versions(*names: str) -> dict[str, str]:
    """Installed versions, by distribution name."""
    return {name: importlib.metadata.version(name) for name in names}
