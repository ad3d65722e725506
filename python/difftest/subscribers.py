"""Functions that are told every event of a run, as it happens."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from difftest.errors import ConfigurationError

Event = dict[str, Any]
F = TypeVar("F", bound=Callable[[Event], object])

#: By where they stand: a file that is imported again replaces its own.
_subscribers: dict[tuple[str, str, int], Callable[[Event], object]] = {}
#: Those whose first mistake was told already.
_failed: set[tuple[str, str, int]] = set()


def subscribe(callback: F) -> F:
    """Have ``callback`` called with each event of a run, a ``dict`` as ``docs/events.md`` has it. Also a decorator.

    Declare it in a test file, or in a module that one imports. It is called on a thread of its own, one event at a
    time, in order, up to ``run_finished``. An exception in it is a warning and changes nothing else; one that stays
    thousands of events behind gets no more of them.
    """
    if not callable(callback):
        raise ConfigurationError(
            f"difftest.subscribe was given {callback!r}; a function of one event was expected"
        )
    code = getattr(callback, "__code__", None)
    _subscribers[
        getattr(callback, "__module__", None) or "",
        getattr(callback, "__qualname__", None) or type(callback).__qualname__,
        code.co_firstlineno if code is not None else id(callback),
    ] = callback
    return callback


def count() -> int:
    return len(_subscribers)


def publish(lines: Sequence[str]) -> list[str]:
    """Hand each line of the stream to each subscriber. Answers what is to be said of those that failed."""
    complaints = (
        _hand(line, key, callback) for line in lines for key, callback in list(_subscribers.items())
    )
    return [complaint for complaint in complaints if complaint is not None]


def _hand(line: str, key: tuple[str, str, int], callback: Callable[[Event], object]) -> str | None:
    try:
        callback(json.loads(line))
    except BaseException as broken:  # noqa: BLE001  (whatever it raises is its own)
        if key not in _failed:
            _failed.add(key)
            trace = "".join(traceback.format_exception(broken)).rstrip()
            return f"the subscriber {key[1]} failed, here for the first time: {trace}"
    return None
