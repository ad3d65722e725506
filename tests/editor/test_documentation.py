"""docs/editor.md says what the server says, and its configuration starts the server."""

from __future__ import annotations

import asyncio
import json
import os
import re
import stat
import subprocess
from pathlib import Path

from tests.editor.editor import ROOT, editor, server_command, underlined
from tests.editor.test_neovim import neovim

PAGE = (ROOT / "docs" / "editor.md").read_text()


def fenced(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_the_table_is_what_the_server_says_of_the_example(tmp_path: Path) -> None:
    (example,) = fenced("python")

    async def told() -> list[str]:
        async with editor(tmp_path) as session:
            answer = await session.open(tmp_path / "test_shapes.py", example)
            return [
                f"| `{underlined(example, d.range)}` | `{d.code}` | {d.message} |"
                for d in answer.diagnostics
            ]

    assert asyncio.run(told()) == re.findall(r"^\| `.*\|$", PAGE, re.MULTILINE)


def test_the_configuration_for_neovim_shows_diagnostics(tmp_path: Path) -> None:
    program = neovim()
    (modern, before) = fenced("lua")
    (example,) = fenced("python")
    # `difftest lsp`, wherever the server under test is.
    command = tmp_path / "bin" / "difftest"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\n[ "$1" = lsp ] && exec {" ".join(server_command())}\n')
    command.chmod(command.stat().st_mode | stat.S_IXUSR)
    (tmp_path / "test_shapes.py").write_text(example)
    answer = tmp_path / "answer.json"
    check = """
    vim.cmd('edit test_shapes.py')
    vim.wait(20000, function() return #vim.diagnostic.get(0) > 0 end, 10)
    local codes = vim.tbl_map(function(d) return d.code end, vim.diagnostic.get(0))
    vim.fn.writefile({ vim.fn.json_encode(codes) }, vim.env.ANSWER)
    vim.cmd('qa!')
    """
    choose = f"if vim.lsp.config then {modern} else {before} end"
    script = tmp_path / "init.lua"
    script.write_text(choose + check)
    subprocess.run(
        [program, "--headless", "--clean", "-S", script],
        cwd=tmp_path,
        env={
            **os.environ,
            "PATH": f"{command.parent}:{os.environ['PATH']}",
            "ANSWER": str(answer),
            "XDG_STATE_HOME": str(tmp_path / "state"),
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=True,
        timeout=120,
    )
    assert len(json.loads(answer.read_text())) == 5
