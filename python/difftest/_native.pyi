"""The native module: the engine, the App, the runner and the language server, in Rust."""

from collections.abc import Sequence as Sequence_
from typing import Any

import numpy as np
import numpy.typing as npt

from difftest.generators import Generated
from difftest.recipe import Recipe

__version__: str

def cli_main(argv: list[str]) -> int:
    """Run the command line; ``argv[0]`` is the program's name. Answers the exit code."""

def ssim(a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8]) -> float:
    """The mean structural similarity of two ``uint8 (height, width, 3)`` images of one size."""

def native_metric(
    name: str, image: npt.NDArray[np.uint8], reference: npt.NDArray[np.uint8] | None = None
) -> float:
    """The score that the native metric ``name`` gives a ``uint8 (height, width, 3)`` image, beside
    ``reference`` where the metric compares. ``ValueError`` says what cannot be scored."""

def builtin_metrics() -> str:
    """The table of the metrics that come with difftest, as JSON: a list of objects."""

def encode_png(image: npt.NDArray[np.uint8]) -> bytes:
    """The PNG file of a ``uint8 (height, width, 3)`` image, as a run writes it."""

def decode_image(file: bytes) -> npt.NDArray[np.uint8]:
    """The ``uint8 (height, width, 3)`` pixels of a PNG file, as a run reads a reference."""

def expand(template: str, variables: dict[str, list[str]], combine: str = "product") -> list[str]:
    """The prompts that a template stands for, its last variable changing fastest."""

def report_page(title: str, markdown: str) -> str:
    """A report's Markdown as an HTML page that is safe to serve."""

def schedulers() -> str:
    """Every scheduler of the registry as JSON: a list of id, name, parameters, suits, diffusers, a1111, comfyui."""

def check_recipe(json: str) -> str:
    """The recipe as JSON, its scheduler by the canonical id. Raises ``ValueError`` that names field, value and mend."""

def recipe_to_diffusers(json: str) -> str:
    """A recipe as a diffusers pipeline takes it, as JSON: ``call``, ``seed``, ``scheduler``, ``loras``."""

def recipe_to_onnx(json: str) -> str:
    """A recipe as keyword arguments of an embedded ONNX model, as JSON."""

def diffusers_names() -> str:
    """What a diffusers pipeline calls each field of a recipe, as a JSON object."""

def diffusers_scheduler(name: str) -> str:
    """A scheduler by any of its names as ``id``, ``class`` and ``config`` of diffusers, as JSON."""

def read_recipe(png: bytes) -> str | None:
    """What a PNG file says of its making, as the JSON of ``difftest recipe show --json``."""

def with_recipe(png: bytes, json: str, model: str) -> bytes:
    """The PNG file with this recipe in its text, for difftest and for A1111."""

class RemoteGenerator:
    """A generator that is spoken to over HTTP: ``comfyui``, ``a1111`` or ``api``."""

    name: str
    fingerprint: str
    batch_size: int

    def __init__(self, options: str) -> None:
        """``options`` is JSON of ``difftest.generators.Options``. Asks the back end who it is.

        Raises ``ConfigurationError`` for options it cannot use, ``GeneratorError`` for a back end that is not there.
        """

    def describe(self) -> dict[str, Any]:
        """What could move a bit: ``device`` is "remote", ``deterministic`` false, ``seeds`` "seeded" or "unseeded"."""

    def generate(self, recipes: Sequence_[Recipe]) -> RemoteImages:
        """An item for each recipe, in their order, as soon as it is there."""

class RemoteImages:
    """Images under way. Closed or dropped before its end, it calls off what the back end still works on."""

    def __iter__(self) -> RemoteImages: ...
    def __next__(self) -> Generated | Exception: ...
    def close(self) -> None: ...

class Sequence:
    """Evidence about a mean difference; ``difftest.verdict.Sequence`` documents it."""

    def __init__(
        self,
        margin_: float,
        bound: float | None,
        drop: float,
        share: float,
        alpha: float,
        planned: int,
    ) -> None: ...
    def push(self, improvements: Sequence_[float]) -> None: ...
    def evidence(self) -> tuple[int, float, list[float]]: ...
    def interval(self, alpha: float) -> tuple[float, float] | None: ...
    def units_needed(self, alpha: float) -> float | None: ...

def paired_verdict(
    pairs: Sequence_[tuple[str, int, float, float]],
    margin_: float,
    higher_is_better: bool,
    range: tuple[float, float] | None,
    drop: float,
    share: float,
    alpha: float,
    by_image: bool,
    group_sequential: bool,
    planned: int | None,
    looks: Sequence_[int],
) -> str:
    """One metric's verdict on pairs, as JSON."""

def e_bh_stand(ln_e: Sequence_[float], alpha: float) -> list[bool]:
    """Which claims stand among all of them."""

def obrien_fleming(fractions: Sequence_[float], alpha: float) -> list[float]:
    """z boundaries at increasing information fractions."""

def welch_test(
    base: Sequence_[float], head: Sequence_[float]
) -> tuple[float, float, float, float, float, float | None] | None:
    """Estimate, standard error, degrees of freedom, t, two-sided p and Cohen's d of head - base."""

def rank_models(
    scores: Sequence_[Sequence_[float | None]], seed: int
) -> list[tuple[float, int, int, int, float, int] | None]:
    """Mean, rank, its 95% bounds, the chance of being best, and the prompts, of each model."""
