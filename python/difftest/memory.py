"""Which models lie in device memory, under one budget for the whole process (``--vram-budget``).

A model is registered once with its size and its two moves, and is used inside ``with resident(handle):``. It comes
in when it is first used and stays until another one needs its room: the one idle for longest leaves first. Without a
budget everything stays where it came to lie. Generation and scoring may ask from different threads.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from difftest.errors import ConfigurationError

Move = Callable[[], object]


@dataclass(eq=False)
class Handle:
    """A registered model. Its fields belong to the ``Residency`` that made it."""

    name: str
    #: Bytes it takes while it is in device memory, its work space included.
    bytes: int
    load: Move
    unload: Move
    inside: bool = False
    #: Threads that are using it now, each as often as it has entered.
    users: list[int] = field(default_factory=list)
    last_used: int = 0


class Residency:
    """Models that share one device memory."""

    def __init__(self, budget_bytes: int | None = None) -> None:
        self._changed = threading.Condition()
        self._handles: list[Handle] = []
        self._clock = 0
        self._budget: int | None = None
        self.configure(budget_bytes)

    def configure(self, budget_bytes: int | None) -> None:
        """Set the budget; ``None`` is no limit. What no longer fits and is idle leaves at once.

        Raises ``ConfigurationError`` for a budget that is no positive number of bytes, or that a registered model
        alone exceeds.
        """
        if budget_bytes is not None and budget_bytes <= 0:
            raise ConfigurationError(
                f"the budget of device memory is {budget_bytes} bytes; a number above 0 was expected"
            )
        with self._changed:
            for handle in self._handles:
                _check_fits(handle.name, handle.bytes, budget_bytes)
            self._budget = budget_bytes
            if budget_bytes is not None:
                self._make_room(0)
            self._changed.notify_all()

    def register(self, name: str, bytes: int, load: Move, unload: Move) -> Handle:  # noqa: A002
        """A model that is in main memory now. ``load`` moves it to the device, ``unload`` off it."""
        with self._changed:
            _check_fits(name, bytes, self._budget)
            handle = Handle(name, bytes, load, unload)
            self._handles.append(handle)
            return handle

    def forget(self, handle: Handle) -> None:
        """Move the model off the device and register it no longer."""
        with self._changed:
            if handle.users:
                raise ConfigurationError(f"the model `{handle.name}` is in use and cannot leave")
            if handle in self._handles:
                self._move_off(handle)
                self._handles.remove(handle)
                self._changed.notify_all()

    @contextlib.contextmanager
    def resident(self, handle: Handle) -> Iterator[None]:
        """Inside, the model is on the device.

        Waits while others use the memory it needs. A thread that already holds a model never waits, or two of them
        could wait for each other for ever: where both do not fit it gets a ``ConfigurationError``.
        """
        me = threading.get_ident()
        with self._changed:
            self._enter(handle, me)
        try:
            yield
        finally:
            with self._changed:
                handle.users.remove(me)
                self._changed.notify_all()

    def bytes_inside(self) -> int:
        """Bytes of the registered models that are on the device now."""
        with self._changed:
            return self._inside()

    def _enter(self, handle: Handle, me: int) -> None:
        while not handle.inside:
            if handle not in self._handles:
                raise ConfigurationError(f"the model `{handle.name}` is not registered any more")
            if self._make_room(handle.bytes):
                self._move_in(handle)
                break
            held = [other.name for other in self._handles if me in other.users]
            if held:
                raise ConfigurationError(
                    f"the models `{held[0]}` and `{handle.name}` are needed together, and the budget of "
                    f"{_gigabytes(self._budget or 0)} does not hold both; raise --vram-budget"
                )
            self._changed.wait()
        self._clock += 1
        handle.last_used = self._clock
        handle.users.append(me)

    def _make_room(self, wanted: int) -> bool:
        """Whether ``wanted`` bytes fit, moving idle models off for them."""
        if self._budget is None:
            return True
        idle = [handle for handle in self._handles if handle.inside and not handle.users]
        idle.sort(key=lambda handle: handle.last_used)
        free = self._budget - self._inside()
        if wanted > free + sum(handle.bytes for handle in idle):
            return False  # nothing leaves in vain
        for handle in idle:
            if wanted <= free:
                break
            self._move_off(handle)
            free += handle.bytes
        return wanted <= free

    def _move_in(self, handle: Handle) -> None:
        try:
            handle.load()
        except BaseException:
            # Half of it may be there, and would count for nothing.
            with contextlib.suppress(Exception):
                handle.unload()
            raise
        handle.inside = True

    def _move_off(self, handle: Handle) -> None:
        if handle.inside:
            handle.unload()
            handle.inside = False

    def _inside(self) -> int:
        return sum(handle.bytes for handle in self._handles if handle.inside)


def _check_fits(name: str, size: int, budget: int | None) -> None:
    if budget is not None and size > budget:
        raise ConfigurationError(
            f"the model `{name}` takes {_gigabytes(size)} of device memory and the budget is "
            f"{_gigabytes(budget)}; raise --vram-budget, or use a smaller model or dtype"
        )


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.2f} GB"


_process = Residency()

configure = _process.configure
register = _process.register
forget = _process.forget
resident = _process.resident
bytes_inside = _process.bytes_inside
