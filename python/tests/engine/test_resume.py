"""`--resume`: a run that died is gone on with, and nothing is made twice."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

SUITE = """
@difftest.test(prompts=["slow {n}"], variables={"n": [str(n) for n in range(60)]},
               metrics=["brightness", "sharpness"], threshold={"brightness": 0.1}, seeds=[1])
def test_slow():
    pass


@difftest.test(prompts=["after"], metrics=["brightness"], seeds=[1, 2])
def test_after():
    pass
"""

#: Writes a line for every image it makes.
COUNTING = """
    from pathlib import Path

    import fake


    class Counting(fake.Fake):
        def picture(self, prompt, seed, negative):
            with (Path(__file__).parent / "made.txt").open("a") as made:
                made.write(f"{prompt}|{seed}\\n")
            return super().picture(prompt, seed, negative)


    def make():
        return Counting()
"""


@pytest.fixture
def counting(repository: Any) -> Any:
    repository.write("counting.py", COUNTING)
    repository.write("difftest.toml", 'generator = "counting:make"\n')
    repository.write_test("tests/test_a.py", SUITE)
    return repository


def made(repository: Any) -> list[str]:
    file: Path = repository.root / "made.txt"
    return file.read_text().splitlines() if file.exists() else []


def scores(result: dict[str, Any]) -> list[float]:
    """Every score, by metric and cell. JSON's reader may move the last bit of one."""
    return [score for metric in result["metrics"].values() for score in metric["per_sample"]]


def kill_after(repository: Any, scored: int) -> Path:
    """A run in `run/` that is killed, hard, in the middle."""
    process = repository.start("run", "--run-dir", "run")
    stream: Path = repository.root / "run/events.jsonl"
    deadline = time.monotonic() + 60
    while not (stream.exists() and stream.read_text().count("cell_scored") >= scored):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.kill()
    process.communicate()
    return stream


def test_a_killed_run_goes_on_where_it_was(counting: Any, read_events: Any, kinds: Any) -> None:
    stream = kill_after(counting, 40)
    before = stream.read_bytes()
    whole = before[: before.rfind(b"\n") + 1]
    # As a power cut leaves it.
    stream.write_bytes(whole + b'{"event":"cell_scored","te')
    (counting.root / "made.txt").unlink()
    done = {
        (event["prompt"], event["seed"])
        for event in read_events(stream)
        if event["event"] == "cell_generated"
    }
    assert 20 <= len(done) < 60
    finished, report = counting.run("--resume", "run")
    assert finished.code == 0, finished.err
    assert "warning" not in finished.err
    assert stream.read_bytes().startswith(whole), "what was said stays"
    again = {tuple(line.split("|")) for line in made(counting)}
    assert again.isdisjoint({(prompt, str(seed)) for prompt, seed in done})
    assert len(again) + len(done) == 62
    events = read_events(stream)
    assert kinds(events).count("run_started") == 2
    assert kinds(events).count("cell_generated") == 62
    assert kinds(events)[-1] == "run_finished"
    assert [result["outcome"] for result in report["results"]] == ["passed", "passed"]
    slow = report["results"][0]
    assert len(slow["images"]) == 60
    assert {metric: scores["sample_count"] for metric, scores in slow["metrics"].items()} == {
        "brightness": 60,
        "sharpness": 60,
    }
    # Nothing more is to be done: it says the same again, and makes nothing.
    (counting.root / "made.txt").unlink()
    finished, again = counting.run("--resume", "run")
    assert finished.code == 0
    assert made(counting) == []
    assert scores(again["results"][0]) == pytest.approx(scores(slow), rel=1e-12)


def test_a_resumed_run_says_what_an_unbroken_one_says(counting: Any) -> None:
    kill_after(counting, 60)
    _, resumed = counting.run("--resume", "run")
    _, unbroken = counting.run()
    for one, other in zip(resumed["results"], unbroken["results"], strict=True):
        assert scores(one) == pytest.approx(scores(other), rel=1e-12)
        assert [i["path"] for i in one["images"]] == [i["path"] for i in other["images"]]


def test_a_run_is_found_by_its_identifier(counting: Any) -> None:
    _, report = counting.run("--timeout", "1s")
    assert report["status"] == "error"
    (counting.root / "made.txt").unlink()
    finished, again = counting.run("--resume", report["run"])
    assert finished.code == 0, finished.err
    assert again["run"] == report["run"]
    assert 0 < len(made(counting)) < 62


def test_an_image_that_was_lost_is_made_again(counting: Any) -> None:
    assert counting.run("--run-dir", "run")[0].code == 0
    lost, *_ = sorted((counting.root / "run/images").iterdir())
    lost.unlink()
    (counting.root / "made.txt").unlink()
    finished, report = counting.run("--resume", "run")
    assert finished.code == 0
    assert len(made(counting)) == 1
    assert lost.exists()
    assert len(report["results"][0]["images"]) == 60


def test_images_that_would_not_be_made_alike_are_not_mixed(counting: Any) -> None:
    stream = kill_after(counting, 8)
    before = stream.read_bytes()
    fake = counting.root / "fake.py"
    fake.write_text(fake.read_text().replace('"fake-1"', '"fake-2"'))
    finished = counting.difftest("run", "--resume", "run")
    assert finished.code == 2
    assert "its fingerprint was `fake-1` and is `fake-2`" in finished.err
    fake.write_text(fake.read_text().replace('"fake-2"', '"fake-1"'))
    finished = counting.difftest("run", "--resume", "run", "--batch-size", "3")
    assert finished.code == 2
    assert "the batch size was `4` and is `3`" in finished.err
    finished = counting.difftest("run", "--resume", "run", "--recipe", "steps=4")
    assert finished.code == 2
    finished = counting.difftest("run", "--resume", "run", "--generator", "counting:nothing")
    assert finished.code == 2
    assert stream.read_bytes() == before, "nothing was added to it"


def test_a_test_that_was_changed_is_done_anew_and_the_others_stay(counting: Any) -> None:
    assert counting.run("--run-dir", "run")[0].code == 0
    counting.write_test("tests/test_a.py", SUITE.replace('["after"]', '["another"]'))
    (counting.root / "made.txt").unlink()
    finished, report = counting.run("--resume", "run")
    assert finished.code == 0
    assert made(counting) == ["another|1", "another|2"]
    assert [len(result["images"]) for result in report["results"]] == [60, 2]


def test_what_failed_is_tried_again(counting: Any) -> None:
    suite = SUITE.replace('["after"]', '["after", "broken"]')
    counting.write_test("tests/test_a.py", suite)
    assert counting.run("--run-dir", "run")[0].code == 1
    fake = counting.root / "fake.py"
    fake.write_text(fake.read_text().replace('if "broken" in prompt', "if False"))
    (counting.root / "made.txt").unlink()
    finished, report = counting.run("--resume", "run")
    assert finished.code == 0, finished.out
    assert made(counting) == ["broken|1", "broken|2"]
    assert report["results"][1]["failures"] == []


def test_what_is_no_run_is_said(counting: Any) -> None:
    finished = counting.difftest("run", "--resume", "nowhere")
    assert finished.code == 2
    assert "--resume nowhere: there is no run to go on with" in finished.err


def test_a_run_that_is_going_on_is_not_gone_on_with(counting: Any) -> None:
    process = counting.start("run", "--run-dir", "run")
    stream = counting.root / "run/events.jsonl"
    while not (stream.exists() and "cell_scored" in stream.read_text()):
        time.sleep(0.01)
    finished = counting.difftest("run", "--resume", "run")
    assert finished.code == 2
    assert "another process is still writing" in finished.err
    process.communicate(timeout=60)
    assert process.returncode == 0
    last = json.loads(stream.read_text().splitlines()[-1])
    assert last["event"] == "run_finished"
