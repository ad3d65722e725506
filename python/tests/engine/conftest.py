"""A small repository on disk, and `difftest` run on it as a user would."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import difftest

#: The package under test is the one that these tests import.
PACKAGES = str(Path(difftest.__file__).parents[1])

#: A generator that needs numpy alone: a picture that depends on prompt and seed, and on nothing else. The words of a
#: prompt make it fail, stop or dawdle.
FAKE = """
    import hashlib
    import time

    import numpy as np


    class Fake:
        fingerprint = "fake-1"
        batch_size = 4

        def describe(self):
            return {"threads": 1}

        def generate(self, prompts, seeds, negative_prompts):
            return [self.picture(*one) for one in zip(prompts, seeds, negative_prompts)]

        def picture(self, prompt, seed, negative):
            if "broken" in prompt:
                raise RuntimeError(f"no picture of {prompt}")
            if "slow" in prompt:
                time.sleep(0.05)
            size = 48 if "large" in prompt else 32
            key = hashlib.sha256(f"{prompt}|{seed}|{negative}".encode()).digest()
            random = np.random.default_rng(int.from_bytes(key[:8], "big"))
            y, x = np.mgrid[:size, :size]
            waves = [np.sin(x / random.uniform(2, 9)) * np.cos(y / random.uniform(2, 9)) for _ in "rgb"]
            return np.asarray(np.stack(waves, -1) * 127 + 128, np.uint8)


    def make():
        return Fake()
"""

#: One score an image, from 0 to 1, that needs nothing but the image.
BRIGHTNESS = """
    import difftest


    @difftest.metric("brightness", range=(0.0, 1.0))
    def brightness(array):
        return float(array.mean()) / 255
"""


@dataclass(frozen=True)
class Finished:
    """What a command left behind."""

    code: int
    out: str
    err: str


class Repository:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.write("difftest.toml", 'generator = "fake:make"\n')
        self.write("fake.py", FAKE)

    def write(self, path: str, text: str) -> Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text).lstrip("\n"), encoding="utf-8")
        return file

    def write_test(self, path: str, text: str) -> Path:
        """A test file that may score `brightness`."""
        return self.write(path, textwrap.dedent(BRIGHTNESS) + "\n\n" + textwrap.dedent(text))

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "difftest", *arguments],
            cwd=self.root,
            env={**os.environ, "PYTHONPATH": PACKAGES},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )

    def python(self, script: str, *arguments: str) -> Finished:
        """A script of the repository's."""
        done = subprocess.run(
            [sys.executable, script, *arguments],
            cwd=self.root,
            env={**os.environ, "PYTHONPATH": PACKAGES},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return Finished(done.returncode, done.stdout, done.stderr)

    def difftest(self, *arguments: str) -> Finished:
        process = self.start(*arguments)
        out, err = process.communicate(timeout=120)
        return Finished(process.returncode, out, err)

    def run(self, *arguments: str) -> tuple[Finished, dict[str, Any]]:
        """`difftest run`, with the results it wrote."""
        output = self.root / "results.json"
        output.unlink(missing_ok=True)
        finished = self.difftest("run", "--output", str(output), *arguments)
        assert output.exists(), finished.err
        return finished, json.loads(output.read_text())


def read_events(file: Path) -> list[dict[str, Any]]:
    """The events of a stream; an unfinished last line is no event."""
    text = file.read_text(encoding="utf-8")
    return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]


def kinds(events: Sequence[dict[str, Any]]) -> list[str]:
    return [event["event"] for event in events]


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path)


@pytest.fixture(name="read_events")
def _read_events() -> Any:
    return read_events


@pytest.fixture(name="kinds")
def _kinds() -> Any:
    return kinds
