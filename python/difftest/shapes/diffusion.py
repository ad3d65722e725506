"""The diffusion process of the embedded model, in numpy: schedule, DDIM sampler, images to latents
and back.

Latents are images with every 4 x 4 block of pixels folded into channels, ``(N, 48, 8, 8)`` in
-1..1: lossless, so that no autoencoder is needed. Everything equals diffusers' ``DDIMScheduler``
with the settings of ``SCHEDULER_CONFIG``.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from difftest.shapes.world import IMAGE_SIZE, Images

TRAIN_TIMESTEPS = 1000
FOLD = 4
LATENT_CHANNELS = 3 * FOLD * FOLD
LATENT_SIZE = IMAGE_SIZE // FOLD
LATENT_SHAPE = (LATENT_CHANNELS, LATENT_SIZE, LATENT_SIZE)

PredictionType = Literal["sample", "epsilon", "v_prediction"]
PREDICTION_TYPES: tuple[str, ...] = get_args(PredictionType)

#: ``scheduler_config.json`` of the diffusers folder.
SCHEDULER_CONFIG: dict[str, object] = {
    "_class_name": "DDIMScheduler",
    "num_train_timesteps": TRAIN_TIMESTEPS,
    "beta_schedule": "squaredcos_cap_v2",
    "prediction_type": "sample",
    "clip_sample": False,
    "set_alpha_to_one": True,
    # Without effect under "trailing" spacing; any other value makes StableDiffusionPipeline warn.
    "steps_offset": 1,
    "timestep_spacing": "trailing",
}

Latents = npt.NDArray[np.float32]
#: ``(latents (N, 48, 8, 8), timesteps int64 (N,), text embeddings (N, 16, 64))`` to the prediction,
#: shaped as latents.
Denoiser = Callable[[Latents, npt.NDArray[np.int64], Latents], Latents]


@functools.cache
def alphas_cumprod() -> npt.NDArray[np.float64]:
    """Signal power left at each of the 1000 timesteps, (1, 0): squared cosine of Nichol & Dhariwal
    (2102.09672).
    """

    def signal(time: float) -> float:
        return math.cos((time + 0.008) / 1.008 * math.pi / 2) ** 2

    n = TRAIN_TIMESTEPS
    betas = [min(1 - signal((i + 1) / n) / signal(i / n), 0.999) for i in range(n)]
    return np.cumprod(1 - np.array(betas))


def timesteps(steps: int) -> list[int]:
    """Timesteps visited, noisiest first ("trailing" spacing of Lin et al., 2305.08891)."""
    if not 1 <= steps <= TRAIN_TIMESTEPS:
        raise ValueError(f"steps is {steps}; it must lie between 1 and {TRAIN_TIMESTEPS}")
    return [round(TRAIN_TIMESTEPS - i * TRAIN_TIMESTEPS / steps) - 1 for i in range(steps)]


def ddim(
    denoise: Denoiser,
    noise: Latents,
    text: Latents,
    negative: Latents,
    *,
    steps: int,
    guidance_scale: float,
    prediction_type: PredictionType = "sample",
) -> Latents:
    """Deterministic DDIM (2010.02502) with classifier-free guidance (2207.12598); 1 or less turns
    guidance off.

    ``noise`` is ``(N, 48, 8, 8)``, ``text`` and ``negative`` ``(N, 16, 64)``; answers clean
    latents, not clipped.
    """
    guided = guidance_scale > 1
    context = np.concatenate([negative, text]) if guided else text
    alphas, visited, x = alphas_cumprod(), timesteps(steps), noise
    for index, t in enumerate(visited):
        batch = np.concatenate([x, x]) if guided else x
        output = denoise(batch, np.full(len(batch), t, np.int64), context)
        if guided:
            without, given = output[: len(x)], output[len(x) :]
            output = without + np.float32(guidance_scale) * (given - without)
        signal, sigma = np.float32(alphas[t] ** 0.5), np.float32((1 - alphas[t]) ** 0.5)
        if prediction_type == "sample":
            clean, rest = output, (x - signal * output) / sigma
        elif prediction_type == "epsilon":
            clean, rest = (x - sigma * output) / signal, output
        else:
            clean, rest = signal * x - sigma * output, signal * output + sigma * x
        left = alphas[visited[index + 1]] if index + 1 < steps else 1.0
        x = np.float32(left**0.5) * clean + np.float32((1 - left) ** 0.5) * rest
    return x


def fold(images: Images) -> Latents:
    """``uint8 (N, 32, 32, 3)`` to latents; channel order of
    ``torch.nn.functional.pixel_unshuffle``.
    """
    n, s = len(images), LATENT_SIZE
    scaled = images.astype(np.float32) / np.float32(127.5) - np.float32(1)
    blocks = scaled.reshape(n, s, FOLD, s, FOLD, 3).transpose(0, 5, 2, 4, 1, 3)
    return np.ascontiguousarray(blocks.reshape(n, *LATENT_SHAPE))


def unfold(latents: Latents) -> npt.NDArray[np.float32]:
    """Latents to pixels, ``float32 (N, 32, 32, 3)`` clipped to 0..255 and not yet rounded; NaN
    becomes mid-grey.
    """
    n, s = len(latents), LATENT_SIZE
    blocks = latents.reshape(n, 3, FOLD, FOLD, s, s).transpose(0, 4, 2, 5, 3, 1)
    pixels = np.nan_to_num(blocks.reshape(n, IMAGE_SIZE, IMAGE_SIZE, 3))
    scaled: Latents = (np.clip(pixels, -1, 1) + np.float32(1)) * np.float32(127.5)
    return scaled
