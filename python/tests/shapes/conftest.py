"""What the tests of the embedded model share; says aloud when the torch back end went unchecked."""

from __future__ import annotations

import importlib.util
import os

import pytest

from difftest.shapes.clip import ShapesClip
from difftest.shapes.pipeline import ShapesPipeline

TORCH_PACKAGES = ("torch", "diffusers", "transformers")
MISSING = [name for name in TORCH_PACKAGES if importlib.util.find_spec(name) is None]
UNCHECKED = (
    f"NOT CHECKED: training and the torch back end of the embedded model ({', '.join(MISSING)} not "
    "installed; set DIFFTEST_REQUIRE_TORCH=1 to make this a failure)"
)


@pytest.fixture(scope="session")
def pipeline() -> ShapesPipeline:
    return ShapesPipeline()


@pytest.fixture(scope="session")
def clip() -> ShapesClip:
    return ShapesClip()


@pytest.fixture
def torch_required() -> None:
    if not MISSING:
        return
    if os.environ.get("DIFFTEST_REQUIRE_TORCH") == "1":
        pytest.fail(UNCHECKED)
    pytest.skip(UNCHECKED)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if MISSING:
        terminalreporter.section("torch back end", yellow=True)
        terminalreporter.line(UNCHECKED, yellow=True)
