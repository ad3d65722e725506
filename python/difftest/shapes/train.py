"""Trains the embedded diffusion model (needs torch, diffusers and transformers)."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from difftest.shapes import training
from difftest.shapes.diffusion import TRAIN_TIMESTEPS, alphas_cumprod, fold
from difftest.shapes.tokenizer import tokenize
from difftest.shapes.world import TRAIN, caption, render

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class DiffusionRecipe(training.Recipe):
    """The recipe of the shipped weights: 360,000 rendered samples."""

    steps: int = 4500
    #: Share of captions replaced by the empty one, for classifier-free guidance.
    caption_dropout: float = 0.1
    #: Loss weight is the signal-to-noise ratio clipped to 1..this (min-SNR, 2303.09556).
    max_snr: float = 5.0


class DiffusionTask:
    """Predict the clean latents of rendered training scenes from noisy ones and their captions."""

    def __init__(self, recipe: DiffusionRecipe) -> None:
        import torch

        from difftest.shapes.architecture import build_text_encoder, build_unet

        self.recipe = recipe
        self.text_encoder: Any = build_text_encoder()
        self.unet: Any = build_unet().to(memory_format=torch.channels_last)
        self.modules: dict[str, torch.nn.Module] = {
            "unet": self.unet,
            "text_encoder": self.text_encoder,
        }
        self.alphas = torch.tensor(alphas_cumprod(), dtype=torch.float32)
        self.caption_ids = torch.tensor(tokenize([caption(scene) for scene in TRAIN]))
        self.empty_ids = torch.tensor(tokenize([""]))[0]

    def loss(self, rng: np.random.Generator) -> torch.Tensor:
        """Weighted squared error of the predicted clean latents."""
        import torch

        n = self.recipe.batch
        chosen = rng.integers(0, len(TRAIN), n)
        clean = torch.from_numpy(fold(render([TRAIN[i] for i in chosen], rng)))
        ids = self.caption_ids[torch.from_numpy(chosen)].clone()
        ids[torch.from_numpy(rng.random(n) < self.recipe.caption_dropout)] = self.empty_ids
        # Stratified timesteps: one in every n-th of the schedule.
        fractions = (rng.random() + np.arange(n) / n) % 1
        t = torch.from_numpy((fractions * TRAIN_TIMESTEPS).astype(np.int64))
        noise = torch.from_numpy(rng.standard_normal(clean.shape, np.float32))
        alpha = self.alphas[t]
        signal, sigma = (a.sqrt()[:, None, None, None] for a in (alpha, 1 - alpha))
        noisy = (signal * clean + sigma * noise).contiguous(memory_format=torch.channels_last)
        predicted = self.unet(noisy, t, self.text_encoder(ids).last_hidden_state).sample
        weight = (alpha / (1 - alpha)).clamp(1, self.recipe.max_snr)
        error: torch.Tensor = ((predicted - clean) ** 2).mean((1, 2, 3))
        return (error * weight).mean()

    def save(self, out: Path) -> None:
        self.unet.save_pretrained(out / "unet")
        self.text_encoder.save_pretrained(out / "text_encoder")


def train(
    out: Path,
    recipe: DiffusionRecipe | None = None,
    *,
    processes: int = 2,
    resume: bool = False,
    every: int = 250,
) -> None:
    """Train into ``out``; leaves ``unet/`` and ``text_encoder/`` in diffusers format there."""
    recipe = recipe or DiffusionRecipe()
    build = functools.partial(DiffusionTask, recipe)
    training.run(recipe, build, out, processes=processes, resume=resume, every=every)
