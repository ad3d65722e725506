"""Weights that are made on the spot: small networks of the published architectures, random and the same every time.

They are given as files under the published names, and come in through the loading that the real ones come through.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

Images = list[NDArray[np.uint8]]


@pytest.fixture(autouse=True)
def weights_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder of weights, and no other place and no network to have them from."""
    from difftest.metrics import backbone

    folder = tmp_path / "weights"
    folder.mkdir()
    for variable in ("DIFFTEST_CLIP_MODEL", "DIFFTEST_GENEVAL_PROMPTS"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("DIFFTEST_WEIGHTS_DIR", str(folder))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    yield folder
    backbone.forget_all()


@pytest.fixture
def images() -> Callable[..., Images]:
    """Random images of a size, low frequencies mixed in."""

    def make(count: int, height: int = 48, width: int = 48, seed: int = 0) -> Images:
        from PIL import Image

        rng = np.random.default_rng(seed)
        made = []
        for _ in range(count):
            coarse = rng.integers(0, 256, (6, 6, 3), np.uint8)
            smooth = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
            noise = rng.normal(0, 12, (height, width, 3))
            made.append(np.clip(np.asarray(smooth) + noise, 0, 255).astype(np.uint8))
        return made

    return make


@pytest.fixture
def clip_folder(weights_dir: Path) -> Callable[..., Path]:
    """Writes a small CLIP under the name of a hub's model: 32 x 32 pixels, two layers, embeddings as wide as asked."""

    def write(name: str, seed: int = 0, width: int = 768, size: int = 32) -> Path:
        import torch
        import transformers

        torch.manual_seed(seed)
        layers = {
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
        }
        config = transformers.CLIPConfig(
            text_config={
                **layers,
                "vocab_size": 514,
                "max_position_embeddings": 77,
                "bos_token_id": 512,
                "eos_token_id": 513,
            },
            vision_config={**layers, "image_size": size, "patch_size": 8},
            projection_dim=width,
        )
        folder = weights_dir / name
        transformers.CLIPModel(config).save_pretrained(folder)
        write_clip_tokenizer(folder)
        (folder / "preprocessor_config.json").write_text(
            json.dumps(
                {
                    "size": {"shortest_edge": size},
                    "crop_size": {"height": size, "width": size},
                    "resample": 3,
                    "image_mean": [0.48145466, 0.4578275, 0.40821073],
                    "image_std": [0.26862954, 0.26130258, 0.27577711],
                    "do_resize": True,
                    "do_center_crop": True,
                    "do_normalize": True,
                    "image_processor_type": "CLIPImageProcessor",
                }
            )
        )
        return folder

    return write


def write_clip_tokenizer(folder: Path) -> None:
    """CLIP's byte-level tokenizer with no merges: every letter is a token."""
    letters = [chr(code) for code in (*range(33, 127), *range(161, 173), *range(174, 256))]
    letters += [chr(256 + index) for index in range(256 - len(letters))]
    words = [*letters, *(f"{letter}</w>" for letter in letters)]
    words += ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = {word: index for index, word in enumerate(words)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\n", encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(
        json.dumps(
            {
                "tokenizer_class": "CLIPTokenizer",
                "bos_token": "<|startoftext|>",
                "eos_token": "<|endoftext|>",
                "unk_token": "<|endoftext|>",
                "pad_token": "<|endoftext|>",
                "model_max_length": 77,
            }
        )
    )


@pytest.fixture
def head_file(weights_dir: Path) -> Callable[..., Path]:
    """Writes an aesthetic head under its published name."""

    def write(seed: int = 0, change: Callable[[dict[str, Any]], Any] | None = None) -> Path:
        import torch
        from torch import nn

        torch.manual_seed(seed)
        widths = {0: (768, 1024), 2: (1024, 128), 4: (128, 64), 6: (64, 16), 7: (16, 1)}
        state = {}
        for index, (taken, given) in widths.items():
            layer = nn.Linear(taken, given)
            state[f"layers.{index}.weight"], state[f"layers.{index}.bias"] = (
                layer.weight.detach(),
                layer.bias.detach(),
            )
        if change is not None:
            change(state)
        file = weights_dir / "sac+logos+ava1-l14-linearMSE.pth"
        torch.save(state, file)
        return file

    return write


@pytest.fixture
def distribution(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Puts a made distribution with entry points, and its modules, on ``sys.path``."""
    import importlib
    import sys
    import textwrap

    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))
    made: list[str] = []

    def install(name: str, entry_points: dict[str, dict[str, str]], **modules: str) -> None:
        info = site / f"{name.replace('-', '_')}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        lines = [
            line
            for group, entries in entry_points.items()
            for line in (f"[{group}]", *(f"{key} = {value}" for key, value in entries.items()))
        ]
        (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
        for module, text in modules.items():
            (site / f"{module}.py").write_text(textwrap.dedent(text))
            made.append(module)
        importlib.invalidate_caches()

    yield install
    for module in made:
        sys.modules.pop(module, None)
