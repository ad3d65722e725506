"""A repository under test, as difftest meets it."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from difftest import _bridge, clear_registry, imports

TORCH_PACKAGES = ("torch", "diffusers", "transformers")
MISSING = [name for name in TORCH_PACKAGES if importlib.util.find_spec(name) is None]
UNCHECKED = (
    f"NOT CHECKED: training, the torch back end and diffusers ({', '.join(MISSING)} not "
    "installed; set DIFFTEST_REQUIRE_TORCH=1 to make this a failure)"
)


class Repository:
    """A folder of files that is collected and run through the bridge, as the engine does."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write(self, path: str, text: str) -> Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text).lstrip("\n"), encoding="utf-8")
        return file

    def collect(self, test_dir: str = "tests") -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Tests and errors, as the engine reads them."""
        answer = json.loads(_bridge.collect(test_dir, str(self.root)))
        return answer["tests"], answer["errors"]

    def collect_one(self) -> dict[str, Any]:
        tests, errors = self.collect()
        assert errors == []
        (test,) = tests
        return test

    def generator(
        self, name: str | None, model: str = "shapes", device: str = "cpu", **others: Any
    ) -> Any:
        options = {"generator": name, "model": model, "device": device, "root": str(self.root)}
        return _bridge.load_generator(json.dumps({**options, **others}))


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[Repository]:
    """An empty repository; what it imports is forgotten afterwards."""
    # pytest calls this very folder `tests`, as every repository does with its own.
    ours = {
        name: sys.modules.pop(name) for name in list(sys.modules) if name.split(".")[0] == "tests"
    }
    modules, path = set(sys.modules), list(sys.path)
    clear_registry()
    yield Repository(tmp_path.resolve())
    clear_registry()
    imports.forget_tests()
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        places = [
            getattr(sys.modules[name], "__file__", None),
            *vars(sys.modules[name]).get("__path__", ()),
        ]
        if any(str(place).startswith(str(tmp_path.resolve())) for place in places):
            del sys.modules[name]
    sys.modules.update(ours)


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
