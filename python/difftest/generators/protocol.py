"""What the engine asks of a generator."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from difftest.recipe import Recipe

    Image: TypeAlias = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Generated:
    """An image with what the back end said about it."""

    #: RGB, ``uint8 (H, W, 3)``.
    image: Image
    #: US dollars, where the back end tells.
    cost_usd: float | None = None
    #: Attempts before the one that succeeded.
    retries: int = 0
    #: PNG text that came with the image, by keyword.
    text: Mapping[str, str] = field(default_factory=dict)


class Generator(Protocol):
    """Recipes to images. Loaded once in a run; one thread calls it, a batch at a time.

    It may have an ``unload()``, called once when no more images are wanted.
    """

    @property
    def name(self) -> str:
        """What made the images, for people: ``onnx`` or ``module:factory``."""

    @property
    def fingerprint(self) -> str:
        """Of weights and options together: equal fingerprints promise that equal recipes make equal images."""

    @property
    def batch_size(self) -> int:
        """How many images it makes at a time, at least 1."""

    def describe(self) -> dict[str, Any]:
        """JSON-able, with at least ``device``, ``threads``, ``batch_size`` and ``versions``: what could move a bit."""

    def generate(self, recipes: Sequence[Recipe]) -> Iterable[Image | Generated | Exception]:
        """One item for each recipe, in their order, as early as it is made.

        An image is RGB, ``uint8 (H, W, 3)``. An exception in the place of an image is that image's failure alone; one
        that is raised is the failure of all that were still to come.
        """
