"""ImageReward's network: its published tensors in transformers' BLIP, which is the one its authors adapted."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import BlipTextConfig, BlipVisionConfig
from transformers.models.blip.modeling_blip import BlipVisionModel
from transformers.models.blip.modeling_blip_text import BlipTextModel

from difftest.errors import MetricError
from difftest.metrics import weights
from difftest.metrics.rating_head import rating_head

#: Parts that BLIP needs while it is trained, and a reward does not.
_TRAINING_ONLY = (
    *("blip.vision_proj.", "blip.text_proj.", "blip.itm_head.", "blip.text_decoder."),
    *("blip.visual_encoder_m.", "blip.text_encoder_m.", "blip.vision_proj_m.", "blip.text_proj_m."),
    *("blip.image_queue", "blip.text_queue", "blip.queue_ptr", "blip.temp"),
)
_VISION = (
    (r"^patch_embed\.proj\.", "embeddings.patch_embedding."),
    (r"^cls_token$", "embeddings.class_embedding"),
    (r"^pos_embed$", "embeddings.position_embedding"),
    (r"^norm\.", "post_layernorm."),
    (r"^blocks\.(\d+)\.norm(\d)\.", r"encoder.layers.\1.layer_norm\2."),
    (r"^blocks\.(\d+)\.attn\.qkv\.", r"encoder.layers.\1.self_attn.qkv."),
    (r"^blocks\.(\d+)\.attn\.proj\.", r"encoder.layers.\1.self_attn.projection."),
    (r"^blocks\.(\d+)\.mlp\.", r"encoder.layers.\1.mlp."),
)
#: Channels of one head in every vision transformer of BLIP, base and large.
_HEAD = 64
#: Of the vision transformer's normalisations; transformers' default is another.
_VISION_EPS = 1e-6


class RewardNetwork(nn.Module):  # type: ignore[misc]  # torch is Any to the checker
    """Ids and mask ``(N, T)`` and images ``(N, 3, S, S)`` to raw rewards ``(N,)``."""

    def __init__(self, text: BlipTextConfig, vision: BlipVisionConfig) -> None:
        super().__init__()
        self.image_size: int = vision.image_size
        self.vision = BlipVisionModel(vision)
        self.text = BlipTextModel(text, add_pooling_layer=False)
        self.mlp = rating_head(text.hidden_size)

    def forward(self, ids: Any, mask: Any, pixels: Any) -> Any:
        seen = self.vision(pixel_values=pixels).last_hidden_state
        read = self.text(input_ids=ids, attention_mask=mask, encoder_hidden_states=seen)
        return self.mlp(read.last_hidden_state[:, 0])[:, 0]


def load(metric: str, text_config: Path, file: Path) -> RewardNetwork:
    """The network with every tensor of ``ImageReward.pt``; ``text_config`` is its ``med_config.json``."""
    published = weights.tensors(metric, file)
    state = renamed(published)
    try:
        said = json.loads(text_config.read_text(encoding="utf-8"))
        vision = _vision_config(state)
        text = BlipTextConfig(
            **{key: said[key] for key in _TEXT_KEYS if key in said},
            encoder_hidden_size=vision.hidden_size,
        )
    except (OSError, ValueError, KeyError, IndexError) as broken:
        raise MetricError(
            f"{metric}: {file} and {text_config} do not describe ImageReward's network "
            f"({type(broken).__name__}: {broken})"
        ) from broken
    network = RewardNetwork(text, vision)
    weights.fill(metric, network, state, file)
    return network


_TEXT_KEYS = (
    *("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads"),
    *("max_position_embeddings", "hidden_act", "layer_norm_eps", "pad_token_id"),
)


def renamed(published: Mapping[str, Any]) -> dict[str, Any]:
    """The tensors under this module's names, without those that only training needs."""
    state = {}
    for name, tensor in published.items():
        if name.startswith(_TRAINING_ONLY) or name.endswith("position_ids"):
            continue
        if name.startswith("blip.visual_encoder."):
            inner = name.removeprefix("blip.visual_encoder.")
            for pattern, replacement in _VISION:
                inner = re.sub(pattern, replacement, inner)
            state[f"vision.{inner}"] = tensor
        elif name.startswith("blip.text_encoder."):
            state[f"text.{name.removeprefix('blip.text_encoder.')}"] = tensor
        else:
            state[name] = tensor
    return state


def tokenizer(folder: Path) -> Any:
    """BERT's, with the two tokens that BLIP adds."""
    from transformers import AutoTokenizer

    loader: Any = AutoTokenizer
    made = loader.from_pretrained(folder, local_files_only=True)
    made.add_special_tokens({"bos_token": "[DEC]", "additional_special_tokens": ["[ENC]"]})
    return made


def _vision_config(state: Mapping[str, torch.Tensor]) -> BlipVisionConfig:
    """Read off the tensors' shapes: the file says nothing else of it."""
    width, _, patch, _ = state["vision.embeddings.patch_embedding.weight"].shape
    patches = state["vision.embeddings.position_embedding"].shape[1] - 1
    layers = [
        name
        for name in state
        if re.fullmatch(r"vision\.encoder\.layers\.\d+\.mlp\.fc1\.weight", name)
    ]
    return BlipVisionConfig(
        hidden_size=width,
        intermediate_size=state[layers[0]].shape[0],
        num_hidden_layers=len(layers),
        num_attention_heads=max(width // _HEAD, 1),
        image_size=round(patches**0.5) * patch,
        patch_size=patch,
        layer_norm_eps=_VISION_EPS,
    )
