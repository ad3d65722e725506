"""What breaks stays small: a cell, a metric, a file, a body."""

from __future__ import annotations

from typing import Any


def test_one_bad_prompt_takes_no_neighbour(repository: Any, read_events: Any, kinds: Any) -> None:
    repository.write_test(
        "tests/test_a.py",
        """
@difftest.test(prompts=["good", "broken", "fine"], metrics=["brightness"], threshold=0.1, seeds=[1])
def test_three():
    pass


@difftest.test(prompts=["other"], metrics=["brightness"], threshold=0.1, seeds=[1])
def test_after():
    pass
""",
    )
    finished, report = repository.run("--run-dir", "run")
    assert finished.code == 1
    three, after = report["results"]
    assert (three["outcome"], after["outcome"]) == ("error", "passed")
    assert [image["prompt"] for image in three["images"]] == ["fine", "good"]
    (failure,) = three["failures"]
    assert (failure["prompt"], failure["seed"]) == ("broken", 1)
    assert "no picture of broken" in failure["reason"]
    assert three["metrics"]["brightness"]["sample_count"] == 2
    events = read_events(repository.root / "run/events.jsonl")
    assert kinds(events).count("cell_failed") == 1
    assert "RuntimeError" in next(e for e in events if e["event"] == "cell_failed")["trace"]


def test_a_metric_that_breaks_on_one_image_scores_the_others(repository: Any) -> None:
    repository.write(
        "tests/test_a.py",
        """
        import difftest


        @difftest.metric("picky", range=(0.0, 1.0))
        def picky(array, prompt):
            if prompt == "b":
                raise ValueError("not this one")
            return float("nan") if prompt == "c" else 0.5


        @difftest.test(prompts=["a", "b", "c", "d"], metrics=["picky"], threshold=0.1, seeds=[1])
        def test_picky():
            pass
        """,
    )
    finished, report = repository.run()
    assert finished.code == 1
    (result,) = report["results"]
    assert result["outcome"] == "error"
    assert result["metrics"]["picky"]["per_sample"] == [0.5, 0.5]
    assert len(result["images"]) == 4
    assert {failure["prompt"] for failure in result["failures"]} == {"b", "c"}
    assert any("not this one" in failure["reason"] for failure in result["failures"])


def test_a_file_with_a_syntax_error_is_named_and_the_others_run(
    repository: Any, read_events: Any
) -> None:
    repository.write_test(
        "tests/test_good.py",
        """
@difftest.test(prompts=["a"], metrics=["brightness"], seeds=[1])
def test_good():
    pass
""",
    )
    repository.write("tests/test_bad.py", "import difftest\n\ndef test_x(:\n    pass\n")
    finished, report = repository.run("--run-dir", "run")
    assert finished.code == 2
    (error,) = report["collection_errors"]
    assert error["place"] == {"file": "tests/test_bad.py", "line": 3}
    assert [result["passed"] for result in report["results"]] == [True]
    assert "tests/test_bad.py:3" in finished.out
    assert "Traceback" not in finished.err
    events = read_events(repository.root / "run/events.jsonl")
    assert events[-1]["status"] == "error"


def test_an_unknown_metric_is_an_error_at_the_decorator_with_the_nearest_name(
    repository: Any,
) -> None:
    file = repository.write_test(
        "tests/test_a.py",
        """
@difftest.test(prompts=["a"], metrics=["brightnes"], seeds=[1])
def test_typo():
    pass


@difftest.test(prompts=["a"], metrics=["brightness"], seeds=[1])
def test_right():
    pass
""",
    )
    line = (
        file.read_text()
        .splitlines()
        .index('@difftest.test(prompts=["a"], metrics=["brightnes"], seeds=[1])')
    )
    finished, report = repository.run()
    assert finished.code == 2
    (error,) = report["collection_errors"]
    assert error["place"] == {"file": "tests/test_a.py", "line": line + 1}
    assert "brightnes" in error["message"]
    assert "brightness" in error["message"]
    assert [result["name"] for result in report["results"]] == ["test_right"]


def test_a_placeholder_without_a_variable_is_an_error_of_its_test(repository: Any) -> None:
    repository.write_test(
        "tests/test_a.py",
        """
@difftest.test(prompts=["a {colour} cat"], variables={"color": ["red"]}, metrics=["brightness"])
def test_typo():
    pass
""",
    )
    finished, report = repository.run()
    assert finished.code == 2
    assert "color" in report["collection_errors"][0]["message"]


def test_a_failed_assertion_fails_the_test_and_any_other_exception_is_an_error(
    repository: Any,
) -> None:
    repository.write_test(
        "tests/test_a.py",
        """
@difftest.test(prompts=["a"], metrics=["brightness"], seeds=[1])
def test_asserts(model):
    image = model.generate("a cat", seed=3)
    assert image.size == (64, 64)


@difftest.test(prompts=["a"], metrics=["brightness"], seeds=[1])
def test_breaks(model):
    {}["missing"]


@difftest.test(prompts=["a"], metrics=["brightness"], seeds=[1])
def test_holds(model):
    assert model.generate("a cat", seed=3).size == (32, 32)
""",
    )
    finished, report = repository.run()
    assert finished.code == 1
    outcomes = {result["name"]: result["outcome"] for result in report["results"]}
    assert outcomes == {"test_asserts": "failed", "test_breaks": "error", "test_holds": "passed"}
    reasons = {result["name"]: result["reasons"] for result in report["results"]}
    assert "assert image.size == (64, 64)" in reasons["test_asserts"][0]
    assert "tests/test_a.py:" in reasons["test_asserts"][0]
    assert "KeyError" in reasons["test_breaks"][0]


def test_a_mistake_in_the_configuration_names_its_line(repository: Any) -> None:
    repository.write("difftest.toml", 'model = "shapes"\ngenerater = "fake:make"\n')
    finished = repository.difftest("run")
    assert finished.code == 2
    assert finished.err == (
        "error: difftest.toml:2: unknown key `generater`; did you mean `generator`?\n"
    )


def test_a_wrong_option_is_exit_code_2(repository: Any) -> None:
    finished = repository.difftest("run", "--tset-dir", "x")
    assert finished.code == 2
    assert "--test-dir" in finished.err


def test_a_bug_of_ours_shows_its_trace_and_is_no_failed_test(repository: Any) -> None:
    repository.write_test(
        "tests/test_a.py",
        """
from difftest import _bridge

_bridge.load_generator = lambda options: 1 / 0


@difftest.test(prompts=["a"], metrics=["brightness"], seeds=[1])
def test_any():
    pass
""",
    )
    finished, report = repository.run()
    assert finished.code == 2
    assert "Traceback" in finished.err
    assert "ZeroDivisionError" in finished.err
    assert report["status"] == "error"
