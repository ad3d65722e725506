"""What the engine asks of a generator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Image = npt.NDArray[np.uint8]


class Generator(Protocol):
    """Prompts and seeds to images. Loaded once in a run; one thread calls it, a batch at a time."""

    @property
    def name(self) -> str:
        """What made the images, for people: ``onnx`` or ``module:factory``."""

    @property
    def fingerprint(self) -> str:
        """Hexadecimal. Of weights and options together: equal fingerprints promise equal recipes."""

    @property
    def batch_size(self) -> int:
        """How many images it makes at a time, at least 1."""

    def describe(self) -> dict[str, Any]:
        """JSON-able, with at least ``device``, ``threads``, ``batch_size`` and ``versions``: what could move a bit."""

    def generate(
        self,
        prompts: Sequence[str],
        seeds: Sequence[int],
        negative_prompts: Sequence[str | None],
    ) -> list[Image]:
        """One RGB image, ``uint8 (H, W, 3)``, for each of the three sequences' entries, in their order.

        Raises ``GeneratorError``, whose message says which prompt and seed, where one can be blamed.
        """
