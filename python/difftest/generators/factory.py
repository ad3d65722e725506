"""``module:factory``: a generator that the repository under test makes itself."""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from difftest import imports
from difftest.errors import DifftestError, GeneratorError
from difftest.generators.adapter import Adapter, is_pipeline, missing_module
from difftest.generators.options import SECRETS
from difftest.nearest import suggestion
from difftest.traces import innermost

if TYPE_CHECKING:
    from difftest.generators import Options

_NAME = re.compile(r"(?P<module>[^\W\d]\w*(\.[^\W\d]\w*)*):(?P<factory>[^\W\d]\w*(\.[^\W\d]\w*)*)")


#: What a factory may ask for by name.
_OFFERED = ("model", "device", "options", "recipe")


def load(name: str, asked: Options) -> Adapter:
    """Import the module from the repository at ``asked.root`` and call its factory, with what it asks for by name:
    ``model``, ``device``, ``options`` (the table ``[options]``) and ``recipe`` (the settings of the run's recipe).
    """
    found = _NAME.fullmatch(name)
    if found is None:
        raise GeneratorError(
            f"the generator is `{name}`; write `module:factory`, e.g. `pipeline:make` for the "
            "function `make` of pipeline.py at the repository's root"
        )
    root = Path(asked.root).resolve()
    imports.enter_repository(root)
    module = _import(found["module"], name, root)
    factory = _attribute(module, found["factory"], name)
    target, took_options = _make(factory, name, asked)
    if is_pipeline(target):
        from difftest.generators import diffusers

        return diffusers.adapt(
            name, target, asked, sources=lambda: _sources(root), shared_options=took_options
        )
    if not took_options:
        _refuse_options(name, asked)
    # The settings of the recipe are known to the engine; what else the factory was told, to us alone.
    told = {key: value for key, value in asked.options.items() if key not in SECRETS}
    return Adapter(
        name, target, device=asked.device, sources=lambda: _sources(root), made_with=told
    )


def _import(module_name: str, name: str, root: Path) -> ModuleType:
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as missing:
        if missing.name and module_name.split(".")[: len(missing.name.split("."))] == (
            missing.name.split(".")
        ):
            here = [file.stem for file in root.glob("*.py")]
            raise GeneratorError(
                f"the generator `{name}` names the module `{module_name}`, which is not in "
                f"{root}; {suggestion(module_name, here)}"
            ) from missing
        raise GeneratorError(missing_module(f"the generator `{name}`", missing)) from missing
    except DifftestError:
        raise
    except (Exception, SystemExit) as broken:
        raise GeneratorError(
            f"the module of the generator `{name}` cannot be imported: {innermost(broken, name)}"
        ).with_traceback(broken.__traceback__) from broken
    file = getattr(module, "__file__", None)
    if file is None or not Path(file).resolve().is_relative_to(root):
        raise GeneratorError(
            f"the generator `{name}` names a module outside of the repository ({file or 'built in'}): "
            f"no pull request could change it; put a module into {root} that imports what you need"
        )
    return module


def _attribute(module: ModuleType, path: str, name: str) -> Any:
    value: Any = module
    for part in path.split("."):
        if not hasattr(value, part):
            known = [word for word in vars(value) if not word.startswith("_")]
            raise GeneratorError(
                f"the generator `{name}` names `{path}`, which {module.__file__} does not have; "
                f"{suggestion(part, known)}"
            )
        value = getattr(value, part)
    return value


def _make(factory: Any, name: str, asked: Options) -> tuple[Any, bool]:
    """What makes the images, and whether the options were given to the factory."""
    itself = not callable(factory) or is_pipeline(factory)
    if itself or (hasattr(factory, "generate") and not isinstance(factory, type)):
        return factory, False  # the object itself
    try:
        signature = inspect.signature(factory)
    except (TypeError, ValueError):
        return _called(factory, name, {}), False
    given = {field: getattr(asked, field) for field in _OFFERED if field in signature.parameters}
    try:
        signature.bind(**given)
    except TypeError:
        return factory, False  # it takes a prompt and a seed: it makes images itself
    return _called(factory, name, given), "options" in given


def _refuse_options(name: str, asked: Options) -> None:
    """An option that nobody reads is a mistake. Secrets may stand in the environment for another generator."""
    for key in asked.options.keys() - SECRETS:
        raise GeneratorError(
            f"the option `{key}` is set, and the generator `{name}` takes none; let the factory take a parameter "
            "`options`, or leave it out"
        )


def _called(factory: Callable[..., Any], name: str, given: dict[str, Any]) -> Any:
    try:
        return factory(**given)
    except DifftestError:
        raise
    except ModuleNotFoundError as missing:
        raise GeneratorError(missing_module(f"the generator `{name}`", missing)) from missing
    except (Exception, SystemExit) as broken:
        raise GeneratorError(
            f"the generator `{name}` did not load: {innermost(broken, name)}"
        ).with_traceback(broken.__traceback__) from broken


def _sources(root: Path) -> list[Path]:
    """The repository's modules that are imported by now, tests excepted: any of them may make the images."""
    files = set()
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__dict__", {}).get("__file__")
        if file is None or imports.is_test_module(name):
            continue
        path = Path(file).resolve()
        installed = "site-packages" in path.parts
        if path.suffix == ".py" and path.is_relative_to(root) and not installed:
            files.add(path)
    return sorted(files)
