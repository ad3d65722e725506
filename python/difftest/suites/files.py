"""Prompt suites of a repository: finding the file, and remembering what it held."""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from difftest import imports
from difftest.errors import ConfigurationError
from difftest.nearest import nearest
from difftest.suites import PromptSuite, formats

#: A list of prompts is written by people. This is 100,000 long ones.
_LARGEST = 16 * 2**20


def read(path: str) -> PromptSuite:
    """The suite in this file, found from the code that runs now. Raises ``ConfigurationError``."""
    file = _find(path)
    try:
        known = file.stat()
        if known.st_size > _LARGEST:
            raise ConfigurationError(
                f"{_shown(file)}: the file has {known.st_size / 2**20:.0f} MiB, and a prompt suite "
                f"at most {_LARGEST // 2**20}; split it"
            )
        return _read(file, known.st_mtime_ns, known.st_size)
    except OSError as failed:
        raise ConfigurationError(
            f"{_shown(file)}: the prompt suite cannot be read: {failed.strerror or failed}"
        ) from failed


@functools.lru_cache(maxsize=64)
def _read(file: Path, _changed_ns: int, _size: int) -> PromptSuite:
    return formats.parse(file.read_bytes(), shown=_shown(file), stem=file.stem, ending=file.suffix)


def _find(path: str) -> Path:
    if Path(path).suffix.lower() not in formats.ENDINGS:
        raise ConfigurationError(
            f"suite is {path!r}; a prompt suite is a file that ends in {', '.join(formats.ENDINGS)}"
        )
    folders = list(dict.fromkeys(_folders()))
    for folder in folders:
        file = folder / path
        if file.is_file():
            return file.resolve()
    if Path(path).is_absolute():
        raise ConfigurationError(f"there is no prompt suite at {path!r}")
    raise ConfigurationError(
        f"there is no prompt suite {path!r} in {' or in '.join(map(_shown, folders))}"
        f"{_similar(path, folders)}; a path is relative to the test's file or to the repository's root"
    )


def _folders() -> Iterator[Path]:
    """Where a relative path may start: beside the code that names it, then at the root."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if module.partition(".")[0] != "difftest":
            file = Path(frame.f_code.co_filename)
            if file.is_absolute() and file.exists():
                yield file.parent
            break
        frame = frame.f_back
    yield imports.repository() or Path.cwd()


def _similar(path: str, folders: list[Path]) -> str:
    for folder in folders:
        beside = (folder / path).parent
        if not beside.is_dir():
            continue
        names = [file.name for file in beside.iterdir() if file.suffix in formats.ENDINGS]
        found = nearest(Path(path).name, names)
        if found is not None:
            return f" (there is `{found}`)"
    return ""


def _shown(file: Path) -> str:
    """As a person of the repository knows it: from its root."""
    root = imports.repository() or Path.cwd()
    return str(file.relative_to(root)) if file.is_relative_to(root) else str(file)
