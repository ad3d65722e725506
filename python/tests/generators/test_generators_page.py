"""Every example of docs/generators.md: its configurations are taken, its code draws."""

from __future__ import annotations

import dataclasses
import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import difftest
from difftest import _native
from difftest.generators import LOCAL, REMOTE, Options, default, diffusers, onnx, options
from difftest.recipe import Recipe

if TYPE_CHECKING:
    from conftest import Repository

tomllib = pytest.importorskip("tomllib", reason="tomllib came with Python 3.11")

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs" / "generators.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
CONFIGURATIONS = [
    tomllib.loads(text) for kind, text in BLOCKS if kind == "toml" and "entry-points" not in text
]
OPTIONS = {"onnx": onnx.OnnxOptions, "diffusers": diffusers.DiffusersOptions}


@pytest.fixture
def page(repository: Repository) -> Repository:
    for kind, text in BLOCKS:
        if kind == "python":
            name = text.partition("\n")[0].removeprefix("# ")
            repository.write(name, text)
    return repository


@pytest.mark.parametrize("table", CONFIGURATIONS, ids=lambda table: str(table.get("model", "own")))
def test_a_configuration_is_one(table: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "models" / "sd15-onnx" / "unet").mkdir(parents=True)
    (tmp_path / "models" / "sd15-onnx" / "unet" / "model.onnx").touch()
    name = table.get("generator") or default(table["model"], tmp_path)
    if ":" in name:
        return
    options.read(OPTIONS[name], table.get("options", {}), generator=name)
    recipe = {"prompt": "a", "seed": 1, **table.get("recipe", {})}
    asked = Recipe.from_dict(recipe)
    assert json.loads(_native.recipe_to_diffusers(asked.to_json()))["call"]


def test_the_embedded_models_configuration_runs(repository: Repository) -> None:
    (table,) = [table for table in CONFIGURATIONS if table.get("model") == "shapes"]
    made = repository.generator(
        table["generator"], table["model"], options=table["options"], recipe=table["recipe"]
    )
    (said,) = made.generate([Recipe("a red circle", 1, **table["recipe"])])
    (own,) = repository.generator("onnx").generate([Recipe("a red circle", 1)])
    assert (said == own).all(), "the values on the page are the defaults"


def test_the_tables_of_options_are_whole() -> None:
    named = set(re.findall(r"^\| (`[^|]+`) \|", TEXT, re.MULTILINE))
    rows = {word for row in named for word in re.findall(r"`([^`]+)`", row)}
    fields = {field.name for field in dataclasses.fields(diffusers.DiffusersOptions)}
    assert fields <= rows
    for field in dataclasses.fields(onnx.OnnxOptions):
        assert f"{field.name} = " in TEXT
    assert {*LOCAL, *REMOTE} <= rows


def test_the_code_of_the_page_draws(page: Repository) -> None:
    made = page.generator("pipeline:make", options={"anything": 1}, recipe={"width": 8})
    images = list(made.generate([Recipe("a", 1, width=8), Recipe("a", 2)]))
    assert [image.shape for image in images] == [(32, 8, 3), (32, 32, 3)]
    (few, more) = page.generator("turbo:draw").generate(
        [Recipe("a", 1, steps=4), Recipe("a", 1, steps=8)]
    )
    assert (few != more).any()
    with pytest.raises(difftest.GeneratorError, match="takes no `guidance`"):
        raise next(iter(page.generator("turbo:draw").generate([Recipe("a", 1, guidance=2.0)])))


def test_the_plug_in_of_the_page_loads(page: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    (declared,) = [tomllib.loads(text) for kind, text in BLOCKS if "entry-points" in text]
    ((name, target),) = declared["project"]["entry-points"]["difftest.generators"].items()
    info = page.root / "my_package-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-package\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[difftest.generators]\n{name} = {target}\n")
    monkeypatch.syspath_prepend(page.root)
    for module in ("pipeline", "my_package"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    made = page.generator("gradient")
    assert (made.name, made.fingerprint) == ("gradient", "gradient-1")


def test_every_field_of_options_is_offered_to_a_plug_in() -> None:
    assert {"model", "device", "options", "recipe", "jobs", "image_timeout_s"} <= {
        field.name for field in dataclasses.fields(Options)
    }
