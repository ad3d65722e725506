"""Metrics that score all images of a test together."""

from __future__ import annotations

from typing import Any

import pytest

#: A batch metric as an installed package would bring it: the spread of the images' means.
SPREAD = """
    import statistics

    from difftest.metrics.protocol import BatchScore

    calls = []


    class Spread:
        name = "spread"
        direction = "lower_is_better"
        category = "batch"
        range = None
        margin = 1.0
        weights = "sha256:feed"
        min_samples = 4

        def begin(self, reference_dir):
            calls.append(("begin", reference_dir))
            return Gathered()


    class Gathered:
        def __init__(self):
            self.means = []

        def update(self, images, prompts, references):
            assert len(images) == len(prompts) == len(references)
            if any("unlucky" in prompt for prompt in prompts):
                raise RuntimeError("no spread of that")
            self.means += [float(image.mean()) for image in images]

        def value(self):
            return BatchScore(statistics.pstdev(self.means), len(self.means), "biased at few images")
"""

SUITE = """
@difftest.test(prompts=["p{n}"], variables={"n": [str(n) for n in range(20)]}, seeds=[1],
               metrics=["spread", "brightness"], threshold={"spread": 500.0}, reference_dir="golden")
def test_many():
    pass


@difftest.test(prompts=["a", "b"], metrics=["spread"], threshold=0.0, seeds=[1, 2], reference_dir="golden")
def test_strict():
    pass
"""


@pytest.fixture
def spread(repository: Any) -> Any:
    repository.write("spread.py", SPREAD)
    repository.write(
        "spread-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: spread\nVersion: 1.0\n"
    )
    repository.write(
        "spread-1.0.dist-info/entry_points.txt", "[difftest.metrics]\nspread = spread:Spread\n"
    )
    repository.write_test("tests/test_a.py", SUITE)
    return repository


def test_one_score_for_all_images_with_its_note_and_the_metrics_weights(
    spread: Any, read_events: Any
) -> None:
    finished, report = spread.run("--run-dir", "run")
    assert finished.code == 1
    many, strict = report["results"]
    assert (many["outcome"], strict["outcome"]) == ("passed", "failed")
    scores = many["metrics"]["spread"]
    assert scores["sample_count"] == 20
    assert scores["note"] == "biased at few images"
    assert scores["weights"] == "sha256:feed"
    assert scores["per_sample"] == []
    assert strict["metrics"]["spread"]["sample_count"] == 4
    assert "over 4 images, and must be ≤ 0 (biased at few images)" in strict["reasons"][0]
    events = read_events(spread.root / "run/events.jsonl")
    scored = [e for e in events if e["event"] == "batch_scored"]
    assert [(e["test"].rsplit("::")[-1], e["samples"]) for e in scored] == [
        ("test_many", 20),
        ("test_strict", 4),
    ]
    (metric,) = [m for m in events[0]["metrics"] if m["name"] == "spread"]
    assert (metric["weights"], metric["min_samples"]) == ("sha256:feed", 4)


@pytest.mark.parametrize(
    ("given", "kept", "note"),
    [
        ("[1.5, 2]", [1.5, 2.0], "biased"),
        ("()", None, "biased"),
        (
            "(1.5, float('nan'))",
            None,
            "biased; no interval: one of its bootstrap replicates is NaN",
        ),
    ],
)
def test_its_replicates_go_with_it_all_or_none(
    spread: Any, read_events: Any, given: str, kept: list[float] | None, note: str
) -> None:
    score = f'len(self.means), "biased", {given})'
    spread.write("spread.py", SPREAD.replace('len(self.means), "biased at few images")', score))
    spread.run("--run-dir", "run")
    scored = [
        e for e in read_events(spread.root / "run/events.jsonl") if e["event"] == "batch_scored"
    ]
    assert [(e.get("replicates"), e["note"]) for e in scored] == [(kept, note)] * 2


def test_a_score_object_of_a_packages_own_needs_none(spread: Any, read_events: Any) -> None:
    own = """
import types

def BatchScore(value, samples, note):
    return types.SimpleNamespace(value=value, samples=samples, note=note)
"""
    line = "    from difftest.metrics.protocol import BatchScore\n"
    assert line in SPREAD
    spread.write(
        "spread.py", SPREAD.replace(line, "".join(f"    {text}\n" for text in own.splitlines()))
    )
    spread.run("--run-dir", "run")
    scored = [
        e for e in read_events(spread.root / "run/events.jsonl") if e["event"] == "batch_scored"
    ]
    assert [e["samples"] for e in scored] == [20, 4]
    assert not any("replicates" in e for e in scored)


def test_the_folder_of_references_is_the_repositorys(spread: Any) -> None:
    spread.write(
        "tests/test_b.py",
        """
        import atexit
        import pathlib

        import spread

        atexit.register(lambda: pathlib.Path("calls.txt").write_text(str(spread.calls)))
        """,
    )
    spread.run()
    calls = (spread.root / "calls.txt").read_text()
    assert calls == str([("begin", str(spread.root / "golden"))] * 2)


def test_too_few_images_are_refused_before_any_is_made(spread: Any) -> None:
    file = spread.write_test("tests/test_a.py", SUITE.replace('["a", "b"]', '["a"]'))
    finished, report = spread.run()
    assert finished.code == 2
    (error,) = report["collection_errors"]
    assert "needs at least 4 images, and has 2" in error["message"]
    assert "spread" in error["message"]
    line = file.read_text().splitlines()[error["place"]["line"] - 1]
    assert line.startswith('@difftest.test(prompts=["a"]')
    assert [result["name"] for result in report["results"]] == ["test_many"]


def test_too_few_that_are_left_are_an_error_of_the_test(spread: Any) -> None:
    spread.write_test("tests/test_a.py", SUITE.replace('["a", "b"]', '["a", "broken"]'))
    finished, report = spread.run()
    assert finished.code == 1
    strict = report["results"][1]
    assert strict["outcome"] == "error"
    assert any("at least 4 images, and 2 were scored" in reason for reason in strict["reasons"])


def test_a_batch_metric_that_breaks_is_its_tests_error_with_its_trace(
    spread: Any, read_events: Any
) -> None:
    spread.write_test("tests/test_a.py", SUITE.replace('["a", "b"]', '["a", "unlucky"]'))
    finished, report = spread.run("--run-dir", "run")
    assert finished.code == 1
    many, strict = report["results"]
    assert (many["outcome"], strict["outcome"]) == ("passed", "error")
    assert any("no spread of that" in reason for reason in strict["reasons"])
    logs = [e for e in read_events(spread.root / "run/events.jsonl") if e["event"] == "log"]
    assert any("Traceback" in e["message"] for e in logs)


def test_a_resumed_test_is_shown_all_its_images_again(spread: Any) -> None:
    _, unbroken = spread.run("--run-dir", "run")
    stream = spread.root / "run/events.jsonl"
    lines = stream.read_text().splitlines(keepends=True)
    cut = next(n for n, line in enumerate(lines) if '"batch_scored"' in line)
    stream.write_text("".join(lines[:cut]))
    _, resumed = spread.run("--resume", "run")
    for one, other in zip(resumed["results"], unbroken["results"], strict=True):
        assert one["metrics"]["spread"]["mean"] == pytest.approx(other["metrics"]["spread"]["mean"])
        assert (
            one["metrics"]["spread"]["sample_count"] == other["metrics"]["spread"]["sample_count"]
        )


def test_without_anything_to_compare_with_there_is_no_score(spread: Any) -> None:
    suite = SUITE.replace(', reference_dir="golden"', "")
    spread.write_test("tests/test_a.py", suite)
    finished, report = spread.run("--reference", "none")
    assert finished.code == 0, finished.out
    assert "spread" not in report["results"][0]["metrics"]
    # Where references may be, it is the metric's to say whether it needs a folder of them.
    _, report = spread.run()
    assert report["results"][0]["metrics"]["spread"]["sample_count"] == 20


def test_too_few_samples_say_nothing(repository: Any) -> None:
    repository.write_test(
        "tests/test_a.py",
        """
@difftest.test(prompts=["a", "b"], metrics=["brightness"], threshold=0.1, seeds=[1])
def test_two():
    pass


@difftest.test(prompts=["a", "b"], metrics=["brightness"], threshold=0.1, seeds=[1, 2, 3])
def test_six():
    pass
""",
    )
    finished, report = repository.run("--min-samples", "5")
    assert finished.code == 1
    two, six = report["results"]
    assert (two["outcome"], six["outcome"]) == ("error", "passed")
    assert "from 2 of the at least 5 images" in two["reasons"][0]
    assert "--min-samples" in two["reasons"][0]
