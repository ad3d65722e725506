"""Faults that real pipelines suffer, done to the embedded model on purpose: each is a pipeline gone
wrong.

Weights and tokenizers are damaged as files in a scratch folder, the way a bad conversion would
leave them.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from difftest.shapes import safetensors_file
from difftest.shapes.layout import UNET_FILE, WEIGHTS
from difftest.shapes.pipeline import ShapesPipeline
from difftest.shapes.tokenizer import TOKENIZER_FILE

Tensor = npt.NDArray[Any]


def damage_weights(
    scratch: Path, change: Callable[[Tensor], Tensor], weights: Path = WEIGHTS
) -> Path:
    """A copy of ``weights`` in ``scratch`` with ``change`` applied to every matrix and kernel of
    the denoiser.
    """
    shutil.copytree(weights, scratch, dirs_exist_ok=True)
    target = scratch / UNET_FILE
    tensors = safetensors_file.read(target)
    for name, tensor in tensors.items():
        if tensor.ndim > 1:
            tensors[name] = change(tensor.astype(np.float32)).astype(tensor.dtype)
    safetensors_file.write(target, tensors)
    return scratch


def with_noise(share: float, seed: int = 5) -> Callable[[Tensor], Tensor]:
    """Gaussian noise of ``share`` times each tensor's own standard deviation."""
    rng = np.random.Generator(np.random.PCG64(seed))
    return lambda tensor: (
        tensor + rng.standard_normal(tensor.shape, np.float32) * tensor.std() * share
    )


def rounded_to(bits: int) -> Callable[[Tensor], Tensor]:
    """Symmetric round-to-nearest quantisation with one scale per output channel."""
    levels = 2 ** (bits - 1) - 1

    def quantize(tensor: Tensor) -> Tensor:
        rows = tensor.reshape(len(tensor), -1)
        scale = np.maximum(np.abs(rows).max(1, keepdims=True), 1e-8) / levels
        quantized: Tensor = (np.rint(rows / scale) * scale).reshape(tensor.shape)
        return quantized

    return quantize


def rename_words(scratch: Path, rename: Callable[[list[str]], list[str]]) -> Path:
    """A tokenizer in ``scratch`` whose words, in order of their ids, went through ``rename``."""
    content = json.loads(TOKENIZER_FILE.read_text(encoding="utf-8"))
    vocabulary: dict[str, int] = content["model"]["vocab"]
    words = sorted((word for word in vocabulary if word[0] != "<"), key=vocabulary.__getitem__)
    ids = [vocabulary[word] for word in words]
    vocabulary.update(zip(rename(words), ids, strict=True))
    scratch.mkdir(parents=True, exist_ok=True)
    file = scratch / "tokenizer.json"
    file.write_text(json.dumps(content), encoding="utf-8")
    return file


def _swapped(words: list[str], one: str, other: str) -> list[str]:
    pair = {one: other, other: one}
    return [pair.get(word, word) for word in words]


#: Name to the broken pipeline; the argument is an empty folder it may use.
FAULTS: dict[str, Callable[[Path], ShapesPipeline]] = {
    "steps 2": lambda _: ShapesPipeline(steps=2),
    "steps 1": lambda _: ShapesPipeline(steps=1),
    "guidance off": lambda _: ShapesPipeline(guidance_scale=1.0),
    "guidance 7.5": lambda _: ShapesPipeline(guidance_scale=7.5),
    "predicts epsilon": lambda _: ShapesPipeline(prediction_type="epsilon"),
    "predicts v": lambda _: ShapesPipeline(prediction_type="v_prediction"),
    "tokenizer permuted": lambda scratch: ShapesPipeline(
        tokenizer_file=rename_words(scratch, lambda words: words[1:] + words[:1])
    ),
    "red and blue swapped": lambda scratch: ShapesPipeline(
        tokenizer_file=rename_words(scratch, lambda words: _swapped(words, "red", "blue"))
    ),
    "weight noise 10%": lambda scratch: ShapesPipeline(
        weights_dir=damage_weights(scratch, with_noise(0.1))
    ),
    "weight noise 20%": lambda scratch: ShapesPipeline(
        weights_dir=damage_weights(scratch, with_noise(0.2))
    ),
    "int8 weights": lambda scratch: ShapesPipeline(
        weights_dir=damage_weights(scratch, rounded_to(8))
    ),
    "int4 weights": lambda scratch: ShapesPipeline(
        weights_dir=damage_weights(scratch, rounded_to(4))
    ),
    "int3 weights": lambda scratch: ShapesPipeline(
        weights_dir=damage_weights(scratch, rounded_to(3))
    ),
}
