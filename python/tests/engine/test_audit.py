"""`difftest audit`: which differences move a suite, measured on the embedded model by real runs."""

from __future__ import annotations

import json
import signal
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest

SUITE = """
import difftest


@difftest.test(prompts=["a {size} {color} circle , center , on a white background"],
               variables={"size": ["small", "large"], "color": ["red", "blue", "green"]},
               metrics=["shapes_oracle", "sharpness"], seeds=[1, 2])
def test_circles():
    pass


@difftest.visual_regression(prompts=["a small blue cross , top left , on a black background"], seeds=[1])
def test_the_cross():
    pass
"""


@pytest.fixture
def shapes(repository: Any) -> Any:
    repository.write("difftest.toml", 'model = "shapes"\nincremental = true\n')
    repository.write("tests/test_a.py", SUITE)
    return repository


def audit(repository: Any, *arguments: str) -> tuple[Any, list[dict[str, Any]]]:
    output = repository.root / "audit.json"
    finished = repository.difftest("audit", "--output", str(output), *arguments)
    assert output.exists(), finished.err
    return finished, json.loads(output.read_text())["audit"]["findings"]


def test_every_source_is_tried_or_its_absence_said(shapes: Any) -> None:
    finished, findings = audit(shapes, "--markdown", "audit.md")
    assert finished.code == 0, finished.err
    by_setting = {finding["setting"] or finding["source"]: finding for finding in findings}
    again = by_setting["again"]
    assert (again["images"], again["changed"], again["missing"]) == (13, 0, 0)
    assert "The same run again moves none of 13 images" in finished.out
    for setting in ("batch size 1", "2 threads"):
        measured = by_setting[setting]
        assert measured["outcome"] == "measured"
        assert measured["images"] == 13
        # A uint8 flips by one where floats move by 1e-5.
        assert measured["largest"] <= 1
        assert measured["lowest_ssim"] > 0.999
        oracle, sharpness = measured["metrics"]
        assert (oracle["name"], oracle["reach"], oracle["margin"]) == (
            "shapes_oracle",
            "none",
            0.05,
        )
        assert sharpness["reach"] in ("none", "within")
        (ssim,) = measured["references"]
        assert ssim["worst"] > 0.999
    assert by_setting["dtype"]["outcome"] == "not_offered"
    assert "its options are" in by_setting["dtype"]["reason"]
    assert by_setting["attention"]["outcome"] == "not_offered"
    assert "device" in json.dumps(findings)
    markdown = (shapes.root / "audit.md").read_text()
    assert "| batch size 1 |" in markdown
    (folder,) = (shapes.root / ".difftest/audit").iterdir()
    assert (folder / "reference/events.jsonl").exists()
    assert f".difftest/audit/{folder.name}" in finished.out


def test_only_what_was_asked_for_with_as_few_images(shapes: Any) -> None:
    finished, findings = audit(shapes, "--only", "again,batch_size", "--max-images", "5")
    assert finished.code == 0, finished.err
    assert {finding["source"] for finding in findings} == {"again", "batch_size"}
    assert {finding["images"] for finding in findings} == {5}
    assert "batch size 1: 5 images in" in finished.err


def test_the_history_and_the_cache_know_nothing_of_it(shapes: Any) -> None:
    audit(shapes, "--only", "again", "--max-images", "2")
    assert not (shapes.root / ".difftest/cache").exists()
    history = shapes.root / ".difftest/results.db"
    if history.exists():
        with sqlite3.connect(history) as database:
            assert database.execute("SELECT count(*) FROM runs").fetchone() == (0,)


def test_a_factory_that_does_not_repeat_itself_is_found(repository: Any) -> None:
    repository.write("difftest.toml", 'generator = "noise:make"\n')
    repository.write(
        "noise.py",
        """
        import os

        import numpy as np


        def make():
            def draw(prompt, seed):
                return np.frombuffer(os.urandom(32 * 32 * 3), np.uint8).reshape(32, 32, 3)

            return draw
        """,
    )
    repository.write_test(
        "tests/test_a.py",
        """
        @difftest.test(prompts=["a", "b"], metrics=["brightness"], seeds=[1])
        def test_noise():
            pass
        """,
    )
    finished, findings = audit(repository, "--only", "again,threads,dtype")
    assert finished.code == 0, finished.err
    again, threads, dtype = findings
    assert (again["changed"], again["images"]) == (2, 2)
    assert "moves 2 of 2 images" in finished.out
    assert "equal bytes" in finished.out
    # It has no threads of its own, and says so by its environment.
    assert threads["outcome"] == "not_offered"
    assert "OMP_NUM_THREADS" in threads["reason"]
    assert dtype["outcome"] == "not_offered"


def test_what_cannot_run_is_an_error_that_says_why(repository: Any) -> None:
    repository.write_test(
        "tests/test_a.py",
        """
        @difftest.test(prompts=["broken"], metrics=["brightness"], seeds=[1])
        def test_broken():
            pass
        """,
    )
    finished = repository.difftest("audit", "--only", "again")
    assert finished.code == 2
    assert "the reference run made no image: " in finished.err
    assert "RuntimeError: no picture of broken" in finished.err
    finished = repository.difftest("audit", "--only", "thread")
    assert finished.code == 2
    assert "did you mean `threads`?" in finished.err


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_the_child_too(repository: Any, sent: signal.Signals) -> None:
    repository.write_test(
        "tests/test_a.py",
        """
        @difftest.test(prompts=["slow {n}"], variables={"n": [str(n) for n in range(2000)]},
                       metrics=["brightness"], seeds=[1])
        def test_slow():
            pass
        """,
    )
    process = repository.start("audit", "--only", "again")
    deadline = time.monotonic() + 60
    while not list(repository.root.glob(".difftest/audit/*/reference/events.jsonl")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    (child,) = children(process.pid)
    process.send_signal(sent)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130, err
    assert not Path(f"/proc/{child}").exists()


def children(pid: int) -> list[int]:
    """Linux says them itself."""
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in text.split()]
