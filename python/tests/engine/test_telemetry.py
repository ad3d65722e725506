"""What the process uses, and those who read the events along."""

from __future__ import annotations

import json
from typing import Any

import pytest

SUITE = """
@difftest.test(prompts=["slow {n}"], variables={"n": [str(n) for n in range(30)]},
               metrics=["brightness"], seeds=[1])
def test_long():
    pass


@difftest.test(prompts=["a"], metrics=["brightness"], seeds=[1])
def test_short():
    pass
"""


def test_samples_come_once_a_second_for_every_test_and_at_the_end(
    repository: Any, read_events: Any
) -> None:
    repository.write_test("tests/test_a.py", SUITE)
    finished, report = repository.run("--run-dir", "run")
    assert finished.code == 0
    events = read_events(repository.root / "run/events.jsonl")
    samples = [e for e in events if e["event"] == "telemetry"]
    # 30 images of 50 ms: a second and a half.
    own = [e.get("test", "").rsplit("::")[-1] for e in samples]
    assert own.count("test_long") >= 1
    assert "test_short" in own
    assert [e["event"] for e in events[-2:]] == ["telemetry", "run_finished"]
    for sample in samples:
        assert sample["rss_bytes"] > 10_000_000
        assert sample["rss_peak_bytes"] >= sample["rss_bytes"] * 0.9
    cpu = [e["cpu_seconds"] for e in samples]
    assert cpu == sorted(cpu)
    assert cpu[0] > 0
    peaks = [result["peak"]["rss_bytes"] for result in report["results"]]
    assert all(peak > 10_000_000 for peak in peaks)
    long = [e["rss_bytes"] for e in samples if e.get("test", "").endswith("test_long")]
    assert peaks[0] == max(long)


SUBSCRIBED = """
import json
import pathlib


@difftest.subscribe
def note(event):
    with pathlib.Path("seen.jsonl").open("a") as seen:
        seen.write(json.dumps(event) + "\\n")
"""


def test_a_subscriber_is_told_every_event_in_order(repository: Any, read_events: Any) -> None:
    repository.write_test("tests/test_a.py", SUBSCRIBED + SUITE)
    finished, _ = repository.run("--run-dir", "run")
    assert finished.code == 0, finished.err
    seen = (repository.root / "seen.jsonl").read_text().splitlines()
    events = read_events(repository.root / "run/events.jsonl")
    assert [json.loads(line) for line in seen] == events


def test_an_exception_in_a_subscriber_is_one_warning_and_the_others_go_on(
    repository: Any, read_events: Any
) -> None:
    broken = """
@difftest.subscribe
def broken(event):
    raise RuntimeError("no dashboard here")
"""
    repository.write_test("tests/test_a.py", SUBSCRIBED + broken + SUITE)
    finished, report = repository.run("--run-dir", "run")
    assert finished.code == 0
    assert report["status"] == "passed"
    events = read_events(repository.root / "run/events.jsonl")
    (warning,) = [e for e in events if e["event"] == "log"]
    assert "the subscriber broken failed" in warning["message"]
    assert "no dashboard here" in warning["message"]
    assert "no dashboard here" in finished.err
    seen = (repository.root / "seen.jsonl").read_text().splitlines()
    told = [json.loads(line)["event"] for line in seen]
    assert (told[0], told[-1], len(told)) == ("run_started", "run_finished", len(events))


def test_what_no_one_can_call_is_refused() -> None:
    import difftest

    with pytest.raises(difftest.ConfigurationError, match="a function of one event"):
        difftest.subscribe("print")  # type: ignore[type-var]


def test_a_slow_subscriber_misses_nothing(repository: Any, read_events: Any) -> None:
    """More events than may wait: the run waits for it, without holding what it needs to go on."""
    slow = """
import time

@difftest.subscribe
def slow(event):
    if event["event"] == "run_started":
        time.sleep(2)
"""
    many = """
@difftest.test(prompts=["a"], metrics=["brightness"], seeds=list(range(3000)))
def test_many():
    pass
"""
    repository.write_test("tests/test_a.py", SUBSCRIBED + slow + many)
    finished, _ = repository.run("--run-dir", "run")
    assert finished.code == 0, finished.err
    assert "do not keep up" not in finished.err
    events = read_events(repository.root / "run/events.jsonl")
    assert len(events) > 6000
    seen = (repository.root / "seen.jsonl").read_text().splitlines()
    assert len(seen) == len(events)
