"""How different two images look to people, in layout, pose and content too, by DreamSim with its authors' package."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from difftest.errors import MetricError
from difftest.metrics import backbone, faults, weights
from difftest.metrics.facts import Stated
from difftest.prints import to_stderr
from difftest.traces import describe

if TYPE_CHECKING:
    from difftest.metrics.protocol import Image

#: Its single-network form. The ensemble and the DINO forms fetch code from a branch on GitHub when they load.
TYPE = "open_clip_vitb32"
#: What the published archive holds, inside the weights folder.
FOLDER = "dreamsim"
TRUNK = "open_clip_vitb32_pretrain.pth.tar"
ADAPTER = "open_clip_vitb32_single_lora"
URL = (
    "https://github.com/ssundaram21/dreamsim/releases/download/v0.2.0-checkpoints/"
    "dreamsim_open_clip_vitb32_checkpoint.zip"
)
_BATCH = 16


class DreamSim(Stated):
    """Cosine distance of fine-tuned embeddings (Fu et al., arXiv 2306.09344): 0 for the same image."""

    name = "dreamsim"

    def __init__(self, device: str | None = None) -> None:
        with faults.loading(self.name, "dreamsim"):
            import dreamsim

            folder = weights.folder() / FOLDER
            files = published(folder)
            self.weights = weights.digest(files)
            self._placed = backbone.placed(
                "DreamSim", self.weights, device, lambda: load(dreamsim, folder, files[1])
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
        with faults.computing(self.name, "dreamsim"):
            return [
                distance
                for first in range(0, len(pairs), _BATCH)
                for distance in self._distances(pairs[first : first + _BATCH])
            ]

    def _distances(self, pairs: list[tuple[Image, Image]]) -> list[float]:
        import torch

        one, other = (prepared(side) for side in zip(*pairs, strict=True))
        with self._placed.resident(), torch.inference_mode():
            device = self._placed.device
            distances = self._placed.module(one.to(device), other.to(device))
            # A cosine of the same embedding may round to a hair above 1.
            return [max(float(distance), 0.0) for distance in distances]


def prepared(images: Sequence[Image]) -> Any:
    """As the package prepares them: ``(N, 3, 224, 224)`` of 0..1, resized bicubic whatever their shape."""
    import numpy as np
    import torch
    from PIL import Image as Pil

    side = (224, 224)
    resized = [
        np.asarray(Pil.fromarray(image).resize(side, Pil.Resampling.BICUBIC)) for image in images
    ]
    return torch.from_numpy(np.stack(resized)).permute(0, 3, 1, 2).float() / 255


def published(folder: Path) -> tuple[Path, Path]:
    """The trunk and the adapter. Raises ``MetricError`` where the archive has not been unpacked into ``folder``."""
    adapters = [folder / ADAPTER / f"adapter_model.{kind}" for kind in ("safetensors", "bin")]
    adapter = next((file for file in adapters if file.is_file()), adapters[0])
    needed = (folder / TRUNK, adapter, folder / ADAPTER / "adapter_config.json")
    missing = [file for file in needed if not file.is_file()]
    if missing:
        raise MetricError(
            f"dreamsim needs {missing[0]}, which is not there; download {URL} and unpack it into {folder} "
            f"(or set {weights.FOLDER_VARIABLE} to another parent)"
        )
    return needed[0], needed[1]


def load(dreamsim: Any, folder: Path, adapter: Path) -> Any:
    """The package's own loader, and a look at whether every tensor of the adapter reached the network."""
    import torch

    try:
        with to_stderr():
            network, _ = dreamsim.dreamsim(
                pretrained=True, device="cpu", cache_dir=str(folder), dreamsim_type=TYPE
            )
    except Exception as broken:
        raise MetricError(
            f"dreamsim: the weights in {folder} cannot be loaded ({describe(broken)}); they are incomplete "
            f"or of another model: unpack {URL} again"
        ) from broken
    if adapter.suffix == ".safetensors":
        from safetensors.torch import load_file

        published_tensors = load_file(adapter)
    else:
        published_tensors = weights.tensors("dreamsim", adapter)
    loaded = network.state_dict()
    for name, tensor in published_tensors.items():
        # PEFT adds the name of the adapter.
        own = loaded.get(name.replace(".weight", ".default.weight"))
        if own is None or not torch.equal(own.cpu(), tensor):
            raise MetricError(f"dreamsim: `{name}` of {adapter} did not reach the network")
    if not published_tensors or sum("lora_" in name for name in loaded) != len(published_tensors):
        raise MetricError(
            f"dreamsim: {adapter} does not hold every tensor of the network's adapter"
        )
    return network
