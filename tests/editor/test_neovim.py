"""The language server in a real editor: headless Neovim, 0.7 or newer."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.editor.editor import server_command

HERE = Path(__file__).parent

WRONG = """\
import difftest


@difftest.test(
    prompts=["🎨 a {colr} cross"],
    metrics=["clip_score"],
    threshold={"clip_score": 0.25, "lpips": 0.1},
    variables={"color": ["red", "blue"]},
)
def test_shapes(): ...
"""


def neovim() -> str:
    """The editor's program, or a skip; the summary of a run lists those."""
    program = shutil.which(os.environ.get("NVIM", "nvim"))
    if program is None:
        pytest.skip("SKIPPED (no Neovim: install nvim, or name it in NVIM)")
    return program


def test_neovim_shows_and_mends_what_is_wrong(tmp_path: Path) -> None:
    program = neovim()
    file, answer = tmp_path / "test_shapes.py", tmp_path / "answer.json"
    file.write_text(WRONG)
    subprocess.run(
        [program, "--headless", "--clean", "-S", HERE / "neovim.lua"],
        env={
            **os.environ,
            "SERVER": json.dumps(server_command()),
            "FILE": str(file),
            "ANSWER": str(answer),
            "XDG_STATE_HOME": str(tmp_path / "state"),
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=True,
        timeout=120,
    )
    seen = json.loads(answer.read_text())
    assert "problem" not in seen, seen
    assert [(d["line"], d["text"], d["code"]) for d in seen["opened"]] == [
        (5, "{colr}", "placeholder-without-variable"),
        (7, "lpips", "threshold-without-metric"),
    ]
    first = seen["opened"][0]
    assert (first["source"], first["severity"]) == ("difftest", "ERROR")
    assert first["message"] == "no variable for `{colr}`; did you mean `{color}`?"
    assert seen["titles"] == ["Replace with `color`"]
    assert [(d["line"], d["text"]) for d in seen["fixed"]] == [(7, "lpips")]
    assert [(d["line"], d["text"]) for d in seen["typed"]] == [(8, "lpips")]
    assert seen["stopped"]
