"""Under which conditions images were made: what could move a bit between two equal recipes."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import sys
from typing import Any

import difftest
from difftest.onnx_runtime import PROVIDERS

#: Libraries whose version could move a bit. Recorded where they are installed, in use or not: an import more or less in
#: a test file is no other condition.
_BACK_ENDS = (
    "accelerate",
    "diffusers",
    "numpy",
    "onnxruntime",
    "onnxruntime-gpu",
    "peft",
    "pillow",
    "tokenizers",
    "torch",
    "transformers",
)
#: A device as people say it, by what ONNX Runtime calls it.
_DEVICES = {full: short for short, full in PROVIDERS.items()}


def device(stated: Any, asked: str) -> str:
    """What the generator says itself, in people's words, else what the run asked for."""
    return _DEVICES.get(stated, stated) if isinstance(stated, str) else asked


def threads(stated: Any) -> int:
    """What it says itself, else torch's, else as many as it may take."""
    if isinstance(stated, int) and not isinstance(stated, bool) and stated > 0:
        return stated
    torch = sys.modules.get("torch")
    if torch is not None:
        return int(torch.get_num_threads())
    return cores()


def cores() -> int:
    """How many this process may run on."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def versions() -> dict[str, str]:
    found = {"difftest": difftest.__version__, "python": sys.version.split()[0]}
    for distribution in _BACK_ENDS:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[distribution] = importlib.metadata.version(distribution)
    return found
