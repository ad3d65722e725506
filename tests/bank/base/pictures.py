"""From latents to pictures."""

import numpy as np


def draw(latents):
    """Each latent channel is one pixel of a block of 4 x 4; from -1..1 to 0..255."""
    count = len(latents)
    blocks = latents.reshape(count, 3, 4, 4, 8, 8)
    pixels = blocks.transpose(0, 4, 2, 5, 3, 1).reshape(count, 32, 32, 3)
    return np.rint((np.clip(pixels, -1, 1) + 1) * 127.5).astype(np.uint8)
