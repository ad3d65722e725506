"""Where in the source a decorated thing stands."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any


def of_decorator(target: Callable[..., Any]) -> tuple[str, int]:
    """Absolute path and line, from 1, of the decorator that is being applied to ``target`` now.

    Python applies a decorator with the line of its expression, so the frame that does it knows which of several
    decorators this one is. Frames of files and lines elsewhere (a project's own wrapper around ours) are skipped.
    """
    inner = inspect.unwrap(target)
    if isinstance(inner, type):
        return _of_class(inner)
    code = inner.__code__
    file, lines = code.co_filename, [line for *_, line in code.co_lines() if line]
    first, last = code.co_firstlineno, max([code.co_firstlineno, *lines])
    frame: FrameType | None = sys._getframe(1)
    line = first
    while frame is not None:
        if frame.f_code.co_filename == file and first <= frame.f_lineno <= last:
            line = frame.f_lineno
            break
        frame = frame.f_back
    return str(Path(file).resolve()), line


def _of_class(target: type) -> tuple[str, int]:
    """A class knows no line of its own: the frame of its module that is running now does."""
    module = sys.modules.get(target.__module__)
    file = getattr(module, "__file__", None)
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        if frame.f_globals.get("__name__") == target.__module__:
            return str(Path(frame.f_code.co_filename).resolve()), frame.f_lineno
        frame = frame.f_back
    return str(Path(file).resolve()) if file else "<unknown>", 1
