"""The features that FID and KID compare: the Inception network of 2015, on images resized as clean-fid does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from difftest.errors import MetricError
from difftest.metrics import backbone, weights
from difftest.traces import describe

if TYPE_CHECKING:
    from difftest.metrics.backbone import Features, Image

#: The TensorFlow network of the FID paper, converted by pytorch-fid; its name ends with its SHA-256.
NETWORK = weights.File(
    "fid",
    "pt_inception-2015-12-05-6726825d.pth",
    "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth",
    sha256_prefix="6726825d",
)
_BATCH = 16
_IMAGES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp"})


def load(device: str | None) -> Inception:
    """The one Inception of this process and device."""
    device = backbone.device_of(device)
    file = weights.find(NETWORK)
    digest = weights.digest([file])
    return backbone.shared((Inception, digest, device), lambda: Inception(file, device))


class Inception:
    """Images to ``float32 (N, 2048)``: 8 KB an image."""

    def __init__(self, file: Path, device: str) -> None:
        from cleanfid.resize import build_resizer

        self._resize: Any = build_resizer("clean")
        self._placed = backbone.Placed("Inception", network(file), device)
        self._known = backbone.ImageFeatures()
        self._folders: dict[tuple[tuple[Path, int, int], ...], Features] = {}
        self.weights = weights.digest([file])

    def features(self, images: Sequence[Image]) -> Features:
        """Of images of any size; an image seen before is not computed again."""
        return np.stack(self._known.of(images, self._features))

    def folder(self, files: Sequence[Path], metric: str) -> Features:
        """Of image files, read one by one; computed once for the files as they are."""
        key = tuple((file, file.stat().st_size, file.stat().st_mtime_ns) for file in files)
        if key not in self._folders:
            read = (_pixels(file, metric) for file in files)
            self._folders[key] = np.concatenate([self._features(batch) for batch in _batches(read)])
        return self._folders[key]

    def _features(self, images: list[Image]) -> Features:
        import torch

        rows = []
        with self._placed.resident(), torch.inference_mode():
            for batch in _batches(images):
                resized = np.stack([self._resize(image) for image in batch]).transpose(0, 3, 1, 2)
                # As in the TensorFlow graph: 128 is 0.
                pixels = (torch.from_numpy(np.ascontiguousarray(resized)) - 128) / 128
                rows.append(self._placed.module(pixels.to(self._placed.device)).cpu().numpy())
        return np.concatenate(rows).astype(np.float32)


def network(file: Path) -> Any:
    """clean-fid's network with every tensor of the file, ``(N, 3, 299, 299)`` to ``(N, 2048)``."""
    import torchvision
    from cleanfid import inception_pytorch as blocks
    from torch import nn

    built: Any = torchvision.models.inception_v3(
        weights=None, num_classes=1008, aux_logits=False, init_weights=False
    )
    for name, block in {
        "Mixed_5b": blocks.FIDInceptionA(192, pool_features=32),
        "Mixed_5c": blocks.FIDInceptionA(256, pool_features=64),
        "Mixed_5d": blocks.FIDInceptionA(288, pool_features=64),
        "Mixed_6b": blocks.FIDInceptionC(768, channels_7x7=128),
        "Mixed_6c": blocks.FIDInceptionC(768, channels_7x7=160),
        "Mixed_6d": blocks.FIDInceptionC(768, channels_7x7=160),
        "Mixed_6e": blocks.FIDInceptionC(768, channels_7x7=192),
        "Mixed_7b": blocks.FIDInceptionE_1(1280),
        "Mixed_7c": blocks.FIDInceptionE_2(2048),
    }.items():
        setattr(built, name, block)
    weights.fill("fid", built, weights.tensors("fid", file), file)
    built.fc = nn.Identity()  # the features are what went into the classifier
    return built.eval()


def image_files(folder: Path) -> list[Path]:
    """Every image file in a folder and below it, in the order of their paths."""
    return sorted(file for file in folder.resolve().rglob("*") if file.suffix.lower() in _IMAGES)


def _pixels(file: Path, metric: str) -> Image:
    from PIL import Image as Pil

    try:
        with Pil.open(file) as picture:
            return np.asarray(picture.convert("RGB"))
    except (OSError, ValueError, Pil.DecompressionBombError) as broken:
        raise MetricError(f"{metric}: {file} cannot be read ({describe(broken)})") from broken


def _batches(images: Iterable[Image]) -> Iterator[list[Image]]:
    batch: list[Image] = []
    for image in images:
        batch.append(image)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
