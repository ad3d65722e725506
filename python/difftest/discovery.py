"""From a folder to its tests: which files, which functions, under which ids, and what was wrong."""

from __future__ import annotations

import functools
import itertools
import os
import tokenize
from collections.abc import Collection as AnyCollection
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

from difftest import imports, metrics, plugins, traces
from difftest.errors import ConfigurationError
from difftest.nearest import suggestion
from difftest.registry import ATTRIBUTE, Quality, TestDefinition, get_registry

_CONFTEST = "conftest.py"
#: Beside the tests, it may declare metrics without any of them importing it.
_METRICS = "metrics.py"
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

    A file that cannot be imported is an error of the collection, not an exception. Each ``conftest.py`` from the
    repository's root to the tests is imported before them, as pytest does it, and so is each ``metrics.py`` beside the
    tests that names difftest. Raises ``ConfigurationError`` where ``test_dir`` does not exist.
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
    try:
        files = [*_above(test_dir, root), *find_files(test_dir)]
    except OSError as failed:
        raise ConfigurationError(
            f"the folder of the tests cannot be read: {failed.filename}: {failed.strerror}"
        ) from failed
    known = {str(file) for file in files}
    for folder, beside in itertools.groupby(files, key=lambda file: file.parent):
        with imports.test_folder(folder):
            for file in beside:
                _collect_file(file, root, known, collection)
    _check_metrics(collection)
    return collection


def _above(test_dir: Path, root: Path) -> Iterator[Path]:
    """The ``conftest.py`` files of the folders around the tests, the repository's root first."""
    for folder in reversed(test_dir.parents):
        beside = test_dir.is_file() and folder == test_dir.parent  # find_files gives that one
        if not beside and folder.is_relative_to(root) and (folder / _CONFTEST).is_file():
            yield folder / _CONFTEST


def find_files(test_dir: Path) -> Iterator[Path]:
    """The files to import, sorted; each folder's ``conftest.py`` and ``metrics.py`` first, its folders last."""
    if test_dir.is_file():
        yield from _declaring(test_dir.parent)
        yield test_dir
        return
    yield from _declaring(test_dir)
    with os.scandir(test_dir) as scanned:
        entries = sorted(scanned, key=lambda entry: entry.name)
    folders = []
    for entry in entries:
        if entry.is_dir():
            hidden = entry.name.startswith(".") or entry.name in _SKIPPED
            if not hidden and not entry.is_symlink():
                folders.append(test_dir / entry.name)
        elif entry.name.startswith("test_") and entry.name.endswith(".py") and entry.is_file():
            yield test_dir / entry.name
    for folder in folders:
        if not (folder / "pyvenv.cfg").exists():
            yield from find_files(folder)


def _declaring(folder: Path) -> Iterator[Path]:
    conftest, metrics = folder / _CONFTEST, folder / _METRICS
    if conftest.is_file():
        yield conftest
    # A module of this name that has nothing to do with difftest is left to those who import it.
    if metrics.is_file() and b"difftest" in metrics.read_bytes():
        yield metrics


def _collect_file(file: Path, root: Path, files: AnyCollection[str], into: Collection) -> None:
    place = relative(file, root)
    declared_before = len(get_registry().tests)
    importing = imports.import_beside if file.name == _METRICS else imports.import_file
    try:
        module = importing(file)
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
    module: ModuleType, file: Path, place: str, files: AnyCollection[str]
) -> Iterator[CollectedTest]:
    """Decorated functions by their name in the module; those imported from a test file are that file's."""
    seen = set()
    own = str(file)
    for name, value in list(vars(module).items()):
        definition = getattr(value, ATTRIBUTE, None)
        if not isinstance(definition, TestDefinition) or id(definition) in seen:
            continue
        if definition.file != own and definition.file in files:
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
    named = {name for test in collection.tests for name in _metrics_of(test)}
    known = metrics.known()
    missing = named.difference(known)
    if missing:  # looking through what is installed takes longer than all of the above
        known += plugins.names(plugins.METRICS)
        missing.difference_update(known)
    usable = []
    for test in collection.tests:
        unknown = [name for name in _metrics_of(test) if name in missing]
        if not unknown:
            usable.append(test)
        for name in unknown:
            message = f"`{test.definition.name}` names the metric `{name}`, which does not exist; "
            collection.errors.append(
                CollectionError(test.file, test.definition.line, message + suggestion(name, known))
            )
    collection.tests[:] = usable


def _metrics_of(test: CollectedTest) -> tuple[str, ...]:
    kind = test.definition.kind
    return kind.metrics if isinstance(kind, Quality) else ()


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


def relative(file: str | Path, root: str | Path) -> str:
    """The path as ids and annotations have it: relative to the root, with `/`."""
    return _relative(str(file), str(root))


@functools.lru_cache(maxsize=4096)
def _relative(file: str, root: str) -> str:
    return Path(os.path.relpath(file, root)).as_posix()
