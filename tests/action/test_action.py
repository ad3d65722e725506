"""The GitHub Action, run step by step as a runner runs it."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
import shutil
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.action import workflow
from tests.action.workflow import Finished

HERE = Path(__file__).parent
PASSED = "## difftest: passed\n\n| test | clip_score |\n| --- | --- |\n| test_shapes | 0.31 |\n"

#: Each would leave a file named `pwned` behind if anything but the program's argument became of it.
HOSTILE = [
    '"; touch pwned; "',
    "'; touch pwned; '",
    "$(touch pwned)",
    "`touch pwned`",
    "a && touch pwned",
    "a\ntouch pwned",
    "${{ github.token }} $(touch pwned)",
    "--help",
    "*",
    " leading and trailing ",
]

#: What a run itself leaves beside the tests.
RUNS_OWN = (".difftest", "__pycache__")

#: A repository whose tests need neither weights nor a GPU.
REPOSITORY = {
    "difftest.toml": 'test_dir = "."\ngenerator = "pipeline:make"\n',
    "pipeline.py": """\
import numpy as np


class Gray:
    fingerprint = "gray-1"
    batch_size = 4

    def describe(self):
        return {"threads": 1}

    def generate(self, prompts, seeds, negative_prompts):
        return [np.full((32, 32, 3), 128, np.uint8) for _ in prompts]


def make():
    return Gray()
""",
    "test_gray.py": """\
import difftest


@difftest.metric("brightness", range=(0.0, 1.0))
def brightness(array):
    return float(array.mean()) / 255


@difftest.test(prompts=["gray"], metrics=["brightness"], threshold={"brightness": 0.4})
def test_bright_enough(): ...
""",
}

Run = Callable[..., tuple[Finished, list[str] | None]]


def wheel(folder: Path) -> Path:
    """A wheel of the stand-in, under the real package's name."""
    info = "difftest-0.1.0.dist-info"
    files = {
        "difftest_stand_in.py": (HERE / "stand_in.py").read_text(),
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: difftest\nVersion: 0.1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": "[console_scripts]\ndifftest = difftest_stand_in:main\n",
    }

    def record(name: str, text: str) -> str:
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=")
        return f"{name},sha256={digest.decode()},{len(text.encode())}\n"

    listing = "".join(record(name, text) for name, text in files.items())
    path = folder / "difftest-0.1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
        archive.writestr(f"{info}/RECORD", listing + f"{info}/RECORD,,\n")
    return path


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """RUNNER_TEMP of one job, in which the action is used again and again."""
    return tmp_path_factory.mktemp("runner")


@pytest.fixture
def use(machine: Path, tmp_path: Path) -> Run:
    """Uses the action in an empty repository; answers how it ended and how difftest was called."""
    package = wheel(machine)

    def use(
        inputs: dict[str, str] | None = None,
        *,
        package: Path = package,
        files: dict[str, str] | None = None,
        **told: object,
    ) -> tuple[Finished, list[str] | None]:
        calls = tmp_path / "calls.json"
        calls.unlink(missing_ok=True)
        repository = tmp_path / "repository"
        repository.mkdir(exist_ok=True)
        for name, text in (files or {}).items():
            (repository / name).write_text(text)
        env = workflow.environment(
            DIFFTEST_PACKAGE=str(package),
            STAND_IN_CALLS=str(calls),
            STAND_IN=json.dumps(told),
        )
        finished = workflow.run(inputs or {}, repository, machine, env)
        left = {path.name for path in repository.iterdir()} - {*(files or {}), *RUNS_OWN}
        assert not left, "the action leaves nothing in the repository"
        return finished, json.loads(calls.read_text()) if calls.exists() else None

    return use


def test_a_run_that_passes_is_shown_in_the_summary(use: Run) -> None:
    finished, called = use(
        {"model": "shapes", "test-dir": "tests", "device": "cpu"}, markdown=PASSED
    )
    assert finished.code == 0
    assert finished.summary == PASSED + "\n"
    assert finished.outputs["conclusion"] == "success"
    assert json.loads(Path(finished.outputs["results"]).read_text()) == {"results": []}
    assert called is not None
    assert called[0] == "run"
    assert called[3:] == ["--model=shapes", "--test-dir=tests", "--device=cpu"]


@pytest.mark.parametrize(
    ("code", "conclusion"), [(1, "failure"), (2, "error"), (3, "error"), (137, "error")]
)
def test_the_steps_exit_code_is_difftests(use: Run, code: int, conclusion: str) -> None:
    finished, _ = use(markdown="## difftest: not passed\n", exits=code)
    assert finished.code == code
    assert finished.outputs["conclusion"] == conclusion
    assert "not passed" in finished.summary
    assert finished.outputs["results"]


def test_what_is_not_given_is_left_to_difftest_toml(use: Run) -> None:
    _, called = use(markdown=PASSED)
    assert called is not None
    assert [word.partition("=")[0] for word in called] == ["run", "--markdown", "--output"]


@pytest.mark.parametrize("value", HOSTILE)
def test_an_input_is_an_argument_and_nothing_else(use: Run, value: str) -> None:
    finished, called = use({"model": value, "test-dir": value, "device": value}, markdown=PASSED)
    assert finished.code == 0
    assert called is not None
    assert called[3:] == [f"--model={value}", f"--test-dir={value}", f"--device={value}"]


@pytest.mark.parametrize("value", [v for v in HOSTILE if v not in ("--help", "*")])
def test_a_version_is_a_version_and_nothing_else(use: Run, value: str) -> None:
    finished, called = use({"version": value}, markdown=PASSED)
    assert called is None
    assert (finished.code, finished.outputs["conclusion"]) == (2, "error")
    assert "the input version is not a version" in finished.summary


def test_further_arguments_are_split_as_a_shell_would_and_run_by_none(use: Run) -> None:
    finished, called = use(
        {"args": """--filter "red cross" --test 'a b' $(touch pwned); `touch pwned` * #"""},
        markdown=PASSED,
    )
    assert finished.code == 0
    assert called is not None
    assert called[3:] == [
        "--filter", "red cross", "--test", "a b",
        "$(touch", "pwned);", "`touch", "pwned`", "*", "#",
    ]  # fmt: skip


def test_further_arguments_with_an_open_quotation_are_refused(use: Run) -> None:
    finished, called = use({"args": "--filter 'red"}, markdown=PASSED)
    assert called is None
    assert finished.code == 2
    assert "quotation that is not closed" in finished.summary


def test_a_run_that_ends_before_it_can_report_says_why(use: Run) -> None:
    prints = "loading\rloading\x1b[31m weights\x1b[0m\n```\nno such model: `shape`\n"
    finished, _ = use(prints=prints, exits=2)
    assert (finished.code, finished.outputs["conclusion"]) == (2, "error")
    assert finished.outputs["results"] == ""
    assert finished.summary == (
        "## difftest\n\n**difftest ended with exit code 2 before it could report**\n\n"
        "````text\nloading weights\n```\nno such model: `shape`\n````\n"
    )


def test_a_run_that_says_nothing_has_not_passed(use: Run) -> None:
    finished, _ = use(prints="", exits=0)
    assert (finished.code, finished.outputs["conclusion"]) == (2, "error")
    assert "before it could report" in finished.summary


def test_a_package_that_cannot_be_installed_is_said_so(use: Run, tmp_path: Path) -> None:
    finished, called = use(package=tmp_path / "difftest-9-py3-none-any.whl")
    assert called is None
    assert (finished.code, finished.outputs["conclusion"]) == (2, "error")
    assert "difftest could not be installed" in finished.summary
    assert "difftest-9" in finished.summary


def test_a_machine_without_python_is_told_what_to_add(tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    bash = shutil.which("bash")
    assert bash
    (tools / "bash").symlink_to(bash)
    finished = workflow.run({}, tmp_path, tmp_path, workflow.environment(PATH=str(tools)))
    assert (finished.code, finished.outputs["conclusion"]) == (2, "error")
    assert "actions/setup-python" in finished.summary


def test_what_a_run_prints_is_not_read_as_commands_of_the_workflow(use: Run) -> None:
    finished, _ = use(prints="::add-mask::secret\n::stop-commands::x\n", markdown=PASSED)
    before, _, after = finished.log.rpartition("::add-mask::secret")
    token = re.findall(r"::stop-commands::(\w{32})\n", before)[-1]
    assert f"\n::{token}::\n" in after
    assert token not in before.rpartition("::stop-commands::")[0]


def test_a_report_longer_than_a_summary_may_be_is_cut(use: Run) -> None:
    line = "| test | é |\n"
    limit = 1024 * 1024
    finished, _ = use(repeats=[line, limit // len(line.encode()) + 10])
    assert finished.code == 0
    assert len(finished.summary.encode()) < limit
    assert finished.summary.endswith(
        "| test | é |\n\n*The report is longer than a job summary may be; the rest is cut.*\n"
    )


@pytest.mark.parametrize(
    ("change", "code", "conclusion", "shown"),
    [
        (("0.4", "0.4"), 0, "success", "brightness"),
        (("0.4", "0.9"), 1, "failure", "brightness"),
        (("def test_bright_enough(): ...", "def broken(:"), 2, "error", "test_gray.py"),
    ],
)
def test_difftest_itself_is_run_and_shown(
    use: Run, change: tuple[str, str], code: int, conclusion: str, shown: str
) -> None:
    """The stand-in hands over to the real command line, where this environment has one."""
    real = Path(sys.executable).parent / "difftest"
    if not real.exists():
        pytest.skip("SKIPPED (difftest is not installed here: run `make build`)")
    files = {**REPOSITORY, "test_gray.py": REPOSITORY["test_gray.py"].replace(*change)}
    finished, _ = use(files=files, exec=str(real))
    assert finished.code == code, finished.log
    assert finished.outputs["conclusion"] == conclusion
    assert shown in html.unescape(finished.summary)
    if code < 2:
        (result,) = json.loads(Path(finished.outputs["results"]).read_text())["results"]
        assert result["passed"] is (code == 0)


def test_no_expression_stands_in_a_script_and_no_action_is_unpinned() -> None:
    for step in workflow.definition()["runs"]["steps"]:
        assert not workflow.EXPRESSION.search(step.get("run", ""))
        if "uses" in step:
            assert re.search(r"@[0-9a-f]{40}$", step["uses"])
