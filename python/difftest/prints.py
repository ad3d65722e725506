"""Standard output may carry the event stream: what a repository's own code prints goes elsewhere."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator
from typing import TextIO

_lock = threading.Lock()
_inside = 0
_standard_output: TextIO | None = None


@contextlib.contextmanager
def to_stderr() -> Iterator[None]:
    """Inside, ``print`` writes to standard error. Threads may be inside at the same time."""
    global _inside, _standard_output
    with _lock:
        if _inside == 0:
            _standard_output, sys.stdout = sys.stdout, sys.stderr
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0 and _standard_output is not None:
                sys.stdout, _standard_output = _standard_output, None
