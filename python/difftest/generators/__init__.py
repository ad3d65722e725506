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

#: Run by this process.
LOCAL = ("diffusers", "onnx")
#: Run elsewhere and spoken to over HTTP, in Rust.
REMOTE = ("a1111", "api", "comfyui")


@dataclass(frozen=True)
class Options:
    """What the command line and ``difftest.toml`` say about the generator."""

    #: One of ``LOCAL`` or ``REMOTE``, a plug-in's name, or ``module:factory`` of the repository; ``None`` is the
    #: model's own.
    generator: str | None
    #: ``shapes``, a folder (relative to ``root``), or a hub id.
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
    from difftest import plugins

    name = options.generator or default(options.model, Path(options.root))
    if ":" in name:
        from difftest.generators import factory

        return factory.load(name, options)
    plugin = None
    if options.generator is not None:
        plugin = plugins.find(plugins.GENERATORS, name, own=(*LOCAL, *REMOTE), error=GeneratorError)
    if name == "onnx":
        from difftest.generators import onnx

        return onnx.load(options)
    if name == "diffusers":
        from difftest.generators import diffusers

        return diffusers.load(options)
    if name in REMOTE:
        from difftest.generators import remote

        return remote.load(options)
    if plugin is not None:
        from difftest.generators import plugin as third_party

        return third_party.load(plugin, options)
    known = [*LOCAL, *REMOTE, *plugins.names(plugins.GENERATORS)]
    raise GeneratorError(
        f"there is no generator `{name}`; {suggestion(name, known)} (for one of your own, "
        "name its module and factory: `pipeline:make`)"
    )


def offered(options: Options) -> dict[str, Any]:
    """The options that the generator has, by name, with their default and, where they are words, their values.

    They are ``None`` where only the generator knows them, as a factory of the repository or a plug-in does. Nothing is
    loaded. Raises ``GeneratorError`` where no generator goes with the model.
    """
    name = options.generator or default(options.model, Path(options.root))
    known: dict[str, Any] | None = None
    if name == "onnx":
        from difftest.generators import onnx
        from difftest.generators.options import described

        known = described(onnx.OnnxOptions)
    elif name == "diffusers":
        from difftest.generators import diffusers
        from difftest.generators.options import described

        known = described(diffusers.DiffusersOptions)
    return {"remote": name in REMOTE, "options": known}


def default(model: str, root: Path) -> str:
    """The generator of a model for which nobody named one.

    The embedded model and a folder of ONNX graphs are ``onnx``'s; another diffusers folder, and what looks like a hub
    id (``owner/name``), are ``diffusers``'s.
    """
    folder = root / Path(model).expanduser()
    if folder.is_dir():
        if any(folder.glob("*/model.onnx")):
            return "onnx"
        if (folder / "model_index.json").is_file():
            return "diffusers"
        raise GeneratorError(
            f"the model is the folder {model}, which holds no model: a diffusers folder has a model_index.json, and "
            "an exported one its graphs (unet/model.onnx) beside it"
        )
    owner, slash, name = model.partition("/")
    looks_like_a_hub_id = (
        bool(slash and owner and name) and "/" not in name and owner not in (".", "..", "~")
    )
    return "diffusers" if looks_like_a_hub_id else "onnx"
