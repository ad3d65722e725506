"""``difftest compare``: two stored runs, a base in turns, a sweep of models."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Repository

TEST = """
    @difftest.test(
        prompts=["a {color} {thing}, number {n}"],
        variables={
            "color": ["red", "blue", "green", "black"],
            "thing": ["cat", "dog", "hat", "pan", "car"],
            "n": ["1", "2", "3", "4", "5", "6", "7", "8"],
        },
        metrics=["brightness"],
        seeds=[1],
    )
    def test_brightness():
        pass
"""

SETTINGS = """
    generator = "fake:make"

    [verdict]
    margins = { brightness = 0.02 }
"""


def git(root: Path, *arguments: str) -> None:
    subprocess.run(
        ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", *arguments],
        cwd=root,
        check=True,
        capture_output=True,
    )


@pytest.fixture
def committed(repository: Repository) -> Repository:
    """A repository whose one commit is its base."""
    repository.write_test("tests/test_brightness.py", TEST)
    repository.write("difftest.toml", SETTINGS)
    repository.write(".gitignore", "__pycache__/\n.difftest/\n")
    git(repository.root, "init", "-q")
    git(repository.root, "add", "-A")
    git(repository.root, "commit", "-qm", "base")
    return repository


def change(repository: Repository, old: str, new: str) -> None:
    """Another pipeline."""
    file = repository.root / "fake.py"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def darken(repository: Repository) -> None:
    """The same pictures, and darker by a fifth."""
    change(repository, "* 127 + 128, np.uint8)", "* 0.8 * 127 + 102, np.uint8)")


def compared(repository: Repository, *arguments: str) -> tuple[int, dict[str, Any], str]:
    (repository.root / "out.json").unlink(missing_ok=True)
    done = repository.difftest("compare", "--output", "out.json", *arguments)
    file = repository.root / "out.json"
    return done.code, json.loads(file.read_text()) if file.exists() else {}, done.out + done.err


def test_a_darker_pipeline_is_a_regression_and_ends_the_run_early(committed: Repository) -> None:
    darken(committed)
    code, result, said = compared(committed, "--base", "HEAD", "--markdown", "out.md")
    assert code == 1, said
    assert result["decision"] == "regressed"
    assert "test_brightness" in said
    assert "worse by" in said
    test = result["tests"][0]
    assert test["pairs"] < test["planned_pairs"] == 160
    assert result["base"]["images"] == result["head"]["images"] == test["pairs"]
    paired = test["metrics"][0]["paired"]
    assert paired["upper"] < -paired["margin"]
    assert paired["planned"] == 160
    row = result["unpaired"][0]
    assert row["better"] == "a"
    assert row["d"] < 0
    assert row["t"] < 0
    report = (committed.root / "out.md").read_text()
    assert "regressed" in report
    assert "<img" in report
    images = re.findall(r'src="([^"]+)"', report)
    assert images
    assert all((committed.root / image).is_file() for image in images)


def test_the_same_pipeline_passes_and_leaves_no_checkout(committed: Repository) -> None:
    committed.write("notes.txt", "nothing to do with images")
    code, result, said = compared(committed, "--base", "HEAD")
    assert (code, result["decision"]) == (0, "pass"), said
    assert "byte-identical" in said
    assert not list(committed.root.glob(".difftest/compare/*/base-tree"))


def test_a_folder_is_a_base_too(
    committed: Repository, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = tmp_path_factory.mktemp("other")
    git(committed.root, "clone", "-q", ".", str(other))
    darken(committed)
    code, result, _ = compared(committed, "--base", str(other))
    assert (code, result["decision"]) == (1, "regressed")


def test_a_suite_below_the_repositorys_top_finds_its_base(repository: Repository) -> None:
    below = type(repository)(repository.root / "models" / "one")
    below.write_test("tests/test_brightness.py", TEST)
    repository.write(".gitignore", "__pycache__/\n.difftest/\n")
    git(repository.root, "init", "-q")
    git(repository.root, "add", "-A")
    git(repository.root, "commit", "-qm", "base")
    darken(below)
    code, result, said = compared(below, "--base", "HEAD")
    assert (code, result["decision"]) == (1, "regressed"), said
    assert not (below.root / ".difftest" / "results.db").exists(), "no point of a trend"


def test_a_connection_that_fails_says_nothing_of_the_change(committed: Repository) -> None:
    change(
        committed,
        "    def picture(self",
        "    def refused(self):\n        raise ConnectionRefusedError('no service')\n\n    def picture(self",
    )
    change(
        committed,
        'if "broken" in prompt:',
        'if "cat" in prompt:\n            self.refused()\n        if "broken" in prompt:',
    )
    code, result, said = compared(committed, "--base", "HEAD")
    assert (code, result["decision"]) == (2, "infra"), said
    assert "not by any fault of the change" in said


def test_a_budget_is_kept_and_its_end_is_inconclusive(committed: Repository) -> None:
    change(committed, 'sha256(f"{prompt}|', 'sha256(f"other {prompt}|')
    code, result, said = compared(committed, "--base", "HEAD", "--budget", "48images")
    assert (code, result["decision"]) == (3, "inconclusive"), said
    assert result["base"]["images"] + result["head"]["images"] <= 48
    assert any("budget of 48images" in note for note in result["notes"])


def test_at_most_so_many_pairs(committed: Repository) -> None:
    change(committed, "* 127 + 128", "* 126 + 128")
    _, result, _ = compared(committed, "--base", "HEAD", "--max-pairs", "20")
    assert result["tests"][0]["pairs"] == result["tests"][0]["planned_pairs"] == 20


def test_stored_runs_and_results_files_say_the_same(committed: Repository) -> None:
    committed.difftest("run", "--run-dir", "a", "--output", "a.json")
    darken(committed)
    committed.difftest("run", "--run-dir", "b", "--output", "b.json")
    code, folders, said = compared(committed, "--run-a", "a", "--run-b", "b")
    assert (code, folders["decision"]) == (1, "regressed"), said
    code, files, said = compared(committed, "--run-a", "a.json", "--run-b", "b.json")
    assert (code, files["decision"]) == (1, "regressed"), said
    estimate = [r["tests"][0]["metrics"][0]["paired"]["estimate"] for r in (folders, files)]
    assert estimate[0] == pytest.approx(estimate[1], abs=1e-9)
    assert "without pairs" in said
    assert "better a" in said
    code, turned, _ = compared(committed, "--run-a", "b", "--run-b", "a")
    assert code in (0, 3)
    assert turned["decision"] in ("improved", "inconclusive")
    assert turned["unpaired"][0]["better"] == "b"


def test_models_are_ranked_and_compared_pair_by_pair(repository: Repository) -> None:
    repository.write_test("tests/test_brightness.py", TEST)
    # A factory takes the model's name.
    repository.write(
        "chooser.py",
        """
        import fake


        class Dimmed(fake.Fake):
            def __init__(self, share):
                self.share = share
                self.fingerprint = f"dimmed-{share}"

            def generate(self, prompts, seeds, negative_prompts):
                pictures = super().generate(prompts, seeds, negative_prompts)
                return [(picture * self.share).astype("uint8") for picture in pictures]


        def make(model):
            return Dimmed({"bright": 1.0, "dim": 0.9, "dark": 0.5}[model])
        """,
    )
    repository.write("difftest.toml", 'generator = "chooser:make"\n')
    code, result, said = compared(repository, "--models", "dark,bright,dim", "--markdown", "out.md")
    assert code == 0, said
    rows = result["ranking"][0]["rows"]
    assert [row["model"] for row in rows] == ["bright", "dim", "dark"]
    assert rows[0]["p_best"] == 1.0
    assert rows[0]["rank_upper"] == 1
    verdicts = {(pair["a"], pair["b"]): pair["comparison"]["decision"] for pair in result["pairs"]}
    assert verdicts[("bright", "dim")] == "regressed"
    assert verdicts[("dark", "bright")] == "improved"
    assert "dim against bright: regressed" in said
    assert "bright" in (repository.root / "out.md").read_text()
    done = repository.difftest("compare", "--models", "bright")
    assert done.code == 2
    assert "at least two different models" in done.err
    done = repository.difftest("compare", "--models", "bright,nope")
    assert done.code == 2
    assert "nope" in done.out + done.err


def test_what_cannot_be_compared_is_said_with_its_mend(committed: Repository) -> None:
    for arguments, expected in [
        (["--base", "no-such-branch"], "neither a folder nor a commit"),
        (["--base=--upload-pack=touch x"], "no commit has a name like this"),
        (["--run-a", "x", "--run-b", "y"], "a run's identifier, its folder, or a results file"),
        (["--base", "HEAD", "--budget", "lots"], "200images"),
    ]:
        done = committed.difftest("compare", *arguments)
        assert done.code == 2, arguments
        assert expected in done.err, (arguments, done.err)
    committed.write("fake.py", "raise RuntimeError('broken at import')\n")
    done = committed.difftest("compare", "--base", "HEAD")
    assert done.code == 2
    assert "broken at import" in done.out + done.err


def test_a_steered_run_refuses_what_it_does_not_know(committed: Repository) -> None:
    def steered(line: str) -> tuple[int, str]:
        process = committed.start("run", "--steer", "--reference", "none", stdin=subprocess.PIPE)
        out, err = process.communicate(line, timeout=60)
        return process.returncode, out + err

    for line, why in [
        ("", "ended before a `finish`"),
        ("make it so\n", "expected value"),
        ('{"command":"finish"}', "not whole"),
        (
            '{"command":"make","cells":[{"test":"x","prompt":"p","seed":1}]}\n',
            "x has no image of seed 1",
        ),
    ]:
        code, said = steered(line)
        assert code == 2, line
        assert why in said, (line, said)
    code, said = steered('{"command":"finish"}\n')
    assert code in (0, 1), said
