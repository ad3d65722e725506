"""All changes, by name."""

from __future__ import annotations

from tests.bank.changes import Change
from tests.bank.harmful import HARMFUL
from tests.bank.harmless import HARMLESS

CHANGES: tuple[Change, ...] = (*HARMLESS, *HARMFUL)


def named(names: list[str]) -> list[Change]:
    """The changes of these names in the bank's order, all where none is named."""
    unknown = set(names) - {change.name for change in CHANGES}
    if unknown:
        raise SystemExit(f"the bank has no change {', '.join(sorted(unknown))}")
    return [change for change in CHANGES if not names or change.name in names]
