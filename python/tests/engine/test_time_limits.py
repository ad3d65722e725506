"""Limits of time that hold whatever the code under test does."""

from __future__ import annotations

import json
import signal
import time
from typing import Any

import pytest

#: The words of a prompt make it hang in one way or another.
HANGING = """
    import collections
    import itertools
    import threading
    import time

    import fake


    class Hanging(fake.Fake):
        batch_size = 2

        def picture(self, prompt, seed, negative):
            if "asleep" in prompt:
                time.sleep(3600)
            if "locked" in prompt:
                lock = threading.Lock()
                lock.acquire()
                lock.acquire()
            while "deaf" in prompt:
                try:
                    time.sleep(0.01)
                except Exception:
                    pass
            if "in C" in prompt:  # holds the interpreter, and never looks at signals
                collections.deque(itertools.repeat(None), maxlen=0)
            return super().picture(prompt, seed, negative)


    def make():
        return Hanging()
"""


def suite_of(prompts: list[str]) -> str:
    return f"""
@difftest.test(prompts={prompts!r}, metrics=["brightness"], seeds=[1])
def test_pictures():
    pass


@difftest.test(prompts=["later"], metrics=["brightness"], seeds=[1])
def test_later():
    pass
"""


@pytest.fixture
def hanging(repository: Any) -> Any:
    repository.write("hanging.py", HANGING)
    return repository


@pytest.mark.parametrize("how", ["asleep", "locked"])
def test_an_image_that_hangs_is_one_failed_image(hanging: Any, how: str) -> None:
    hanging.write_test("tests/test_a.py", suite_of(["first", how, "last"]))
    started = time.monotonic()
    finished, report = hanging.run("--generator", "hanging:make", "--image-timeout", "1s")
    # Its batch of two, and then itself alone.
    assert 3 < time.monotonic() - started < 12
    assert finished.code == 1
    pictures, later = report["results"]
    (failure,) = pictures["failures"]
    assert failure["prompt"] == how
    assert failure["reason"] == "the image took longer than --image-timeout 1s"
    assert [image["prompt"] for image in pictures["images"]] == ["first", "last"]
    assert later["outcome"] == "passed"


@pytest.mark.parametrize("how", ["deaf", "in C"])
def test_an_image_that_cannot_be_ended_ends_the_run_which_says_so(
    hanging: Any, read_events: Any, how: str
) -> None:
    hanging.write_test("tests/test_a.py", suite_of(["first", "second", how, "last"]))
    arguments = ("--generator", "hanging:make", "--image-timeout", "1s", "--run-dir", "run")
    started = time.monotonic()
    finished, report = hanging.run(*arguments, "--junit", "junit.xml")
    assert 6 < time.monotonic() - started < 20
    assert finished.code == 2
    assert "the run hangs, and ends here" in finished.err
    pictures, later = report["results"]
    # Those of the batch before are there, file, score and all.
    assert {image["prompt"] for image in pictures["images"]} == {"first", "second"}
    assert {failure["prompt"] for failure in pictures["failures"]} == {how, "last"}
    assert "could not be ended" in pictures["failures"][0]["reason"]
    assert later["outcome"] == "not_run"
    assert (hanging.root / "junit.xml").exists()
    last = read_events(hanging.root / "run/events.jsonl")[-1]
    assert (last["event"], last["status"]) == ("run_finished", "error")


def test_a_run_past_its_timeout_keeps_what_it_did_and_says_what_it_did_not(
    repository: Any,
) -> None:
    slow = [f"slow {n}" for n in range(400)]
    repository.write_test("tests/test_a.py", suite_of(slow))
    started = time.monotonic()
    finished, report = repository.run("--timeout", "2s")
    assert time.monotonic() - started < 10
    assert finished.code == 2
    pictures, later = report["results"]
    assert pictures["outcome"] == later["outcome"] == "not_run"
    assert "timeout of 2s" in pictures["reasons"][0]
    assert "timeout of 2s" in finished.out
    assert 4 <= len(pictures["images"]) < 400
    assert pictures["metrics"]["brightness"]["sample_count"] == len(pictures["images"])
    assert pictures["failures"] == [], "what was under way when the run ended did not fail"


def test_a_body_that_hangs_ends_with_the_run(repository: Any) -> None:
    repository.write_test(
        "tests/test_a.py",
        """
import time


@difftest.test(prompts=["a"], metrics=["brightness"], seeds=[1])
def test_hangs():
    time.sleep(3600)
""",
    )
    finished, report = repository.run("--timeout", "1s")
    assert finished.code == 2
    assert report["results"][0]["outcome"] == "not_run"


def test_a_metric_that_hangs_cannot_keep_a_run_past_its_timeout(
    repository: Any, read_events: Any
) -> None:
    repository.write(
        "tests/test_a.py",
        """
        import time

        import difftest


        @difftest.metric("endless", range=(0.0, 1.0))
        def endless(array):
            time.sleep(3600)


        @difftest.test(prompts=["a"], metrics=["endless"], seeds=[1])
        def test_endless():
            pass
        """,
    )
    started = time.monotonic()
    finished, report = repository.run("--timeout", "1s", "--run-dir", "run")
    assert time.monotonic() - started < 25
    assert finished.code == 2
    assert len(report["results"][0]["images"]) == 1
    assert "timeout of 1s" in report["results"][0]["reasons"][0]
    assert "did not end" in read_events(repository.root / "run/events.jsonl")[-1]["reason"]


def test_time_that_the_queue_takes_is_not_the_generators(repository: Any) -> None:
    """A metric slower than the image's limit is waited for, and no image is said to be late."""
    repository.write(
        "tests/test_a.py",
        """
        import time

        import difftest


        @difftest.metric("slow", range=(0.0, 1.0))
        def slow(array):
            time.sleep(0.06)
            return 0.5


        @difftest.test(prompts=["a"], metrics=["slow"], seeds=list(range(100)))
        def test_many():
            pass
        """,
    )
    finished, report = repository.run("--image-timeout", "1s", "--jobs", "1")
    assert finished.code == 0, finished.out
    assert len(report["results"][0]["images"]) == 100


def test_the_handler_of_the_signal_is_put_back(repository: Any) -> None:
    repository.write_test("tests/test_a.py", suite_of(["a"]))
    repository.write(
        "twice.py",
        """
        import json
        import signal
        import sys

        from difftest import _native

        before = signal.getsignal(signal.SIGALRM)
        code = _native.cli_main(["difftest", "run"])
        print(json.dumps([code, signal.getsignal(signal.SIGALRM) == before]), file=sys.stderr)
        """,
    )
    process = repository.python("twice.py")
    assert json.loads(process.err.splitlines()[-1]) == [0, True]


def test_fail_fast_ends_after_the_first_test_that_does_not_pass(repository: Any) -> None:
    repository.write_test(
        "tests/test_a.py",
        """
@difftest.test(prompts=["a"], metrics=["brightness"], seeds=[1])
def test_1_passes():
    pass


@difftest.test(prompts=["b"], metrics=["brightness"], threshold=2.0, seeds=[1])
def test_2_fails():
    pass


@difftest.test(prompts=["slow {n}"], variables={"n": [str(n) for n in range(200)]},
               metrics=["brightness"], seeds=[1])
def test_3_is_not_run():
    pass
""",
    )
    finished, report = repository.run("--fail-fast")
    assert finished.code == 1
    outcomes = [result["outcome"] for result in report["results"]]
    assert outcomes == ["passed", "failed", "not_run"]
    assert "--fail-fast" in report["results"][2]["reasons"][0]
    assert len(report["results"][2]["images"]) < 200


def test_on_another_thread_a_run_works_and_no_signal_ends_the_process(hanging: Any) -> None:
    """Only Python's main thread can be interrupted: elsewhere a call that hangs ends the run."""
    hanging.write_test("tests/test_a.py", suite_of(["first", "second", "asleep"]))
    hanging.write(
        "threaded.py",
        """
        import sys
        import threading

        from difftest import _native

        arguments = ["difftest", "run", "--generator", "hanging:make", *sys.argv[1:]]
        thread = threading.Thread(target=_native.cli_main, args=(arguments,))
        thread.start()
        thread.join()
        """,
    )
    process = hanging.python("threaded.py", "--image-timeout", "1s", "--output", "results.json")
    assert process.code == 2, process.err
    report = json.loads((hanging.root / "results.json").read_text())
    assert len(report["results"][0]["images"]) == 2
    assert "could not be ended" in report["results"][0]["failures"][0]["reason"]


def test_ctrl_c_ends_a_run_whose_metric_hangs(repository: Any) -> None:
    repository.write(
        "tests/test_a.py",
        """
        import time

        import difftest


        @difftest.metric("endless", range=(0.0, 1.0))
        def endless(array):
            time.sleep(3600)


        @difftest.test(prompts=["a"], metrics=["endless"], seeds=[1])
        def test_endless():
            pass
        """,
    )
    process = repository.start("run", "--run-dir", "run")
    stream = repository.root / "run/events.jsonl"
    while not (stream.exists() and "cell_generated" in stream.read_text()):
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 130
    assert '"run_finished"' in stream.read_text().splitlines()[-1]


def test_a_baseline_that_hangs_is_one_that_failed(hanging: Any) -> None:
    hanging.write(
        "tests/test_a.py",
        """
        import difftest


        @difftest.visual_regression(prompts=["first", "asleep", "last"], seeds=[1])
        def test_look():
            pass
        """,
    )
    arguments = ("--generator", "hanging:make", "--image-timeout", "1s")
    finished = hanging.difftest("baseline", "save", *arguments)
    assert finished.code == 2
    assert "longer than --image-timeout 1s" in finished.err
    assert "3 baselines: 2 new, 1 failed" in finished.out
