"""Which generator a name stands for, and the ones that other distributions bring."""

from __future__ import annotations

import importlib.metadata
import sys
import types
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import difftest
from difftest import generators
from difftest.recipe import Recipe
from difftest.shapes.diffusers_folder import write_diffusers_folder

if TYPE_CHECKING:
    from conftest import Repository


class Distributions:
    """Distributions as pip would install them, in folders of `sys.path`."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._root, self._monkeypatch = root, monkeypatch

    def install(self, name: str, entry_points: str, module: str = "") -> None:
        place = self._root / f"site-{name}"
        info = place / f"{name}-1.2.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
        (info / "entry_points.txt").write_text(f"[difftest.generators]\n{entry_points}\n")
        package = name.replace("-", "_")
        (place / f"{package}.py").write_text(module)
        self._monkeypatch.syspath_prepend(place)
        self._monkeypatch.delitem(sys.modules, package, raising=False)


@pytest.fixture
def distributions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Distributions:
    return Distributions(tmp_path / "installed", monkeypatch)


SOLID = """
import numpy as np

class Solid:
    fingerprint = "solid-1"
    batch_size = 2
    def __init__(self, options):
        self.options = options
    def describe(self):
        return {"model": self.options.model, "jobs": self.options.jobs}
    def generate(self, recipes):
        for recipe in recipes:
            yield np.full((2, 2, 3), self.options.options["shade"] + recipe.seed, np.uint8)
"""


def test_a_distribution_brings_a_generator(
    repository: Repository, distributions: Distributions
) -> None:
    distributions.install("solid-colours", "solid = solid_colours:Solid", SOLID)
    made = repository.generator("solid", "grey", options={"shade": 100}, jobs=3)
    assert (made.name, made.fingerprint, made.batch_size) == ("solid", "solid-1", 2)
    assert (made.describe()["model"], made.describe()["jobs"]) == ("grey", 3)
    images = made.generate([Recipe("a", 1), Recipe("a", 2)])
    assert [int(image.max()) for image in images] == [101, 102]
    with pytest.raises(difftest.GeneratorError, match="no generator `sold`; did you mean `solid`"):
        repository.generator("sold")


@pytest.mark.parametrize(
    ("module", "message"),
    [
        ("raise RuntimeError('no licence')", "cannot be loaded: RuntimeError: no licence"),
        ("import no_such_package", "cannot be loaded: ModuleNotFoundError"),
        ("", "cannot be loaded: AttributeError"),
        ("make = 3", "is 3; a function of `options` was expected"),
        ("def make(options): raise KeyError('url')", "did not load: KeyError: 'url'"),
        ("def make(options): return 3", "solid gave 3, which makes no images"),
    ],
)
def test_a_distribution_that_breaks_is_named(
    repository: Repository, distributions: Distributions, module: str, message: str
) -> None:
    distributions.install("solid-colours", "solid = solid_colours:make", module)
    with pytest.raises(difftest.GeneratorError, match=message) as broken:
        repository.generator("solid")
    if "gave 3" not in message:
        assert "solid-colours 1.2" in str(broken.value)
    assert repository.generator("onnx").name == "onnx", "and takes nothing else with it"


def test_a_name_that_two_claim_is_nobodys(
    repository: Repository, distributions: Distributions
) -> None:
    distributions.install("one", "solid = one:make\nonnx = one:make", "def make(options): ...")
    distributions.install("other", "solid = other:make", "def make(options): ...")
    with pytest.raises(difftest.GeneratorError) as twice:
        repository.generator("solid")
    assert "claimed twice, by one 1.2 (one:make) and other 1.2 (other:make)" in str(twice.value)
    with pytest.raises(
        difftest.GeneratorError, match=r"`onnx` is difftest's own, and one 1\.2 claims"
    ):
        repository.generator("onnx")
    assert repository.generator(None).name == "onnx", "who names no generator asked for no plug-in"


def test_nothing_is_looked_for_before_it_is_asked_for(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    def looked(**_: Any) -> Any:
        raise AssertionError("the installed distributions were searched")

    monkeypatch.setattr(importlib.metadata, "entry_points", looked)
    repository.write("pipeline.py", "def draw(prompt, seed): ...")
    assert repository.generator(None).name == "onnx"
    assert repository.generator("pipeline:draw").name == "pipeline:draw"


@pytest.mark.parametrize("package", ["diffusers", "torch", "transformers"])
def test_a_missing_package_says_how_to_install_it(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    for name in ("diffusers", "torch", "transformers"):
        stand_in = None if name == package else types.ModuleType(name)
        monkeypatch.setitem(sys.modules, name, stand_in)
    write_diffusers_folder(repository.root / "model")
    with pytest.raises(difftest.MissingDependencyError) as missing:
        repository.generator(None, "model")
    assert str(missing.value) == (
        f"the generator `diffusers` needs the package `{package}`, which is not installed here: "
        "pip install 'difftest[diffusers]'"
    )


def test_a_server_is_spoken_to_by_the_native_module(repository: Repository) -> None:
    with pytest.raises(difftest.DifftestError, match=r"127\.0\.0\.1"):
        repository.generator("a1111", options={"url": "http://127.0.0.1:9"})
    with pytest.raises(difftest.DifftestError, match="did you mean `url`"):
        repository.generator("comfyui", options={"urll": "http://127.0.0.1:9"})


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("onx", "there is no generator `onx`; did you mean `onnx`"),
        ("difusers", "did you mean `diffusers`"),
        ("comfy", "did you mean `comfyui`"),
        (
            "forge",
            "there is: a1111, api, comfyui, diffusers, onnx .for one of your own, .*pipeline:make",
        ),
    ],
)
def test_an_unknown_name_gets_the_nearest(repository: Repository, name: str, message: str) -> None:
    with pytest.raises(difftest.GeneratorError, match=message):
        repository.generator(name)


def test_who_names_no_generator_gets_the_models_own(tmp_path: Path) -> None:
    write_diffusers_folder(tmp_path / "torch")
    (tmp_path / "graphs" / "unet").mkdir(parents=True)
    (tmp_path / "graphs" / "unet" / "model.onnx").touch()
    (tmp_path / "empty").mkdir()
    for model, expected in {
        "shapes": "onnx",
        "torch": "diffusers",
        str(tmp_path / "torch"): "diffusers",
        "./graphs": "onnx",
        "stabilityai/sdxl-turbo": "diffusers",
        "shaeps": "onnx",
    }.items():
        assert generators.default(model, tmp_path) == expected
    with pytest.raises(difftest.GeneratorError, match="is the folder empty, which holds no model"):
        generators.default("empty", tmp_path)
