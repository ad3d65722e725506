"""From a folder to its tests: which files, which functions, under which ids, and what was wrong."""

from __future__ import annotations

import os
import tokenize
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

from difftest import imports, traces
from difftest.decorators import BUILTIN_METRICS
from difftest.errors import ConfigurationError
from difftest.nearest import suggestion
from difftest.registry import ATTRIBUTE, Quality, TestDefinition, get_registry

_PATTERN = "test_*.py"
_CONFTEST = "conftest.py"
_SKIPPED = ("__pycache__", "node_modules")


@dataclass(frozen=True)
class CollectedTest:
    """A test with its id."""

    __test__ = False

    id: str
    definition: TestDefinition
    #: Relative to the root, with `/`.
    file: str
    #: Absolute: its imports are resolved from here.
    source: Path


@dataclass(frozen=True)
class CollectionError:
    """Why a file, or one of its tests, is not part of the run."""

    file: str
    line: int
    message: str


@dataclass
class Collection:
    tests: list[CollectedTest] = field(default_factory=list)
    errors: list[CollectionError] = field(default_factory=list)


def collect(test_dir: Path, root: Path) -> Collection:
    """Import every ``test_*.py`` below ``test_dir`` and collect its decorated functions.

    A file that cannot be imported is an error of the collection, not an exception. ``conftest.py`` files on the way
    are imported first. Raises ``ConfigurationError`` where ``test_dir`` does not exist.
    """
    root = root.resolve()
    test_dir = (root / test_dir).resolve()
    if not test_dir.exists():
        raise ConfigurationError(
            f"test_dir is `{test_dir}`, which does not exist; give the folder of the tests, "
            f"relative to {root}"
        )
    imports.enter_repository(root)
    imports.forget_tests()
    collection = Collection()
    files = list(find_files(test_dir))
    for file in files:
        _collect_file(file, root, files, collection)
    _check_metrics(collection)
    return collection


def find_files(test_dir: Path) -> Iterator[Path]:
    """The files to import, sorted; each folder's ``conftest.py`` before its tests and its folders."""
    if test_dir.is_file():
        yield test_dir
        return
    entries = sorted(test_dir.iterdir(), key=lambda entry: (entry.is_dir(), entry.name))
    for entry in entries:
        if entry.name == _CONFTEST and entry.is_file():
            yield entry
    for entry in entries:
        if entry.is_dir():
            hidden = entry.name.startswith(".") or entry.name in _SKIPPED
            if not hidden and not entry.is_symlink() and not (entry / "pyvenv.cfg").exists():
                yield from find_files(entry)
        elif entry.match(_PATTERN) and entry.is_file():
            yield entry


def _collect_file(file: Path, root: Path, files: Sequence[Path], into: Collection) -> None:
    place = relative(file, root)
    declared_before = len(get_registry().tests)
    try:
        module = imports.import_file(file)
    except KeyboardInterrupt:
        raise
    except BaseException as broken:  # noqa: BLE001  (a test file may even call sys.exit)
        into.errors.append(_import_error(broken, file, root))
        return
    tests = list(_tests_of(module, file, place, files))
    into.tests.extend(tests)
    found = {id(test.definition) for test in tests}
    for lost in get_registry().tests[declared_before:]:
        if lost.function.__module__ == module.__name__ and id(lost) not in found:
            into.errors.append(_lost_test(lost, tests, place))


def _tests_of(
    module: ModuleType, file: Path, place: str, files: Sequence[Path]
) -> Iterator[CollectedTest]:
    """Decorated functions by their name in the module; those imported from a test file are that file's."""
    seen = set()
    for name, value in vars(module).items():
        definition = getattr(value, ATTRIBUTE, None)
        if not isinstance(definition, TestDefinition) or id(definition) in seen:
            continue
        origin = Path(definition.file)
        if origin != file and origin in files:
            continue
        seen.add(id(definition))
        yield CollectedTest(f"{place}::{name}", definition, place, file)


def _lost_test(lost: TestDefinition, tests: Sequence[CollectedTest], place: str) -> CollectionError:
    for test in tests:
        if test.definition.name == lost.name:
            return CollectionError(
                place,
                lost.line,
                f"`{lost.name}` is defined again at line {test.definition.line}, so this test would "
                "never run; rename one of them",
            )
    return CollectionError(
        place,
        lost.line,
        f"`{lost.name}` is not a name of the module, so this test would never run; define it at the "
        "top level of the file",
    )


def _check_metrics(collection: Collection) -> None:
    """A metric may be declared after the test that names it: only now are all of them known."""
    known = {*BUILTIN_METRICS, *get_registry().metrics}
    usable = []
    for test in collection.tests:
        kind = test.definition.kind
        unknown = [m for m in kind.metrics if m not in known] if isinstance(kind, Quality) else []
        if not unknown:
            usable.append(test)
        for name in unknown:
            message = f"`{test.definition.name}` names the metric `{name}`, which does not exist; "
            collection.errors.append(
                CollectionError(test.file, test.definition.line, message + suggestion(name, known))
            )
    collection.tests[:] = usable


def _import_error(broken: BaseException, file: Path, root: Path) -> CollectionError:
    if isinstance(broken, SyntaxError) and broken.filename and broken.lineno:
        unreadable = Path(broken.filename)
        if unreadable.is_relative_to(root):  # it may be a module that the test file imports
            return _syntax_error(broken, unreadable, broken.lineno, root)
    place, line = traces.line_within(broken, root) or (file, 1)
    where = relative(place, root)
    if isinstance(broken, ConfigurationError):
        return CollectionError(where, line, str(broken))
    if isinstance(broken, SystemExit):
        message = "the file ends the process when it is imported (SystemExit); a test file only declares tests"
    elif isinstance(broken, ModuleNotFoundError):
        message = (
            f"the module `{broken.name}` is not there; install it where difftest runs, or put it "
            "beside the test or at the repository's root"
        )
    else:
        message = f"the file cannot be imported: {traces.describe(broken)}"
    return CollectionError(where, line, message)


def _syntax_error(broken: SyntaxError, file: Path, line: int, root: Path) -> CollectionError:
    source = (broken.text or _line(file, line)).strip()
    message = f"syntax error: {broken.msg}"
    return CollectionError(
        relative(file, root), line, f"{message}, in `{source}`" if source else message
    )


def _line(file: Path, line: int) -> str:
    try:
        with tokenize.open(file) as lines:
            return lines.read().splitlines()[line - 1]
    except (OSError, SyntaxError, UnicodeDecodeError, IndexError):
        return ""


def relative(file: Path, root: Path) -> str:
    """The path as ids and annotations have it: relative to the root, with `/`."""
    return Path(os.path.relpath(file, root)).as_posix()
