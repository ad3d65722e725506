"""Trained networks to the files this package ships.

``weights/`` holds, for each network, its ``config.json``, its float16 safetensors file, and the
ONNX graph that reads the very same file.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np

from difftest.shapes import safetensors_file
from difftest.shapes.diffusers_folder import write_clip_folder, write_diffusers_folder
from difftest.shapes.diffusion import LATENT_SHAPE
from difftest.shapes.layout import (
    CLIP_FILE,
    CLIP_IMAGE_GRAPH,
    CLIP_TEXT_GRAPH,
    TEXT_ENCODER_FILE,
    TEXT_ENCODER_GRAPH,
    UNET_FILE,
    UNET_GRAPH,
    WEIGHTS,
)
from difftest.shapes.tokenizer import tokenize
from difftest.shapes.world import IMAGE_SIZE


def _ship(trained: Path, weights: Path, file: str) -> None:
    """Copy one network's configuration and round its weights to float16."""
    target = weights / file
    target.parent.mkdir(parents=True, exist_ok=True)
    config = json.loads((trained / file).with_name("config.json").read_text(encoding="utf-8"))
    for origin in ("_name_or_path", "dtype", "torch_dtype"):
        config.pop(origin, None)
    text = json.dumps(config, indent=1, sort_keys=True) + "\n"
    target.with_name("config.json").write_text(text, encoding="utf-8")
    tensors = {
        name: tensor.astype(np.float16) if tensor.dtype == np.float32 else tensor
        for name, tensor in safetensors_file.read(trained / file).items()
    }
    safetensors_file.write(target, tensors)


def export_diffusion(trained: Path, weights: Path = WEIGHTS) -> None:
    """Ship the networks ``train`` left in ``trained`` (needs torch, diffusers, transformers and
    onnx).
    """
    import torch

    from difftest.shapes.onnx_graph import export_graph
    from difftest.shapes.torch_modules import (
        NoisePredictor,
        TextEncoder,
        load_text_encoder,
        load_unet,
    )

    for file in (UNET_FILE, TEXT_ENCODER_FILE):
        _ship(trained, weights, file)
    with tempfile.TemporaryDirectory() as scratch:
        folder = write_diffusers_folder(Path(scratch), weights)
        text_encoder, unet = load_text_encoder(folder), load_unet(folder)
    ids = torch.tensor(tokenize(["a small red circle", ""]))
    with torch.no_grad():
        context = TextEncoder(text_encoder)(ids)
    export_graph(
        TextEncoder(text_encoder),
        [ids],
        weights / TEXT_ENCODER_GRAPH,
        inputs=["input_ids"],
        output="last_hidden_state",
        weights=weights / TEXT_ENCODER_FILE,
        names={f"model.{name}": name for name in text_encoder.state_dict()},
    )
    export_graph(
        NoisePredictor(unet),
        [torch.randn(2, *LATENT_SHAPE), torch.tensor([999, 499]), context],
        weights / UNET_GRAPH,
        inputs=["sample", "timestep", "encoder_hidden_states"],
        output="out_sample",
        weights=weights / UNET_FILE,
        names={f"model.{name}": name for name in unet.state_dict()},
    )


def export_clip(trained: Path, weights: Path = WEIGHTS) -> None:
    """Ship the CLIP ``train_clip`` left in ``trained`` (needs torch, transformers and onnx)."""
    import torch

    from difftest.shapes.onnx_graph import export_graph
    from difftest.shapes.torch_modules import ImageEmbedder, TextEmbedder, load_clip

    _ship(trained, weights, CLIP_FILE)
    with tempfile.TemporaryDirectory() as scratch:
        model = load_clip(write_clip_folder(Path(scratch), weights))
    names = {f"model.{name}": name for name in model.state_dict()}
    export_graph(
        TextEmbedder(model),
        [torch.tensor(tokenize(["a small red circle", ""]))],
        weights / CLIP_TEXT_GRAPH,
        inputs=["input_ids"],
        output="text_embeds",
        weights=weights / CLIP_FILE,
        names=names,
    )
    export_graph(
        ImageEmbedder(model),
        [torch.randn(2, 3, IMAGE_SIZE, IMAGE_SIZE)],
        weights / CLIP_IMAGE_GRAPH,
        inputs=["pixel_values"],
        output="image_embeds",
        weights=weights / CLIP_FILE,
        names=names,
    )
