"""The stream of events: whole, in order, and there even when the run is not."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from typing import Any

SLOW = """
@difftest.test(prompts=["slow {n}"], variables={"n": [str(n) for n in range(100)]},
               metrics=["brightness"], seeds=[1, 2])
def test_slow():
    pass


@difftest.test(prompts=["never"], metrics=["brightness"], seeds=[1])
def test_later():
    pass
"""

TWO = """
@difftest.test(prompts=["a", "b", "c"], metrics=["brightness"], threshold=0.1, seeds=[1, 2])
def test_one():
    print("noise on standard output")


@difftest.test(prompts=["a"], metrics=["brightness"], threshold=0.1, seeds=[1])
def test_two():
    pass
"""


def wait_for(file: Path, what: str, count: int) -> None:
    deadline = time.monotonic() + 60
    while not (file.exists() and file.read_text().count(what) >= count):
        assert time.monotonic() < deadline, f"{what} did not come"
        time.sleep(0.02)


def test_standard_output_carries_the_stream_and_nothing_else(
    repository: Any, read_events: Any, kinds: Any
) -> None:
    repository.write_test("tests/test_a.py", TWO)
    finished = repository.difftest("run", "--events", "-", "--run-dir", "run")
    assert finished.code == 0, finished.err
    events = [json.loads(line) for line in finished.out.splitlines()]
    assert events == read_events(repository.root / "run/events.jsonl")
    assert kinds(events)[0] == "run_started"
    assert kinds(events)[-1] == "run_finished"
    assert events[0]["schema"] == 1
    assert events[0]["cells"] == 7
    assert events[0]["generator"] == "fake:make"
    assert events[0]["fingerprint"] == "fake-1"
    assert events[0]["environment"]["batch_size"] == 4
    assert kinds(events).count("cell_generated") == kinds(events).count("cell_scored") == 7
    assert "noise on standard output" in finished.err
    assert "passed: 2 of 2 tests passed" in finished.err


def test_events_come_in_the_order_of_the_run(repository: Any, read_events: Any, kinds: Any) -> None:
    repository.write_test("tests/test_a.py", TWO)
    repository.difftest("run", "--events", "copy.jsonl", "--run-dir", "run")
    events = read_events(repository.root / "copy.jsonl")
    tests = [
        (event["event"], event["test"].rsplit("::")[-1])
        for event in events
        if event["event"] in ("test_started", "test_finished")
    ]
    # The second may begin before the first is judged, never end before it.
    assert [test for what, test in tests if what == "test_started"] == ["test_one", "test_two"]
    assert [test for what, test in tests if what == "test_finished"] == ["test_one", "test_two"]
    state = {}
    for event in events:
        test = event.get("test")
        if event["event"] == "test_started":
            state[test] = "open"
        elif event["event"].startswith("cell_"):
            assert state[test] == "open"
        elif event["event"] == "test_finished":
            assert state[test] == "open"
            state[test] = "finished"
    assert set(state.values()) == {"finished"}
    for event in events:
        if event["event"] == "cell_generated":
            file = repository.root / "run" / event["image"]["path"]
            assert file.name == f"{event['image']['sha256']}.png"
            assert file.exists()


def test_a_killed_run_leaves_a_stream_that_can_be_read(
    repository: Any, read_events: Any, kinds: Any
) -> None:
    repository.write_test("tests/test_a.py", SLOW)
    process = repository.start("run", "--run-dir", "run")
    stream = repository.root / "run/events.jsonl"
    wait_for(stream, "cell_scored", 8)
    process.kill()
    process.communicate()
    events = read_events(stream)
    assert "run_finished" not in kinds(events)
    assert kinds(events).count("cell_generated") >= 8
    for event in events:
        if event["event"] == "cell_generated":
            assert (
                (repository.root / "run" / event["image"]["path"])
                .read_bytes()
                .endswith(b"IEND\xaeB`\x82")
            )


def test_an_interrupted_run_says_what_did_not_run(
    repository: Any, read_events: Any, kinds: Any
) -> None:
    repository.write_test("tests/test_a.py", SLOW)
    process = repository.start("run", "--run-dir", "run", "--output", "results.json")
    stream = repository.root / "run/events.jsonl"
    wait_for(stream, "cell_scored", 4)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in err
    events = read_events(stream)
    assert kinds(events)[-1] == "run_finished"
    assert (events[-1]["status"], events[-1]["reason"]) == ("error", "interrupted")
    assert kinds(events).count("cell_generated") == kinds(events).count("cell_scored")
    results = json.loads((repository.root / "results.json").read_text())["results"]
    assert [result["outcome"] for result in results] == ["not_run", "not_run"]
    assert results[0]["metrics"]["brightness"]["sample_count"] >= 4


def test_a_reader_that_leaves_ends_the_run(repository: Any) -> None:
    repository.write_test("tests/test_a.py", SLOW)
    process = repository.start("run", "--events", "-", "--run-dir", "run")
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr is not None
    err = process.stderr.read()
    assert process.wait(30) == 2
    assert "cannot write events to standard output" in err
