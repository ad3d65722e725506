"""The console script up to the native module."""

from __future__ import annotations

import runpy
import sys
from types import ModuleType

import pytest

import difftest
from difftest import _cli


@pytest.fixture
def native(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """A native module that records how it is called."""
    calls: list[list[str]] = []
    module = ModuleType("difftest._native")
    module.cli_main = lambda argv: calls.append(argv) or 1  # type: ignore[attr-defined,func-returns-value]
    monkeypatch.setitem(sys.modules, "difftest._native", module)
    monkeypatch.setattr(difftest, "_native", module, raising=False)
    return calls


def test_arguments_and_exit_code_are_passed_through(native: list[list[str]]) -> None:
    assert _cli.main(["run", "--model", "shapes"]) == 1
    assert native == [["difftest", "run", "--model", "shapes"]]


def test_python_m_difftest_is_the_command_line(
    native: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["/anywhere/__main__.py", "--version"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("difftest", run_name="__main__")
    assert ended.value.code == 1
    assert native == [["difftest", "--version"]]


def test_without_the_native_module_it_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "difftest._native", None)
    monkeypatch.delattr(difftest, "_native", raising=False)
    assert _cli.main(["run"]) == 2
    assert "pip install difftest" in capsys.readouterr().err
