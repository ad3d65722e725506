"""The shipped weights as folders that diffusers and transformers load unchanged.

Needs neither: files are copied, and float16 is widened to float32, which loses nothing.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from difftest.shapes import safetensors_file
from difftest.shapes.diffusion import SCHEDULER_CONFIG
from difftest.shapes.layout import CLIP_FILE, TEXT_ENCODER_FILE, UNET_FILE, WEIGHTS
from difftest.shapes.tokenizer import MAX_TOKENS, TOKENIZER_FILE
from difftest.shapes.world import IMAGE_SIZE

#: CLIP's pixels are scaled to -1..1.
CLIP_MEAN = CLIP_STD = 0.5


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _widen(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source.with_name("config.json"), target.with_name("config.json"))
    tensors = safetensors_file.read(source)
    for name, tensor in tensors.items():
        if tensor.dtype == np.float16:
            tensors[name] = tensor.astype(np.float32)
    safetensors_file.write(target, tensors)


def _write_tokenizer(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(TOKENIZER_FILE, folder / "tokenizer.json")
    _write_json(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": MAX_TOKENS,
            "pad_token": "<pad>",
            "bos_token": "<bos>",
            "unk_token": "<unk>",
            "eos_token": "<eos>",
        },
    )


def write_diffusers_folder(out: Path, weights: Path = WEIGHTS) -> Path:
    """What ``StableDiffusionPipeline.from_pretrained(out, vae=None)`` loads; answers ``out``."""
    _widen(weights / UNET_FILE, out / UNET_FILE)
    _widen(weights / TEXT_ENCODER_FILE, out / TEXT_ENCODER_FILE)
    _write_tokenizer(out / "tokenizer")
    _write_json(out / "scheduler" / "scheduler_config.json", SCHEDULER_CONFIG)
    _write_json(
        out / "model_index.json",
        {
            "_class_name": "StableDiffusionPipeline",
            "feature_extractor": [None, None],
            "image_encoder": [None, None],
            "requires_safety_checker": False,
            "safety_checker": [None, None],
            "scheduler": ["diffusers", "DDIMScheduler"],
            "text_encoder": ["transformers", "CLIPTextModel"],
            "tokenizer": ["transformers", "PreTrainedTokenizerFast"],
            "unet": ["diffusers", "UNet2DConditionModel"],
            "vae": [None, None],
        },
    )
    return out


def write_clip_folder(out: Path, weights: Path = WEIGHTS) -> Path:
    """Write what ``CLIPModel.from_pretrained(out)`` and ``AutoTokenizer`` load; answers ``out``."""
    name = Path(CLIP_FILE).name
    _widen(weights / CLIP_FILE, out / name)
    _write_tokenizer(out)
    _write_json(
        out / "preprocessor_config.json",
        {
            "image_processor_type": "CLIPImageProcessor",
            "do_center_crop": False,
            "do_convert_rgb": True,
            "do_normalize": True,
            "do_rescale": True,
            "do_resize": True,
            "size": {"height": IMAGE_SIZE, "width": IMAGE_SIZE},
            "image_mean": [CLIP_MEAN] * 3,
            "image_std": [CLIP_STD] * 3,
        },
    )
    return out
