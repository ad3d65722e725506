"""Generators: what makes the images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from difftest.errors import GeneratorError
from difftest.generators.protocol import Generated
from difftest.nearest import suggestion

if TYPE_CHECKING:
    from difftest.generators.protocol import Generator

__all__ = ["Generated", "Options", "load"]


@dataclass(frozen=True)
class Options:
    """What the command line and ``difftest.toml`` say about the generator."""

    #: ``onnx``, or ``module:factory`` of the repository; ``None`` is the model's own.
    generator: str | None
    model: str
    device: str
    #: The repository under test.
    root: str
    #: The table ``[options]``, and what the command line adds to it.
    options: Mapping[str, Any] = field(default_factory=dict)
    #: The settings of the run's recipe, those that are set.
    recipe: Mapping[str, Any] = field(default_factory=dict)
    #: How many requests a back end may have under way.
    jobs: int = 1
    #: After how long one image is given up.
    image_timeout_s: float | None = None
    #: What all models of the run together may take of the card's memory.
    vram_budget_bytes: int | None = None


def load(options: Options) -> Generator:
    """The generator, its weights loaded. Raises ``GeneratorError`` with what there is instead."""
    name = options.generator
    if name is None or name == "onnx":
        from difftest.generators import onnx

        return onnx.load(options.model, options.device)
    if ":" not in name:
        known = ["onnx"]
        raise GeneratorError(
            f"there is no generator `{name}`; {suggestion(name, known)} (for one of your own, "
            "name its module and factory: `pipeline:make`)"
        )
    from difftest.generators import factory

    return factory.load(name, device=options.device, root=Path(options.root))
