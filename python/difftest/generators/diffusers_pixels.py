"""From what a decoder gives to bytes, as diffusers does it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from difftest.generators.protocol import Image


def to_bytes(image: npt.NDArray[Any]) -> Image:
    """Floats from 0 to 1, ``(H, W, 3)`` or ``(H, W, 1)``, as diffusers makes them bytes for PIL: ``round(255 x)``."""
    scaled: Image = (image * 255).round().astype(np.uint8)
    if scaled.shape[-1] == 1:
        scaled = np.repeat(scaled, 3, axis=-1)
    return np.ascontiguousarray(scaled)


def fold_of(channels: int) -> int:
    """Of a model whose latents are RGB pixels, folded ``k × k`` into channels: k; of any other 0."""
    fold = int((channels // 3) ** 0.5)
    return fold if channels == 3 * fold * fold else 0
