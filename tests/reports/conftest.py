"""One run of a small hostile repository, with every report that `difftest run` writes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import difftest

#: The package under test is the one that these tests import.
PACKAGES = str(Path(difftest.__file__).parents[1])

#: What would run if any report took it for more than text.
HOSTILE = "</script><script>window.hacked = 1</script><img src=x onerror='window.hacked = 2'>"
#: A prompt that no XML document can hold as it is, and no terminal should obey.
CONTROL = "a \x1b[31mred\x1b[0m square ]]> & more"

PIPELINE = '''
    """A picture that depends on the prompt and the seed, and a shade that a change moves."""

    import numpy as np

    SHADE = 40


    class Painter:
        fingerprint = "painter-1"
        batch_size = 4

        def describe(self):
            return {"threads": 1}

        def generate(self, prompts, seeds, negative_prompts):
            return [self.paint(*one) for one in zip(prompts, seeds)]

        def paint(self, prompt, seed):
            if prompt == "broken":
                raise RuntimeError("no picture: <script>window.hacked = 3</script>")
            image = np.full((64, 64, 3), 250, np.uint8)
            y, x = np.mgrid[:64, :64]
            inside = (x - 32) ** 2 + (y - 22 - seed % 20) ** 2 < 14**2
            # Every pair differs in the disc and nowhere else.
            image[inside] = (200, SHADE, 60)
            return image


    def make():
        return Painter()
'''

TESTS = f'''
    """What a hostile pull request may name its things."""

    import difftest


    @difftest.metric("brightness", range=(0.0, 1.0))
    def brightness(array):
        return float(array.mean()) / 255


    @difftest.visual_regression(prompts=["a disc", {HOSTILE!r}], seeds=[1, 8, 15], ssim_threshold=0.99)
    def the_same_as_before():
        """Fails: the disc has another shade."""


    @difftest.test(prompts=[{HOSTILE!r}, {CONTROL!r}], metrics=["brightness"], threshold=0.2, seeds=[1, 2])
    def bright_enough():
        """Passes."""


    @difftest.test(prompts=["broken", "a disc"], metrics=["brightness"], threshold=0.2, seeds=[1])
    def breaks():
        """One of its cells fails."""
'''


@dataclass(frozen=True)
class Reported:
    """What the run left behind."""

    code: int
    out: str
    results: dict[str, Any]
    html: Path
    junit: Path
    markdown: str
    folder: Path


def command(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "difftest", *arguments],
        cwd=root,
        env={**os.environ, "PYTHONPATH": PACKAGES},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def run(root: Path, *arguments: str) -> Reported:
    done = command(
        *(root, "run", "--output=out/results.json", "--junit=out/junit.xml"),
        *("--markdown=out/report.md", "--html=out/report.html", *arguments),
    )
    out = root / "out"
    assert (out / "report.html").exists(), done.stdout + done.stderr
    return Reported(
        done.returncode,
        done.stdout,
        json.loads((out / "results.json").read_text(encoding="utf-8")),
        out / "report.html",
        out / "junit.xml",
        (out / "report.md").read_text(encoding="utf-8"),
        root,
    )


def repository(root: Path) -> Path:
    """The repository with its baselines, and then a change that moves every pair."""
    files = {"pipeline.py": PIPELINE, "tests/test_odd.py": TESTS}
    for path, text in files.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text).lstrip(), encoding="utf-8")
    (root / "difftest.toml").write_text('generator = "pipeline:make"\n')
    saved = command(root, "baseline", "save")
    assert saved.returncode == 0, saved.stderr
    change = (root / "pipeline.py").read_text().replace("SHADE = 40", "SHADE = 120")
    (root / "pipeline.py").write_text(change)
    return root


@pytest.fixture(scope="session")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Reported:
    """The second run of two, so that there is a history."""
    root = repository(tmp_path_factory.mktemp("reported"))
    run(root)
    return run(root)
