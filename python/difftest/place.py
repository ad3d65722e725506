"""Where in the source a decorated thing stands."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple


class Line(NamedTuple):
    """A line that is running."""

    file: str
    module: str
    number: int


def running() -> tuple[Line, ...]:
    """Every line that is running now, the innermost first, up to the import of the file that is being read."""
    lines = []
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        if file.startswith("<frozen importlib"):
            break  # whoever imports the file has declared nothing in it
        lines.append(Line(file, frame.f_globals.get("__name__", ""), frame.f_lineno))
        frame = frame.f_back
    return tuple(lines)


def of_decorator(target: Callable[..., Any], called: tuple[Line, ...]) -> tuple[str, int]:
    """Absolute path and line, from 1, of the decorator that is being applied to ``target`` now.

    ``called`` is what was running when the decorator was made: ``@difftest.test(...)`` is made at its own line, which
    tells several decorators of one function apart. One that was made elsewhere (a project's own wrapper around ours)
    is found by the line that applies it. Lines outside of the function are somebody else's.
    """
    inner = inspect.unwrap(target)
    if isinstance(inner, type):
        return _of_class(inner, called)
    code = inner.__code__
    first = code.co_firstlineno
    last = max([first, *(line for *_, line in code.co_lines() if line)])

    def within(lines: tuple[Line, ...]) -> int | None:
        own = (line.number for line in lines if line.file == code.co_filename)
        return next((number for number in own if first <= number <= last), None)

    line = within(called)
    if line is None and sys.version_info >= (3, 11):  # before, it is applied at the line of `def`
        line = within(running())
    return _resolved(code.co_filename), line or first


def _of_class(target: type, called: tuple[Line, ...]) -> tuple[str, int]:
    """A class does not know its lines: that of its module which made the decorator is taken."""
    for line in called:
        if line.module == target.__module__:
            return _resolved(line.file), line.number
    file = getattr(sys.modules.get(target.__module__), "__file__", None)
    return _resolved(file) if file else "<unknown>", 1


@functools.lru_cache(maxsize=4096)
def _resolved(file: str) -> str:
    """Asking the file system for every test of a file takes longer than all else that declaring it does."""
    return str(Path(file).resolve())
