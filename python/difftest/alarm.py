"""Ending what Python's main thread waits for, from outside of Python.

The engine's watchdog, a thread that needs no interpreter, sends SIGALRM to the process. The handler runs in the main
thread as soon as Python does: between two instructions, and also out of ``time.sleep``, locks and sockets, which a
signal wakes up.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

from difftest.errors import TimeoutError

_previous: Any = None


def watch(overdue: Callable[[], str | None]) -> bool:
    """Have the signal raise ``TimeoutError`` with what ``overdue`` says, if it says anything.

    Answers whether that is possible: only the main thread may set a handler.
    """
    global _previous

    def ring(*_: object) -> None:
        message = overdue()
        if message is not None:
            raise TimeoutError(message)

    try:
        _previous = signal.signal(signal.SIGALRM, ring)
    except ValueError:
        return False
    return True


def unwatch() -> None:
    """Put the handler back that was there before."""
    global _previous
    if _previous is not None:
        signal.signal(signal.SIGALRM, _previous)
        _previous = None
