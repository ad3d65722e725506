"""A GitHub runner for one composite action: as much of it as action.yml uses.

https://docs.github.com/en/actions/reference/workflows-and-actions/metadata-syntax#runs-for-composite-actions
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ACTION = Path(__file__).resolve().parents[2] / "action"
EXPRESSION = re.compile(r"\$\{\{\s*(.+?)\s*\}\}")


def definition() -> dict[str, Any]:
    loaded = yaml.safe_load((ACTION / "action.yml").read_text())
    assert isinstance(loaded, dict)
    return loaded


@dataclass
class Finished:
    """What is left of a job's step: what people and later steps see of it."""

    code: int
    log: str
    summary: str
    outputs: dict[str, str] = field(default_factory=dict)


def run(
    inputs: Mapping[str, str], folder: Path, temporary: Path, env: Mapping[str, str]
) -> Finished:
    """Runs the action in `folder` as `uses: difftest/difftest/action@v1` with these inputs would."""
    action = definition()
    unknown = set(inputs) - set(action["inputs"])
    assert not unknown, f"a runner warns of inputs that are not there: {unknown}"
    values = {name: str(told.get("default", "")) for name, told in action["inputs"].items()}
    values.update(inputs)
    context = {f"inputs.{name}": value for name, value in values.items()}

    summary = temporary / "step_summary"
    summary.write_text("")
    code, log = 0, ""
    for step in action["runs"]["steps"]:
        output = temporary / "step_output"
        output.write_text("")
        script = temporary / "step.sh"
        script.write_text(_filled(step["run"], context))
        assert step["shell"] == "bash"
        finished = subprocess.run(
            ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", script],
            cwd=folder,
            env={
                **env,
                **{name: _filled(value, context) for name, value in step.get("env", {}).items()},
                "GITHUB_ACTIONS": "true",
                "GITHUB_ACTION_PATH": str(ACTION),
                "GITHUB_OUTPUT": str(output),
                "GITHUB_STEP_SUMMARY": str(summary),
                "RUNNER_TEMP": str(temporary),
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
            timeout=300,
        )
        log += finished.stdout
        for line in output.read_text().splitlines():
            name, _, value = line.partition("=")
            context[f"steps.{step['id']}.outputs.{name}"] = value
        code = finished.returncode
        if code != 0:
            break
    outputs = {name: _filled(told["value"], context) for name, told in action["outputs"].items()}
    return Finished(code, log, summary.read_text(), outputs)


def _filled(text: str, context: Mapping[str, str]) -> str:
    """Expressions become their values, as text: that is why none belongs into a script."""
    return EXPRESSION.sub(lambda found: context.get(found[1], ""), text)


def environment(**changes: str) -> dict[str, str]:
    """This process's, less what would make a virtual environment or pip look elsewhere."""
    dropped = ("PYTHON", "PIP_", "VIRTUAL_ENV", "DIFFTEST_", "GITHUB_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    # Whatever is installed here lies on this disk.
    return {**kept, "PIP_NO_INDEX": "1", **changes}
