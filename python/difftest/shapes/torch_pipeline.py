"""The embedded model on the torch back end: the same weights, prompts and seeds through diffusers
(needs both).
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from difftest.shapes import diffusion
from difftest.shapes.layout import TEXT_ENCODER_FILE, UNET_FILE
from difftest.shapes.pipeline import (
    DEFAULT_GUIDANCE_SCALE,
    DEFAULT_STEPS,
    Image,
    batches,
    check_request,
    library_versions,
    noise,
)
from difftest.shapes.session import digest
from difftest.shapes.world import IMAGE_SIZE


class TorchShapesPipeline:
    """``ShapesPipeline`` over a folder ``python -m difftest.shapes diffusers OUT_DIR`` wrote."""

    width = height = IMAGE_SIZE

    def __init__(
        self,
        folder: str | Path,
        steps: int = DEFAULT_STEPS,
        guidance_scale: float = DEFAULT_GUIDANCE_SCALE,
        batch_size: int = 8,
        device: str = "cpu",
    ) -> None:
        self.folder, self.steps, self.guidance_scale = Path(folder), steps, float(guidance_scale)
        self.batch_size, self.device = batch_size, device
        if not (self.folder / "model_index.json").exists():
            raise FileNotFoundError(
                f"{folder} is no diffusers folder; "
                f"make one: python -m difftest.shapes diffusers {folder}"
            )

    @functools.cached_property
    def _pipeline(self) -> Any:
        import diffusers

        loader: Any = diffusers.StableDiffusionPipeline
        pipeline = loader.from_pretrained(self.folder, vae=None, use_safetensors=True)
        pipeline.set_progress_bar_config(disable=True)
        return pipeline.to(self.device)

    def generate(
        self,
        prompts: Sequence[str],
        seeds: Sequence[int],
        negative_prompts: Sequence[str | None] | None = None,
    ) -> list[Image]:
        """One ``uint8 (32, 32, 3)`` RGB image per (prompt, seed) pair."""
        pixels = self.generate_pixels(prompts, seeds, negative_prompts)
        return list(np.rint(pixels).astype(np.uint8))

    def generate_pixels(
        self,
        prompts: Sequence[str],
        seeds: Sequence[int],
        negative_prompts: Sequence[str | None] | None = None,
    ) -> npt.NDArray[np.float32]:
        """The images before rounding, ``float32 (N, 32, 32, 3)``, 0..255."""
        import torch

        negatives = check_request(prompts, seeds, negative_prompts)
        parts = [np.empty((0, IMAGE_SIZE, IMAGE_SIZE, 3), np.float32)]
        # The pipeline measures height and width in pixels of the autoencoder this model does
        # without.
        side = diffusion.LATENT_SIZE * self._pipeline.vae_scale_factor
        for part in batches(len(prompts), self.batch_size):
            latents = self._pipeline(
                list(prompts[part]),
                negative_prompt=negatives[part],
                num_inference_steps=self.steps,
                guidance_scale=self.guidance_scale,
                latents=torch.from_numpy(noise(seeds[part])).to(self.device),
                height=side,
                width=side,
                output_type="latent",
            ).images
            parts.append(diffusion.unfold(latents.cpu().numpy()))
        return np.concatenate(parts)

    @functools.cached_property
    def fingerprint(self) -> str:
        """SHA-256 over the weights, tokenizer and every option that decides the image."""
        names = (UNET_FILE, TEXT_ENCODER_FILE, "tokenizer/tokenizer.json")
        files = [self.folder / name for name in (*names, "scheduler/scheduler_config.json")]
        return digest(files, self._options)

    @property
    def _options(self) -> dict[str, object]:
        return {
            "steps": self.steps,
            "guidance_scale": self.guidance_scale,
            "prediction_type": "sample",
            "scheduler": "DDIM",
        }

    @property
    def description(self) -> dict[str, object]:
        """What a run records about how its images were made."""
        return {
            "model": "shapes",
            "backend": "diffusers",
            "device": self.device,
            "dtype": "float32",
            "weights_dtype": "float16",
            "width": self.width,
            "height": self.height,
            "batch_size": self.batch_size,
            **self._options,
            "versions": library_versions("torch", "diffusers", "transformers", "numpy"),
        }
