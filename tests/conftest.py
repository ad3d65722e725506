"""Skips of the house's tests are counted and loud: a line each at the end, whatever the verbosity."""

from __future__ import annotations

import pytest

#: The repository under test has tests of its own, for difftest and not for pytest.
collect_ignore = ["house/repository"]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = terminalreporter.stats.get("skipped", [])
    for report in skipped:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        terminalreporter.write_line(f"SKIPPED {report.nodeid}: {reason}", yellow=True)
