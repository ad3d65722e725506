"""``module:factory``: a generator that the repository under test makes itself."""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from difftest import imports
from difftest.errors import DifftestError, GeneratorError
from difftest.generators.adapter import Adapter, missing_module
from difftest.nearest import suggestion
from difftest.traces import innermost

_NAME = re.compile(r"(?P<module>[^\W\d]\w*(\.[^\W\d]\w*)*):(?P<factory>[^\W\d]\w*(\.[^\W\d]\w*)*)")


def load(name: str, *, device: str, root: Path) -> Adapter:
    """Import the module from the repository at ``root`` and call its factory, with ``device`` if it takes one."""
    found = _NAME.fullmatch(name)
    if found is None:
        raise GeneratorError(
            f"the generator is `{name}`; write `module:factory`, e.g. `pipeline:make` for the "
            "function `make` of pipeline.py at the repository's root"
        )
    root = root.resolve()
    imports.enter_repository(root)
    module = _import(found["module"], name, root)
    factory = _attribute(module, found["factory"], name)
    target = _make(factory, name, device)
    return Adapter(name, target, device=device, sources=lambda: _sources(root))


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


def _make(factory: Any, name: str, device: str) -> Any:
    if not callable(factory) or (hasattr(factory, "generate") and not isinstance(factory, type)):
        return factory  # the object itself
    try:
        signature = inspect.signature(factory)
    except (TypeError, ValueError):
        return _called(factory, name, {})
    options = {"device": device} if "device" in signature.parameters else {}
    try:
        signature.bind(**options)
    except TypeError:
        return factory  # it takes a prompt and a seed: it makes images itself
    return _called(factory, name, options)


def _called(factory: Callable[..., Any], name: str, options: dict[str, str]) -> Any:
    try:
        return factory(**options)
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
