"""How different two images look, by LPIPS on AlexNet, with the authors' own package."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from difftest.errors import MetricError
from difftest.metrics import backbone, faults, weights
from difftest.metrics.facts import Stated

if TYPE_CHECKING:
    from difftest.metrics.protocol import Image

#: torchvision's AlexNet, the trunk; the linear layers upon it come with the package.
TRUNK = weights.File(
    "lpips",
    "alexnet-owt-7be5be79.pth",
    "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
    sha256_prefix="7be5be79",
)
_BATCH = 16
#: AlexNet's strides leave nothing of a smaller image.
_MIN_SIDE = 31


class Lpips(Stated):
    """Zhang et al., arXiv 1801.03924, version 0.1, network ``alex``: 0 for the same image, seldom above 1."""

    name = "lpips"

    def __init__(self, device: str | None = None) -> None:
        with faults.loading(self.name, "lpips"):
            import lpips

            trunk = weights.find(TRUNK)
            linear = Path(lpips.__file__).parent / "weights" / "v0.1" / "alex.pth"
            self.weights = weights.digest([trunk, linear])
            self._placed = backbone.placed(
                "LPIPS", self.weights, device, lambda: load(lpips, trunk, linear)
            )

    def compute_batch(
        self,
        images: Sequence[Image],
        prompts: Sequence[str],
        references: Sequence[Image | None],
    ) -> list[float]:
        pairs = list(
            zip(images, faults.paired(self.name, images, prompts, references), strict=True)
        )
        for index, image in enumerate(images):
            if min(image.shape[:2]) < _MIN_SIDE:
                raise MetricError(
                    f"lpips needs images of at least {_MIN_SIDE}x{_MIN_SIDE}; image {index + 1} is "
                    f"{image.shape[1]}x{image.shape[0]}",
                    index=index,
                )
        scores = [0.0] * len(pairs)
        by_size: dict[tuple[int, ...], list[int]] = {}
        for index, image in enumerate(images):
            by_size.setdefault(image.shape, []).append(index)
        with faults.computing(self.name, "lpips"):
            for indices in by_size.values():
                for first in range(0, len(indices), _BATCH):
                    chosen = indices[first : first + _BATCH]
                    for index, distance in zip(
                        chosen, self._distances([pairs[i] for i in chosen]), strict=True
                    ):
                        scores[index] = distance
        return scores

    def _distances(self, pairs: list[tuple[Image, Image]]) -> list[float]:
        import numpy as np
        import torch

        # To -1..1, channels first, as the package takes them.
        both = (
            torch.from_numpy(np.stack(side)).permute(0, 3, 1, 2).float() / 127.5 - 1
            for side in zip(*pairs, strict=True)
        )
        with self._placed.resident(), torch.inference_mode():
            one, other = (side.to(self._placed.device) for side in both)
            return [float(distance) for distance in self._placed.module(one, other).flatten()]


def load(lpips: Any, trunk: Path, linear: Path) -> Any:
    """The package's network with its published tensors, every one.

    The package itself would download the trunk unasked, and skips tensors of the linear layers that do not fit.
    """
    import torchvision
    from torch import nn

    alexnet = torchvision.models.alexnet(weights=None)
    weights.fill("lpips", alexnet, weights.tensors("lpips", trunk), trunk)
    network = lpips.LPIPS(net="alex", pnet_rand=True, pretrained=False, verbose=False)
    for part in (getattr(network.net, f"slice{n + 1}") for n in range(network.net.N_slices)):
        for name, layer in part.named_children():
            layer.load_state_dict(alexnet.features[int(name)].state_dict(), strict=True)
    # `lin0` … `lin4` are also the members of `lins`; the file names the former.
    names = [f"lin{n}" for n in range(network.L)]
    layers = nn.ModuleDict({name: getattr(network, name) for name in names})
    weights.fill("lpips", layers, weights.tensors("lpips", linear), linear)
    return network.eval().requires_grad_(False)
