"""What weights are, in one digest: of the files they were read from, or of the tensors themselves."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

_BLOCK = 1 << 20
_SHA256 = re.compile(r"[0-9a-f]{64}")


def of_file(file: Path) -> str:
    """SHA-256 of the file's content, hexadecimal.

    The hub's cache stores a large file under its SHA-256 and links to it
    (https://huggingface.co/docs/huggingface_hub/guides/manage-cache): then it is known without reading gigabytes.
    """
    blob = file.resolve()
    if file.is_symlink() and blob.parent.name == "blobs" and _SHA256.fullmatch(blob.name):
        return blob.name
    total = hashlib.sha256()
    with file.open("rb") as content:
        while block := content.read(_BLOCK):
            total.update(block)
    return total.hexdigest()


def of_files(folder: Path, files: Iterable[Path]) -> str:
    """Of the files' paths in ``folder`` and their contents, in whatever order they are given."""
    ordered = sorted(set(files))
    # hashlib lets other threads run while it hashes.
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        digests = list(pool.map(of_file, ordered))
    names = [file.relative_to(folder).as_posix() for file in ordered]
    return of_json(dict(zip(names, digests, strict=True)))


def of_json(content: Any) -> str:
    """Of anything JSON can say, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()


def of_modules(modules: Mapping[str, Any]) -> str:
    """Of the parameters and buffers of torch modules, by name: for those that came from no file."""
    total = hashlib.sha256()
    for name, module in sorted(modules.items()):
        for key, tensor in sorted(module.state_dict().items()):
            if not hasattr(tensor, "detach"):
                total.update(f"{name}.{key}={tensor!r}".encode())
                continue
            held = tensor.detach().cpu().contiguous()
            total.update(f"{name}.{key}:{held.dtype}:{tuple(held.shape)}".encode())
            total.update(_bytes(held))
    return total.hexdigest()


def _bytes(tensor: Any) -> memoryview:
    import torch

    # numpy has no bfloat16: the bytes are taken as they lie.
    flat = tensor.reshape(-1)
    return memoryview(flat.view(torch.uint8).numpy()) if flat.numel() else memoryview(b"")
