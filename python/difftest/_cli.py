"""The console script: all of the command line lives in the native module."""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # type checkers know it by its name; the real one costs an import of typing

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``difftest`` with these arguments, else the process's; answers the exit code."""
    try:
        from difftest import _native
    except ImportError as broken:
        sys.stderr.write(
            f"difftest: the native module did not load ({broken}). Install the package with "
            "`pip install difftest`, or build it in a checkout with `maturin develop`.\n"
        )
        return 2
    chosen = sys.argv[1:] if arguments is None else arguments
    return _native.cli_main(["difftest", *chosen])
