"""Safetensors with numpy alone: read, write, and say where each tensor lies.

The ONNX graphs of this package hold no weights: their initialisers point into the safetensors files
that diffusers and transformers read, so both back ends run from the same bytes. Format: a
little-endian ``u64`` header length, a JSON header, then the tensors
(https://github.com/huggingface/safetensors#format).
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

_DTYPES: dict[str, np.dtype[Any]] = {
    "F16": np.dtype("<f2"),
    "F32": np.dtype("<f4"),
    "I64": np.dtype("<i8"),
}
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}
#: Bytes the first tensor is aligned to in files this module writes.
_ALIGNMENT = 16

Tensors = dict[str, npt.NDArray[Any]]


def read_header(path: Path) -> tuple[dict[str, dict[str, Any]], int]:
    """``{name: {"dtype", "shape", "data_offsets"}}`` and where in the file offset 0 lies."""
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header: dict[str, dict[str, Any]] = json.loads(file.read(length))
    header.pop("__metadata__", None)
    return header, 8 + length


def read(path: Path) -> Tensors:
    """All tensors of the file, writable copies."""
    header, start = read_header(path)
    data = path.read_bytes()
    tensors = {}
    for name, entry in header.items():
        dtype = _DTYPES.get(entry["dtype"])
        if dtype is None:
            raise ValueError(f"{path.name}: {name} has the type {entry['dtype']}, not {_known()}")
        first, last = entry["data_offsets"]
        flat = np.frombuffer(data[start + first : start + last], dtype)
        tensors[name] = flat.reshape(entry["shape"]).copy()
    return tensors


def write(path: Path, tensors: Mapping[str, npt.NDArray[Any]]) -> None:
    """Write the tensors in the order given, as ``format: pt`` (what transformers insists on)."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    offset, parts = 0, []
    for name, tensor in tensors.items():
        if tensor.dtype not in _NAMES:
            raise ValueError(f"{name} has the type {tensor.dtype}, not {_known()}")
        data = np.ascontiguousarray(tensor).tobytes()
        header[name] = {
            "dtype": _NAMES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [offset, offset + len(data)],
        }
        parts.append(data)
        offset += len(data)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-(len(text) + 8) % _ALIGNMENT)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(parts))


def _known() -> str:
    return ", ".join(_DTYPES)
