"""Trains the embedded CLIP (needs torch and transformers)."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from difftest.shapes import training
from difftest.shapes.tokenizer import BOS_ID, EOS_ID, MAX_TOKENS, PAD_ID, tokenize
from difftest.shapes.world import CLIP_TRAIN, IMAGE_SIZE, VOCABULARY, Images, caption, render

if TYPE_CHECKING:
    import torch
    from transformers import CLIPModel

EMBEDDING_WIDTH = 64


@dataclass(frozen=True)
class ClipRecipe(training.Recipe):
    """The recipe of the shipped weights."""

    steps: int = 1500
    batch: int = 48
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    ema: float = 0.995
    #: Largest standard deviation of the noise laid over an image, 0..255: generated images are
    #: never quite clean.
    max_noise: float = 20.0


def build_clip() -> CLIPModel:
    """A CLIP of two layers a side with fresh weights."""
    import torch
    from transformers import CLIPConfig, CLIPModel

    text = {
        "vocab_size": len(VOCABULARY),
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "max_position_embeddings": MAX_TOKENS,
        "bos_token_id": BOS_ID,
        "eos_token_id": EOS_ID,
        "pad_token_id": PAD_ID,
        "projection_dim": EMBEDDING_WIDTH,
    }
    vision = {
        "hidden_size": 96,
        "intermediate_size": 192,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "image_size": IMAGE_SIZE,
        "patch_size": 4,
        "projection_dim": EMBEDDING_WIDTH,
    }
    config = CLIPConfig(text_config=text, vision_config=vision, projection_dim=EMBEDDING_WIDTH)
    model = CLIPModel(config)
    # As in the diffusion model: CLIP's 0.02 is far too small for 28 words.
    with torch.no_grad():
        embeddings = model.text_model.embeddings
        embeddings.token_embedding.weight.normal_(0, 0.5)
        embeddings.position_embedding.weight.normal_(0, 0.25)
    return model


def weathered(
    images: Images, rng: np.random.Generator, max_noise: float
) -> npt.NDArray[np.float32]:
    """The images as a generator might make them, -1..1 ``(N, 3, 32, 32)``: blurred or noisy to a
    random degree.
    """
    n = len(images)
    pixels = images.astype(np.float32)
    padded = np.pad(pixels, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    windows = [
        padded[:, y : y + IMAGE_SIZE, x : x + IMAGE_SIZE] for y in range(3) for x in range(3)
    ]
    blur = rng.uniform(0, 0.7, (n, 1, 1, 1)).astype(np.float32)
    pixels = pixels + blur * (sum(windows) / np.float32(9) - pixels)
    strength = rng.uniform(0, max_noise, (n, 1, 1, 1)).astype(np.float32)
    pixels = pixels + strength * rng.standard_normal(pixels.shape, np.float32)
    scaled = np.clip(pixels, 0, 255) / np.float32(127.5) - np.float32(1)
    return np.ascontiguousarray(scaled.transpose(0, 3, 1, 2))


class ClipTask:
    """Contrast each image with the captions of all training scenes, near misses among them."""

    def __init__(self, recipe: ClipRecipe) -> None:
        import torch

        self.recipe = recipe
        self.model = build_clip()
        self.modules: dict[str, torch.nn.Module] = {"clip": self.model}
        self.caption_ids = torch.tensor(tokenize([caption(scene) for scene in CLIP_TRAIN]))

    def loss(self, rng: np.random.Generator) -> torch.Tensor:
        """Mean of two entropies: image to every training caption, text to the shard's images."""
        import torch
        from torch.nn.functional import cross_entropy

        from difftest.shapes.torch_modules import ImageEmbedder, TextEmbedder

        chosen = rng.choice(len(CLIP_TRAIN), self.recipe.batch, replace=False)
        clean = render([CLIP_TRAIN[index] for index in chosen], rng)
        pixels = torch.from_numpy(weathered(clean, rng, self.recipe.max_noise))
        images = ImageEmbedder(self.model)(pixels)
        texts = TextEmbedder(self.model)(self.caption_ids)
        logits = images @ texts.T * self.model.logit_scale.exp().clamp(max=100)
        answers = torch.from_numpy(chosen)
        by_text = logits[:, answers].T
        to_text, to_image = (
            cross_entropy(logits, answers),
            cross_entropy(by_text, torch.arange(len(chosen))),
        )
        return (to_text + to_image) / 2

    def save(self, out: Path) -> None:
        self.model.save_pretrained(out / "clip")


def train_clip(
    out: Path,
    recipe: ClipRecipe | None = None,
    *,
    processes: int = 2,
    resume: bool = False,
    every: int = 250,
) -> None:
    """Train into ``out``; leaves ``clip/`` in transformers format there."""
    recipe = recipe or ClipRecipe()
    build = functools.partial(ClipTask, recipe)
    training.run(recipe, build, out, processes=processes, resume=resume, every=every)
