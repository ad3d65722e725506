"""ONNX Runtime sessions over shipped graphs, and the fingerprint of what they run."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from difftest.onnx_runtime import Runtime

if TYPE_CHECKING:
    from onnxruntime import InferenceSession


class Graph:
    """One ONNX graph with one output, loaded when it first runs."""

    def __init__(self, path: Path, runtime: Runtime) -> None:
        if not path.exists():
            raise FileNotFoundError(f"{path} is missing: the folder holds no exported model")
        self.path, self._runtime = path, runtime

    @functools.cached_property
    def _session(self) -> InferenceSession:
        return self._runtime.session(self.path)

    def __call__(self, inputs: Mapping[str, npt.NDArray[Any]]) -> npt.NDArray[np.float32]:
        output: npt.NDArray[np.float32] = self._session.run(None, dict(inputs))[0]
        return output


def digest(files: Iterable[Path], options: Mapping[str, object]) -> str:
    """SHA-256 over the files' contents, in order, and the options; hexadecimal."""
    total = hashlib.sha256()
    for file in files:
        total.update(hashlib.sha256(file.read_bytes()).digest())
    for name, value in sorted(options.items()):
        total.update(f"\0{name}={value!r}".encode())
    return total.hexdigest()
