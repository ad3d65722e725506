"""Writes image_reward.json: what image-reward's own code answers on a small network. Run by hand, where it can be.

    pip install --target site --no-deps image-reward==1.5 timm==0.6.13 fairscale==0.4.13 transformers==4.30.2 \
        tokenizers==0.13.3 huggingface_hub==0.16.4
    PYTHONPATH=site python image_reward.py

These versions exclude current ones of everything else, so no test imports them. The weights are drawn anew from the
names and shapes of the tensors, by ``drawn``: only those, the input and the answers are kept.
"""

from __future__ import annotations

import itertools
import json
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np

FILE = Path(__file__).with_suffix(".json")
VISION = {"img_size": 32, "patch_size": 8, "embed_dim": 128, "depth": 2, "num_heads": 2}
TEXT = {
    "hidden_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 64,
    "max_position_embeddings": 40,
    "vocab_size": 60,
    "pad_token_id": 0,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-12,
    "add_cross_attention": True,
}


def drawn(shapes: dict[str, list[int]]) -> dict[str, Any]:
    """Tensors of these names and shapes, always the same ones."""
    import torch

    rng = np.random.default_rng(7)
    state = {}
    for name, shape in sorted(shapes.items()):
        spread = 1 / np.sqrt(shape[-1]) if len(shape) == 2 else 0.2
        values = rng.normal(0, spread, shape).astype(np.float32)
        norm = name.endswith("weight") and len(shape) == 1
        state[name] = torch.from_numpy(values + 1 if norm else values)
    return state


def inputs() -> tuple[Any, Any, Any]:
    """Ids, mask and images of two samples; the first text is padded."""
    import torch

    rng = np.random.default_rng(8)
    ids = torch.from_numpy(rng.integers(1, 60, (2, 12)))
    mask = torch.ones_like(ids)
    mask[0, 7:] = 0
    ids[0, 7:] = 0
    return ids, mask, torch.from_numpy(rng.normal(0, 1, (2, 3, 32, 32)).astype(np.float32))


def main() -> None:
    import torch

    # Its packages import the whole program, training and downloads included; these modules need nothing of it.
    (root,) = (Path(entry) for entry in sys.path if (Path(entry) / "ImageReward").is_dir())
    for name in ("ImageReward", "ImageReward.models"):
        package = types.ModuleType(name)
        package.__path__ = [str(root / name.replace(".", "/"))]
        sys.modules[name] = package
    from ImageReward.models.BLIP.med import BertConfig, BertModel
    from ImageReward.models.BLIP.vit import VisionTransformer

    config = BertConfig(**TEXT, encoder_width=VISION["embed_dim"])
    blip = torch.nn.Module()
    blip.visual_encoder = VisionTransformer(**VISION)
    blip.text_encoder = BertModel(config=config, add_pooling_layer=False)
    blip.vision_proj = torch.nn.Linear(VISION["embed_dim"], 16)
    network = torch.nn.Module()
    network.blip = blip
    # ImageReward.py's MLP, whose file imports the program.
    widths, layers = (TEXT["hidden_size"], 1024, 128, 64, 16, 1), []
    for index, (taken, given) in enumerate(itertools.pairwise(widths)):
        layers += [torch.nn.Linear(taken, given), *([torch.nn.Dropout(0.2)] if index < 3 else [])]
    network.mlp = torch.nn.Module()
    network.mlp.layers = torch.nn.Sequential(*layers)

    shapes = {name: list(t.shape) for name, t in network.state_dict().items()}
    network.load_state_dict(
        {**drawn({n: s for n, s in shapes.items() if not n.endswith("position_ids")})}, strict=False
    )
    network.eval()
    ids, mask, pixels = inputs()
    with torch.no_grad():
        seen = blip.visual_encoder(pixels)
        read = blip.text_encoder(
            ids,
            attention_mask=mask,
            encoder_hidden_states=seen,
            encoder_attention_mask=torch.ones(seen.shape[:-1], dtype=torch.long),
            return_dict=True,
        )
        rewards = network.mlp.layers(read.last_hidden_state[:, 0, :])[:, 0]
    FILE.write_text(
        json.dumps({"text": TEXT, "shapes": shapes, "rewards": rewards.tolist()}, indent=1) + "\n"
    )


if __name__ == "__main__":
    main()
