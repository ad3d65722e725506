"""Importing files of the repository under test, each as itself.

Two folders may hold files of one name, tests as well as the modules beside them. So a test file is imported under a
name made from its path, and the modules it finds beside itself are put aside when another folder's turn comes.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib
import importlib.util
import re
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

_PREFIX = "_difftest_"
#: The repository under test; there is one in a process.
_root: Path | None = None
#: By import base of a test file: the modules that were found directly in it, while another base has its turn.
_aside: dict[Path, dict[str, ModuleType]] = {}
#: ``sys.path`` and ``sys.modules`` are the process's: one thread at a time gives a base its turn.
_turn = threading.RLock()


def enter_repository(root: Path) -> None:
    """Make the modules at the repository's (absolute) root importable."""
    global _root
    _root = root
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    importlib.invalidate_caches()


def repository() -> Path | None:
    """The root that was entered last."""
    return _root


def forget_tests() -> None:
    """Forget what was imported from test folders before: the files may have changed."""
    _aside.clear()
    import_base.cache_clear()
    for name in [name for name in sys.modules if is_test_module(name)]:
        del sys.modules[name]


def is_test_module(name: str) -> bool:
    """Whether this module was imported as a test file."""
    return name.startswith(_PREFIX)


@contextlib.contextmanager
def test_folder(folder: Path) -> Iterator[None]:
    """Inside, the files of ``folder`` are imported: it is a folder of tests from now on."""
    _aside.setdefault(import_base(folder), {})
    with importing_from(folder):
        yield


def import_beside(file: Path) -> ModuleType:
    """The file under the name by which the tests beside it import it, so that it runs once. Else as ``import_file``."""
    with test_folder(file.parent):
        name = ".".join(file.with_suffix("").relative_to(import_base(file.parent)).parts)
        module = importlib.import_module(name)
        found = getattr(module, "__file__", None)
        # Something else of this name may have come first: then the file is run under a name of its own.
        if found is not None and Path(found).resolve() == file:
            return module
        return import_file(file)


def import_file(file: Path) -> ModuleType:
    """Run the file as a module. Raises whatever the file raises, ``SyntaxError`` included."""
    name = _module_name(file)
    with test_folder(file.parent):
        package, _, _ = name.rpartition(".")
        if package:
            importlib.import_module(package)
        spec = importlib.util.spec_from_file_location(name, file)
        if spec is None or spec.loader is None:
            raise ImportError(f"{file} is not a Python file")
        module = importlib.util.module_from_spec(spec)
        # Before it runs: dataclasses and pickle look a class's module up by its name.
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
        return module


@contextlib.contextmanager
def importing_from(folder: Path) -> Iterator[None]:
    """Inside, a file of ``folder`` imports as pytest would have it: from its import base, then from the root.

    Needed again whenever code of a test file runs: it may import when it is called. Code of other folders (a product's
    own metrics, an installed package) imports as ever, and this does nothing. Within itself, too: files of one base
    that are imported one after the other share a turn, which costs a look at what they have imported.
    """
    base = import_base(folder)
    with _turn:
        if base not in _aside or str(base) in sys.path:
            yield
            return
        sys.path.insert(0, str(base))
        # Files may have come since the folder was last looked into; no other folder is the matter here.
        sys.path_importer_cache.pop(str(base), None)
        elsewhere = set(sys.modules)
        sys.modules.update(_aside[base])
        try:
            yield
        finally:
            with contextlib.suppress(ValueError):
                sys.path.remove(str(base))
            _aside[base] = {
                name: sys.modules[name]
                for name in sys.modules.keys() - elsewhere
                if _lies_in(sys.modules[name], name, base)
            }
            for name in _aside[base]:
                del sys.modules[name]


@functools.cache
def import_base(folder: Path) -> Path:
    """The folder itself, or the one above the package that it belongs to."""
    while (folder / "__init__.py").exists() and folder.parent != folder:
        folder = folder.parent
    return folder


def _module_name(file: Path) -> str:
    base = import_base(file.parent)
    if base != file.parent:
        return ".".join(file.with_suffix("").relative_to(base).parts)
    path = file.relative_to(_root) if _root and file.is_relative_to(_root) else file
    digest = hashlib.sha256(path.as_posix().encode()).hexdigest()[:8]
    return f"{_PREFIX}{re.sub(r'[^0-9a-zA-Z]+', '_', file.stem)}_{digest}"


def _lies_in(module: object, name: str, base: Path) -> bool:
    """Whether the module's topmost package or module is an entry of ``base``."""
    top = name.partition(".")[0]
    if top.startswith(_PREFIX) or top == "difftest":
        return False
    namespace = vars(module) if isinstance(module, ModuleType) else {}
    file = namespace.get("__file__")
    places = [file] if file else list(namespace.get("__path__") or ())
    own = str(base / top)
    return any(f"{place}/".startswith((f"{own}/", f"{own}.py/")) for place in places)
