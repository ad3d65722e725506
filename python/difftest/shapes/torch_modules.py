"""The networks as plain torch modules with one output tensor, and how they load from a folder
(needs torch).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch


def load_unet(folder: Path) -> torch.nn.Module:
    """The denoiser of a diffusers folder, in float32."""
    import diffusers

    # Its loaders are untyped, as transformers' below: Any keeps the checker out of them.
    loader: Any = diffusers.UNet2DConditionModel
    loaded: torch.nn.Module = loader.from_pretrained(folder, subfolder="unet")
    return loaded.float().eval()


def load_text_encoder(folder: Path) -> torch.nn.Module:
    """The text encoder of a diffusers folder, in float32."""
    import transformers

    loader: Any = transformers.CLIPTextModel
    loaded: torch.nn.Module = loader.from_pretrained(folder, subfolder="text_encoder")
    return loaded.float().eval()


def load_clip(folder: Path) -> torch.nn.Module:
    """The CLIP of a transformers folder, in float32."""
    import transformers

    loader: Any = transformers.CLIPModel
    loaded: torch.nn.Module = loader.from_pretrained(folder)
    return loaded.float().eval()


class _Wrapped(torch.nn.Module):  # type: ignore[misc]  # torch is Any to the checker
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
        out: torch.Tensor = self.model(sample, timestep, encoder_hidden_states, return_dict=False)[
            0
        ]
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
