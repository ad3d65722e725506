"""The networks as plain torch modules with one output tensor, and how they load from a folder (needs torch)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from diffusers import UNet2DConditionModel
    from transformers import CLIPModel, CLIPTextModel


def load_unet(folder: Path) -> UNet2DConditionModel:
    from diffusers import UNet2DConditionModel

    loaded = UNet2DConditionModel.from_pretrained(folder, subfolder="unet", use_safetensors=True)
    return loaded.float().eval()


def load_text_encoder(folder: Path) -> CLIPTextModel:
    from transformers import CLIPTextModel

    loaded = CLIPTextModel.from_pretrained(folder, subfolder="text_encoder", dtype=torch.float32)
    return loaded.eval()


def load_clip(folder: Path) -> CLIPModel:
    from transformers import CLIPModel

    return CLIPModel.from_pretrained(folder, dtype=torch.float32).eval()


class _Wrapped(torch.nn.Module):
    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model


class TextEncoder(_Wrapped):
    """Ids ``(N, 16)`` to text embeddings ``(N, 16, 64)``."""

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        states: torch.Tensor = self.model(input_ids).last_hidden_state
        return states


class NoisePredictor(_Wrapped):
    """Latents, timesteps and text embeddings to the predicted clean latents."""

    def forward(
        self, sample: torch.Tensor, timestep: torch.Tensor, encoder_hidden_states: torch.Tensor
    ) -> torch.Tensor:
        out: torch.Tensor = self.model(sample, timestep, encoder_hidden_states, return_dict=False)[0]
        return out


class TextEmbedder(_Wrapped):
    """Ids ``(N, 16)`` to CLIP text embeddings of length 1, ``(N, 64)``."""

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        pooled = self.model.text_model(input_ids).pooler_output
        return torch.nn.functional.normalize(self.model.text_projection(pooled), dim=-1)


class ImageEmbedder(_Wrapped):
    """Pixels -1..1 ``(N, 3, 32, 32)`` to CLIP image embeddings of length 1, ``(N, 64)``."""

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        pooled = self.model.vision_model(pixel_values).pooler_output
        return torch.nn.functional.normalize(self.model.visual_projection(pooled), dim=-1)
