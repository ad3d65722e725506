"""`difftest run` on a repository: results, exit codes, and what it says."""

from __future__ import annotations

import json
import math
import sqlite3
from typing import Any

PASSING = """
@difftest.test(prompts=["a red cat", "a blue dog"], metrics=["brightness"], threshold=0.1, seeds=[1, 2])
def test_bright():
    pass
"""


def test_the_results_have_every_field(repository: Any) -> None:
    repository.write_test("tests/test_a.py", PASSING)
    finished, report = repository.run("--markdown", "report.md", "--run-dir", "run")
    assert finished.code == 0, finished.err
    assert (report["total_passed"], report["total_failed"]) == (1, 0)
    assert report["status"] == "passed"
    assert report["environment"]["device"] == "cpu"
    assert {"difftest", "numpy", "python"} <= report["environment"]["versions"].keys()
    (result,) = report["results"]
    assert (result["name"], result["passed"]) == ("test_bright", True)
    assert result["duration_ms"] > 0
    scores = result["metrics"]["brightness"]
    assert len(scores["per_sample"]) == scores["sample_count"] == 4
    assert math.isclose(scores["mean"], sum(scores["per_sample"]) / 4)
    assert scores["min"] <= scores["ci_lower"] <= scores["mean"] <= scores["ci_upper"]
    assert scores["std_dev"] > 0
    assert (scores["threshold"], scores["passed"]) == (0.1, True)
    assert {(image["prompt"], image["seed"]) for image in result["images"]} == {
        (prompt, seed) for prompt in ("a red cat", "a blue dog") for seed in (1, 2)
    }
    for image in result["images"]:
        assert (repository.root / "run" / image["path"]).read_bytes().startswith(b"\x89PNG")
    assert "✅ passed" in (repository.root / "report.md").read_text()
    assert "passed: 1 of 1 test passed, 4 images" in finished.out


def test_the_history_has_the_run(repository: Any) -> None:
    repository.write_test("tests/test_a.py", PASSING)
    _, report = repository.run()
    with sqlite3.connect(repository.root / ".difftest/results.db") as history:
        assert history.execute("SELECT id, status FROM runs").fetchall() == [
            (report["run"], "passed")
        ]
        assert history.execute("SELECT count(*) FROM samples").fetchone() == (4,)
    assert (repository.root / ".difftest/.gitignore").read_text() == "*\n"
    assert (repository.root / ".difftest/runs" / report["run"] / "events.jsonl").exists()


def test_a_missed_threshold_is_exit_code_1(repository: Any) -> None:
    repository.write_test("tests/test_a.py", PASSING.replace("threshold=0.1", "threshold=0.99"))
    finished, report = repository.run()
    assert finished.code == 1
    assert (report["total_passed"], report["total_failed"]) == (0, 1)
    assert not report["results"][0]["metrics"]["brightness"]["passed"]
    (reason,) = report["results"][0]["reasons"]
    assert "brightness" in reason
    assert "≥ 0.99" in reason
    assert reason in finished.out


def test_a_metric_without_a_threshold_is_measured_and_fails_nothing(repository: Any) -> None:
    repository.write_test("tests/test_a.py", PASSING.replace(" threshold=0.1,", ""))
    finished, report = repository.run()
    assert finished.code == 0
    assert report["results"][0]["metrics"]["brightness"]["threshold"] is None
    assert report["results"][0]["metrics"]["brightness"]["sample_count"] == 4


def test_lower_is_better_where_the_metric_says_so(repository: Any) -> None:
    repository.write(
        "tests/test_a.py",
        """
        import difftest


        @difftest.metric("noise", direction="lower_is_better", range=(0.0, 1.0))
        def noise(array):
            return 0.4


        @difftest.test(prompts=["p"], metrics=["noise"], threshold=0.5, seeds=[1])
        def test_below():
            pass


        @difftest.test(prompts=["p"], metrics=["noise"], threshold=0.3, seeds=[1])
        def test_above():
            pass
        """,
    )
    finished, report = repository.run()
    assert finished.code == 1
    assert [result["passed"] for result in report["results"]] == [True, False]


def test_two_runs_make_the_same_files(repository: Any) -> None:
    repository.write_test("tests/test_a.py", PASSING)
    assert repository.difftest("run", "--run-dir", "one").code == 0
    assert repository.difftest("run", "--run-dir", "two").code == 0
    one, two = (
        {file.name: file.read_bytes() for file in (repository.root / run / "images").iterdir()}
        for run in ("one", "two")
    )
    assert len(one) == 4
    assert one == two


def test_tests_of_one_name_in_two_files_are_two_tests(repository: Any) -> None:
    repository.write_test("tests/test_a.py", PASSING)
    repository.write("tests/deep/test_b.py", "import difftest\n" + PASSING.replace("0.1", "0.99"))
    finished, report = repository.run()
    assert finished.code == 1
    assert {result["id"]: result["passed"] for result in report["results"]} == {
        "tests/test_a.py::test_bright": True,
        "tests/deep/test_b.py::test_bright": False,
    }


def test_prompts_that_begin_alike_do_not_overwrite_each_other(repository: Any) -> None:
    same = "a very long prompt whose first fifty characters are the same, "
    repository.write_test(
        "tests/test_a.py",
        f"""
@difftest.test(prompts=["{same} one", "{same} two"], metrics=["brightness"], seeds=[1])
def test_long():
    pass
""",
    )
    finished, report = repository.run()
    assert finished.code == 0
    images = report["results"][0]["images"]
    assert len({image["path"] for image in images}) == len(images) == 2


def test_a_template_is_every_value_of_its_variables(repository: Any) -> None:
    repository.write_test(
        "tests/test_a.py",
        """
@difftest.test(prompts=["a {c} {s}"], variables={"c": ["red", "blue"], "s": ["cat", "dog"]},
               metrics=["brightness"], seeds=[1])
def test_product():
    pass
""",
    )
    _, report = repository.run()
    prompts = {image["prompt"] for image in report["results"][0]["images"]}
    assert prompts == {"a red cat", "a red dog", "a blue cat", "a blue dog"}


def test_a_filter_chooses_and_one_that_chooses_nothing_is_an_error(repository: Any) -> None:
    repository.write_test("tests/test_a.py", PASSING)
    repository.write("tests/test_b.py", "import difftest\n" + PASSING)
    _, report = repository.run("--filter", "test_b.py")
    assert [result["id"] for result in report["results"]] == ["tests/test_b.py::test_bright"]
    finished, report = repository.run("--filter", "nothing")
    assert finished.code == 2
    assert "nothing to run: --filter and --test leave none of the 2 tests" in finished.err
    assert report["status"] == "error"


def test_nothing_discovered_is_an_error(repository: Any) -> None:
    (repository.root / "tests").mkdir()
    finished, report = repository.run()
    assert finished.code == 2
    assert "error: nothing to run" in finished.err
    assert report["status"] == "error"
    assert "Traceback" not in finished.err


def test_a_folder_that_is_not_there_is_an_error_with_its_mend(repository: Any) -> None:
    finished = repository.difftest("run", "--test-dir", "missing")
    assert finished.code == 2
    assert "missing is not a folder" in finished.err
    assert "--test-dir" in finished.err


def test_a_suite_has_its_own_settings_and_a_wrong_name_the_nearest(repository: Any) -> None:
    repository.write(
        "difftest.toml", '[suites.quick]\ntest_dir = "checks"\ngenerator = "fake:make"\n'
    )
    repository.write_test("checks/test_a.py", PASSING)
    finished, report = repository.run("--suite", "quick")
    assert finished.code == 0, finished.err
    assert report["generator"] == "fake:make"
    finished = repository.difftest("run", "--suite", "quik")
    assert finished.code == 2
    assert "did you mean `quick`?" in finished.err


def test_a_generator_that_does_not_load_is_said_in_the_stream_too(repository: Any) -> None:
    repository.write_test("tests/test_a.py", PASSING)
    finished, report = repository.run("--generator", "fake:mak", "--run-dir", "run")
    assert finished.code == 2
    assert "Traceback" not in finished.err
    assert report["status"] == "error"
    last = (repository.root / "run/events.jsonl").read_text().splitlines()[-1]
    assert json.loads(last)["event"] == "run_finished"
    assert "fake:mak" in json.loads(last)["reason"]
    assert report["results"][0]["outcome"] == "not_run"


def test_a_run_is_never_written_over_another(repository: Any) -> None:
    repository.write_test("tests/test_a.py", PASSING)
    assert repository.difftest("run", "--run-dir", "run").code == 0
    before = (repository.root / "run/events.jsonl").read_bytes()
    finished = repository.difftest("run", "--run-dir", "run")
    assert finished.code == 2
    assert "already holds a run" in finished.err
    assert (repository.root / "run/events.jsonl").read_bytes() == before


def test_help_needs_no_numpy(repository: Any) -> None:
    repository.write("numpy.py", "raise RuntimeError('numpy was imported')\n")
    finished = repository.difftest("run", "--help")
    assert finished.code == 0
    assert "--test-dir" in finished.out
    assert finished.err == ""


def test_generation_does_not_wait_for_metrics(repository: Any) -> None:
    """The first batch's metric ends only when the second batch is being made."""
    repository.write(
        "overlapping.py",
        """
        import threading

        import fake

        batches = []
        second = threading.Event()


        class Watched(fake.Fake):
            def generate(self, prompts, seeds, negative_prompts):
                batches.append(prompts)
                if len(batches) == 2:
                    second.set()
                return super().generate(prompts, seeds, negative_prompts)


        def make():
            return Watched()
        """,
    )
    repository.write(
        "tests/test_a.py",
        """
        import difftest
        import overlapping


        @difftest.metric("patient", range=(0.0, 1.0))
        def patient(array):
            return float(overlapping.second.wait(20))


        @difftest.test(prompts=["a", "b"], metrics=["patient"], threshold=1.0, seeds=[1, 2, 3, 4])
        def test_overlap():
            pass
        """,
    )
    finished, report = repository.run("--generator", "overlapping:make")
    assert finished.code == 0, finished.out
    assert report["results"][0]["metrics"]["patient"]["min"] == 1.0
