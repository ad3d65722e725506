"""What other distributions bring, by entry point: ``difftest.generators`` and ``difftest.metrics``.

Nothing is looked for before a name is asked for that difftest does not have itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from difftest.errors import DifftestError
from difftest.traces import describe

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GENERATORS = "difftest.generators"
METRICS = "difftest.metrics"


def names(group: str) -> list[str]:
    """The names that installed distributions bring, sorted."""
    # Half of the time that discovery's imports take, for what most runs never ask.
    from importlib.metadata import entry_points

    return sorted({entry.name for entry in entry_points(group=group)})


def find(
    group: str, name: str, *, own: Iterable[str], error: type[DifftestError]
) -> EntryPoint | None:
    """The entry point of this name, if there is one.

    Raises ``error`` where the name is one of difftest's ``own``, or where two distributions claim it: whose was meant
    is not for us to guess.
    """
    from importlib.metadata import entry_points

    # One distribution may be found twice, by two entries of sys.path.
    found = {
        (_distribution(entry), entry.value): entry for entry in entry_points(group=group, name=name)
    }
    claimed = sorted({distribution for distribution, _ in found})
    if claimed and name in own:
        raise error(
            f"`{name}` is difftest's own, and {' and '.join(claimed)} claims the name too (entry points "
            f"`{group}`); uninstall it, or have it choose another name"
        )
    if len(found) > 1:
        claims = " and ".join(f"{distribution} ({value})" for distribution, value in sorted(found))
        raise error(
            f"`{name}` is claimed twice, by {claims} (entry points `{group}`); uninstall one"
        )
    return next(iter(found.values()), None)


def load(entry: EntryPoint, *, error: type[DifftestError]) -> Any:
    """What the entry point names, imported. A distribution that breaks at it is named in the ``error``."""
    try:
        return entry.load()
    except DifftestError:
        raise
    except (Exception, SystemExit) as broken:
        raise error(f"{origin(entry)} cannot be loaded: {describe(broken)}") from broken


def origin(entry: EntryPoint) -> str:
    """The entry point and whose it is, for messages."""
    return f"`{entry.name}` of {_distribution(entry)} ({entry.value})"


def _distribution(entry: EntryPoint) -> str:
    if entry.dist is None:
        return "an unknown distribution"
    return f"{entry.dist.name} {entry.dist.version}"
