"""Where in a person's own code an exception broke."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path
from types import TracebackType

from difftest.imports import repository

#: difftest itself and the standard library.
_NOT_THEIRS = (f"{Path(__file__).parent}/", "<", f"{sys.base_prefix}/lib")
#: A message is read by people; what a library adds beyond this is not.
_LONGEST = 600
#: Folders of installed packages: nobody mends a test there.
_INSTALLED = ("site-packages", "dist-packages")


def innermost(error: BaseException, otherwise: str) -> str:
    """``Kind: message (file:line)`` with the innermost line outside of installed packages and of difftest."""
    return f"{describe(error)} ({_place(error) or otherwise})"


def describe(error: BaseException) -> str:
    """``Kind: message`` in one line."""
    message = " ".join(str(error).split())
    if len(message) > _LONGEST:
        message = f"{message[:_LONGEST]}…"
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def line_within(error: BaseException, root: Path) -> tuple[Path, int] | None:
    """The innermost line of the traceback in a file below ``root`` that is not an installed package."""
    found = None
    for frame, line in traceback.walk_tb(error.__traceback__):
        file = Path(frame.f_code.co_filename)
        if _is_own_code(file) and file.is_absolute() and file.is_relative_to(root):
            found = file, line
    return found


def shown(file: Path, line: int) -> str:
    """``file:line`` as a person of the repository knows it: from its root."""
    root = repository()
    inside = root is not None and file.is_relative_to(root)
    return f"{file.relative_to(root) if root and inside else file}:{line}"


def _place(error: BaseException) -> str | None:
    found = None
    trace: TracebackType | None = error.__traceback__
    for frame, line in traceback.walk_tb(trace):
        file = Path(frame.f_code.co_filename)
        if _is_own_code(file):
            found = shown(file, line)
    return found


def _is_own_code(file: Path) -> bool:
    text = str(file)
    return not (text.startswith(_NOT_THEIRS) or any(part in _INSTALLED for part in file.parts))
