"""The package as a whole: what importing it costs, and what it says of itself."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import difftest

PACKAGE = Path(difftest.__file__).parent
ROOT = PACKAGE.parent.parent
HEAVY = ("numpy", "onnxruntime", "PIL", "tokenizers", "torch")


def _python(code: str, *flags: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            sys.executable,
            *flags,
            "-c",
            f"import sys; sys.path.insert(0, {str(PACKAGE.parent)!r})\n{code}",
        ],
        capture_output=True,
        text=True,
        check=True,
    )


def test_importing_difftest_imports_nothing_heavy() -> None:
    said = _python("import difftest", "-X", "importtime").stderr
    imported = {line.rpartition("|")[2].strip() for line in said.splitlines()}
    bare = _python("", "-X", "importtime").stderr
    already = {line.rpartition("|")[2].strip() for line in bare.splitlines()}
    assert "difftest" in imported
    assert imported - already == {"difftest", "__future__"}


def test_declaring_and_collecting_tests_needs_no_numerics(tmp_path: Path) -> None:
    (tmp_path / "test_a.py").write_text(
        "import difftest\n@difftest.test(['a'], ['clip_score'], suite='shapes')\ndef test_a(): ...\n"
    )
    said = _python(
        f"from difftest import _bridge\nprint(_bridge.collect('.', {str(tmp_path)!r})[:36])\n"
        f"print([n for n in {HEAVY} if n in sys.modules])"
    ).stdout
    assert said.splitlines() == ['{"tests": [{"id": "test_a.py::test_a', "[]"]


def test_every_public_name_is_there() -> None:
    for name in difftest.__all__:
        assert getattr(difftest, name) is not None
        assert name in dir(difftest)
    for error in ("ConfigurationError", "GeneratorError", "MetricError", "TimeoutError"):
        assert issubclass(getattr(difftest, error), difftest.DifftestError)


def test_an_unknown_name_is_an_attribute_error() -> None:
    assert not hasattr(difftest, "no_such_name")


def test_the_version_is_the_workspaces() -> None:
    cargo = (ROOT / "Cargo.toml").read_text(encoding="utf-8")
    found = re.search(r'^version = "(.+)"$', cargo, re.MULTILINE)
    assert found is not None
    assert difftest.__version__ == found[1]


def test_a_missing_dependency_says_how_to_install_it() -> None:
    error = difftest.MissingDependencyError("torch", "the generator `diffusers`", extra="diffusers")
    assert str(error) == (
        "the generator `diffusers` needs the package `torch`, which is not installed here: "
        "pip install 'difftest[diffusers]'"
    )
    assert isinstance(error, ImportError)


def test_the_torch_environment_has_what_the_extras_bring() -> None:
    tomllib = pytest.importorskip("tomllib", reason="tomllib came with Python 3.11")
    root = Path(__file__).resolve().parents[2]
    declared = tomllib.loads((root / "pyproject.toml").read_text())
    extras = declared["project"]["optional-dependencies"].values()
    brings = {*declared["project"]["dependencies"]}.union(
        *(extra for extra in extras if any(need.startswith("torch>") for need in extra))
    )
    assert sorted(declared["dependency-groups"]["torch"]) == sorted(brings)
