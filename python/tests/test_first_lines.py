"""What a newcomer writes first works, through the command line: metrics of one's own, suites, templates."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

import difftest

PACKAGES = str(Path(difftest.__file__).parents[1])

FAKE = """
    import numpy as np

    def draw(prompt, seed):
        return np.full((8, 8, 3), len(prompt) + seed, np.uint8)
"""


class Folder:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.write("difftest.toml", 'generator = "fake:draw"\n')
        self.write("fake.py", FAKE)

    def write(self, path: str, text: str) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text).lstrip("\n"), encoding="utf-8")

    def difftest(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "difftest", *arguments],
            cwd=self.root,
            env={**os.environ, "PYTHONPATH": PACKAGES},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def run(self) -> tuple[int, list[dict[str, Any]], str]:
        """Exit code, results by test, and what was printed."""
        ended = self.difftest("run", "--output", "results.json")
        printed = ended.stdout + ended.stderr
        results = self.root / "results.json"
        assert results.exists(), printed
        return ended.returncode, json.loads(results.read_text())["results"], printed


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


DARKNESS = """
    import difftest

    @difftest.metric("darkness", range=(0, 255), direction="lower_is_better")
    def darkness(array):
        return float(array.mean())
"""


@pytest.mark.parametrize("home", ["tests/conftest.py", "tests/metrics.py", "tests/test_it.py"])
def test_a_metric_works_from_the_first_line_that_declares_it(folder: Folder, home: str) -> None:
    folder.write(home, DARKNESS)
    test = """
        @difftest.test(["four"], ["darkness"], 5, seeds=[1])
        def test_it(): ...
    """
    own = folder.root / "tests" / "test_it.py"
    before = own.read_text() if own.exists() else "import difftest\n"
    folder.write("tests/test_it.py", before + textwrap.dedent(test))
    code, (result,), printed = folder.run()
    assert code == 0, printed
    assert result["metrics"]["darkness"]["per_sample"] == [5.0]


def test_a_metric_of_an_imported_module_is_known(folder: Folder) -> None:
    folder.write("product/quality.py", DARKNESS)
    folder.write(
        "tests/test_it.py",
        """
        import difftest
        from product import quality

        @difftest.test(["four"], ["darkness"], 4, seeds=[1])
        def test_it(): ...
        """,
    )
    code, (result,), printed = folder.run()
    assert code == 1, printed
    assert (result["passed"], result["metrics"]["darkness"]["mean"]) == (False, 5.0)


def test_defaults_zips_and_suites_reach_the_images(folder: Folder) -> None:
    folder.write("prompts/mine.txt", "# two\na {color} cat\n{color} on {place=the floor}\n")
    folder.write("tests/conftest.py", DARKNESS)
    folder.write(
        "tests/test_it.py",
        """
        import difftest

        @difftest.test(
            ["{color} {shape}, {{as it is}}"],
            ["darkness"],
            seeds=[1],
            suite="prompts/mine.txt",
            variables={"color": ["red", "blue"], "shape": ["cross", "square"]},
            combine="zip",
        )
        def test_it(): ...
        """,
    )
    code, (result,), printed = folder.run()
    assert code == 0, printed
    assert {image["prompt"] for image in result["images"]} == {
        "a red cat",
        "a blue cat",
        "red on the floor",
        "blue on the floor",
        "red cross, {as it is}",
        "blue square, {as it is}",
    }


def test_unequal_lengths_are_an_error_at_the_test(folder: Folder) -> None:
    folder.write("tests/conftest.py", DARKNESS)
    folder.write(
        "tests/test_it.py",
        """
        import difftest

        @difftest.test(
            ["{a} {b}"],
            ["darkness"],
            variables={"a": [1, 2, 3], "b": [1, 2]},
            combine="zip",
        )
        def test_it(): ...
        """,
    )
    ended = folder.difftest("run")
    assert ended.returncode == 2
    told = " ".join((ended.stdout + ended.stderr).split())  # lines break where the terminal ends
    assert "tests/test_it.py:3" in told
    assert "`a` has 3 values and `b` has 2 values" in told


def test_more_prompts_than_a_test_may_have_are_refused_at_once(folder: Folder) -> None:
    folder.write("tests/conftest.py", DARKNESS)
    folder.write(
        "tests/test_it.py",
        """
        import difftest

        MANY = {name: list(range(1000)) for name in "abcdef"}

        @difftest.test(["{a}{b}{c}{d}{e}{f}"], ["darkness"], variables=MANY)
        def test_it(): ...
        """,
    )
    ended = folder.difftest("run", "--dry-run")
    assert ended.returncode == 2
    told = " ".join((ended.stdout + ended.stderr).split())
    assert "make 1000000000000000000 prompts; a test has at most 100000" in told


def test_the_suites_are_listed_and_shown(folder: Folder) -> None:
    every = folder.difftest("suites")
    assert every.returncode == 0
    names = [line.split()[0] for line in every.stdout.splitlines() if "prompts" in line]
    assert names[: len(difftest.list_suites())] == difftest.list_suites()
    assert "hands/open-palm" in folder.difftest("suites", "hands").stdout
    folder.write("mine.json", '["a", "b"]')
    assert "mine/2\n  b\n" in folder.difftest("suites", "mine.json").stdout
    wrong = folder.difftest("suites", "hand")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "error: there is no prompt suite `hand`; did you mean `hands`?" in wrong.stderr
