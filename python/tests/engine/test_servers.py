"""Servers behind the same command end when they are told to."""

from __future__ import annotations

import signal
import subprocess
from typing import Any

import pytest

ASKED_TO_STOP = [(signal.SIGTERM, 0), (signal.SIGINT, 130)]


@pytest.mark.parametrize(("sent", "code"), ASKED_TO_STOP)
def test_a_runner_that_waits_stops_at_once(repository: Any, sent: int, code: int) -> None:
    # Nothing listens on port 9 (discard): the runner has to wait and try again.
    options = ("--url", "http://127.0.0.1:9", "--token", "t", "--allow-unsandboxed")
    process = repository.start("runner", *options)
    assert process.stderr is not None
    while "no answer to a claim" not in (line := process.stderr.readline()):
        assert line, "the runner ended by itself"
    process.send_signal(sent)
    _, err = process.communicate(timeout=20)
    assert process.returncode == code
    assert "Traceback" not in err
    assert "\x1b" not in err


def test_the_language_server_ends_with_its_client(repository: Any) -> None:
    process = repository.start("lsp", stdin=subprocess.PIPE)
    assert process.communicate(timeout=20)[0] == ""
    assert process.returncode == 1, "the client left without `shutdown`"


def test_a_server_that_cannot_start_says_why_in_one_line(repository: Any) -> None:
    finished = repository.difftest(
        "runner", "--url", "http://127.0.0.1:9", "--token-file", "missing"
    )
    assert finished.code == 2
    assert finished.err.startswith("error: ")
    assert finished.err.count("\n") == 1
    assert "missing" in finished.err
