"""How CLIP wants its images: the preprocessing of OpenAI's release, on Pillow alone.

The shorter side is resized to the network's, bicubic with antialiasing, the middle is cut out, and the channels are
normalised. torchvision's transforms and transformers' Pillow processor do the same.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from difftest.errors import MetricError

#: Pillow's and the configuration files' number for it.
_BICUBIC = 3


@dataclass(frozen=True)
class ClipPixels:
    """``size``: side of the square that the network takes, pixels; mean and deviation per channel, of 0..1."""

    size: int = 224
    mean: tuple[float, float, float] = (0.48145466, 0.4578275, 0.40821073)
    std: tuple[float, float, float] = (0.26862954, 0.26130258, 0.27577711)
    #: Of some later CLIPs: the whole image is squeezed into the square, and nothing is cut off.
    squeezes: bool = False

    @classmethod
    def from_folder(cls, metric: str, model: Path) -> ClipPixels:
        """As ``preprocessor_config.json`` says. Raises ``MetricError`` for a recipe that is not CLIP's."""
        file = model / "preprocessor_config.json"
        try:
            said: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
            squeezes = not said.get("do_center_crop", True)
            size, crop = (_side(said[key]) for key in ("size", "size" if squeezes else "crop_size"))
            mean, std = (tuple(map(float, said[key])) for key in ("image_mean", "image_std"))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as broken:
            raise MetricError(
                f"{metric}: {file} does not say how images are prepared ({type(broken).__name__}: {broken})"
            ) from broken
        steps = ("do_resize", "do_rescale", "do_normalize")
        if (
            size != crop
            or (squeezes and "height" not in said["size"])
            or said.get("resample", _BICUBIC) != _BICUBIC
            or len(mean) != 3
            or len(std) != 3
            or not all(said.get(step, True) for step in steps)
        ):
            raise MetricError(
                f"{metric}: {file} prepares images in another way than CLIP's (resize bicubic, cut out "
                "the middle, normalise)"
            )
        return cls(size, mean, std, squeezes)

    def __call__(self, images: Sequence[npt.NDArray[np.uint8]]) -> npt.NDArray[np.float32]:
        """RGB images ``uint8 (H, W, 3)`` to ``float32 (N, 3, size, size)``."""
        cut = np.stack([self._cut(image) for image in images]).astype(np.float32)
        mean, std = (np.array(each, np.float32) for each in (self.mean, self.std))
        scaled = (cut / np.float32(255) - mean) / std
        return np.ascontiguousarray(scaled.transpose(0, 3, 1, 2))

    def _cut(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        from PIL import Image

        height, width = image.shape[:2]
        short = min(height, width)
        if self.squeezes:
            width = height = self.size
        else:
            width, height = (int(self.size * side / short) for side in (width, height))
        picture = Image.fromarray(image)
        if picture.size != (width, height):
            picture = picture.resize((width, height), Image.Resampling.BICUBIC)
        left, top = (round((side - self.size) / 2) for side in (width, height))
        return np.asarray(picture.crop((left, top, left + self.size, top + self.size)))


def _side(said: Any) -> int:
    """``224``, ``{"shortest_edge": 224}`` and ``{"height": 224, "width": 224}`` are all written."""
    if isinstance(said, dict):
        said = said.get("shortest_edge") or said["height"]
    return int(said)
