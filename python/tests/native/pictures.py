"""Pictures on which a native metric and its reference implementation are held against each other:
photographs (scikit-image ships them), drawn ones, noise, and what breaks arithmetic: one colour,
saturation, sides of one pixel, odd sides."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import skimage.data
from PIL import Image as PillowImage
from scipy import ndimage

Image = npt.NDArray[np.uint8]
Pair = tuple[str, Image, Image]

#: Heights and widths, odd ones among them.
SIDES = [(1, 1), (1, 9), (2, 2), (5, 3), (11, 11), (12, 40), (33, 17), (64, 64), (301, 127)]
#: Two colours that flat pictures have; the last are as hard as rounding gets.
FLAT = [(0, 0), (255, 255), (0, 255), (37, 37), (7, 200), (254, 250), (255, 254), (0, 1)]


def byte_values(values: npt.NDArray[np.generic]) -> Image:
    return np.ascontiguousarray(np.clip(values, 0, 255).astype(np.uint8))


def photographs() -> list[tuple[str, Image]]:
    data = skimage.data
    return [
        ("astronaut", data.astronaut()),
        ("coffee", data.coffee()),
        ("cat", data.chelsea()),
        ("rocket", data.rocket()),
        ("tissue", data.immunohistochemistry()),
        ("retina", np.ascontiguousarray(data.retina()[301:1000, 200:])),
    ]


def changed(image: Image) -> Iterator[tuple[str, Image]]:
    """What a model does to an image between two commits, and worse."""
    rng = np.random.default_rng(5)
    yield "as it is", image
    yield "noisy", byte_values(image + rng.normal(0, 10, image.shape))
    yield "blurred", byte_values(ndimage.gaussian_filter(image.astype(float), (2, 2, 0)))
    yield "darker", byte_values(image // 2 + 20)
    yield "saturated", byte_values((image.astype(int) - 128) * 4 + 128)
    yield "mirrored", np.ascontiguousarray(image[:, ::-1])


def natural() -> list[Pair]:
    """Photographs whole, and cut to odd sides."""
    pairs = []
    for name, image in photographs():
        for change, other in changed(image):
            pairs.append((f"{name}, {change}", image, other))
        cut = np.ascontiguousarray(image[3:180:, 5:218])
        for change, other in changed(cut):
            pairs.append((f"{name} cut, {change}", cut, other))
    return pairs


def waves(height: int, width: int, phase: float) -> Image:
    y, x = np.mgrid[:height, :width]
    channels = [np.sin(x / 9 + phase * c) * np.cos(y / 7 - phase) for c in range(3)]
    return byte_values(np.stack(channels, -1) * 127 + 128)


def synthetic() -> list[Pair]:
    pairs: list[Pair] = []
    rng = np.random.default_rng(7)
    for height, width in SIDES:
        size = f"{width}×{height}"
        noise = rng.integers(0, 256, (height, width, 3), np.uint8)
        other = rng.integers(0, 256, (height, width, 3), np.uint8)
        drawn = np.full_like(noise, 255)
        drawn[height // 3 : height // 2 + 1, width // 4 : width // 2 + 1] = [200, 30, 20]
        checks = np.repeat((np.add.outer(range(height), range(width)) % 2 * 255)[..., None], 3, -1)
        checks = byte_values(checks)
        nearly_white = 255 - rng.integers(0, 2, (height, width, 3), np.uint8)
        pairs += [
            (f"noise {size}", noise, other),
            (f"waves {size}", waves(height, width, 0.3), waves(height, width, 0.5)),
            (f"an object {size}", drawn, np.ascontiguousarray(drawn[::-1])),
            (f"checks {size}", checks, 255 - checks),
            (f"nearly white {size}", nearly_white, np.full_like(noise, 255)),
        ]
        pairs += [
            (f"flat {a} and {b} {size}", np.full_like(noise, a), np.full_like(noise, b))
            for a, b in FLAT
        ]
    return pairs


def luma(image: Image) -> Image:
    """As every native metric that wants one plane has it."""
    return np.asarray(PillowImage.fromarray(image).convert("L"))
