"""What the networks answered, so that nobody waits for the same answer twice."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from difftest.shapes.session import Graph

Call = Callable[[Graph, Mapping[str, npt.NDArray[Any]]], npt.NDArray[np.float32]]


class Memory:
    """What the networks answered the base. They are functions: half of the changes ask them the same
    again, bit by bit, and need not wait.
    """

    def __init__(self) -> None:
        self._answers: dict[bytes, npt.NDArray[np.float32]] = {}

    @contextlib.contextmanager
    def answering(self, *, learn: bool) -> Iterator[None]:
        own: Call = Graph.__call__

        def ask(graph: Graph, inputs: Mapping[str, npt.NDArray[Any]]) -> npt.NDArray[np.float32]:
            key = self._key(graph, inputs)
            known = self._answers.get(key)
            if known is not None:
                return known.copy()
            answer = own(graph, inputs)
            if learn:
                self._answers[key] = answer.copy()
            return answer

        Graph.__call__ = ask  # type: ignore[method-assign]
        try:
            yield
        finally:
            Graph.__call__ = own  # type: ignore[method-assign]

    @staticmethod
    def _key(graph: Graph, inputs: Mapping[str, npt.NDArray[Any]]) -> bytes:
        """Of the graph by its path, how it runs, and the inputs' bytes."""
        total = hashlib.sha256(f"{graph.path} {graph._runtime}".encode())
        for name, value in sorted(inputs.items()):
            total.update(f"{name} {value.shape} {value.dtype}".encode())
            total.update(np.ascontiguousarray(value).tobytes())
        return total.digest()
