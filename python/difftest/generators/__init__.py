"""Generators: what makes the images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from difftest.errors import GeneratorError
from difftest.nearest import suggestion

if TYPE_CHECKING:
    from difftest.generators.protocol import Generator


@dataclass(frozen=True)
class Options:
    """What the command line and ``difftest.toml`` say about the generator."""

    #: ``onnx``, or ``module:factory`` of the repository; ``None`` is the model's own.
    generator: str | None
    model: str
    device: str
    root: str


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
