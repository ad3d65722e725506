"""The generator `onnx`: the embedded model, and exported folders."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
import pytest

import difftest
from difftest.onnx_runtime import CPU, Runtime
from difftest.recipe import Lora, Recipe
from difftest.shapes.diffusers_folder import write_diffusers_folder
from difftest.shapes.layout import UNET_GRAPH, WEIGHTS
from difftest.shapes.pipeline import ShapesPipeline

if TYPE_CHECKING:
    from conftest import Repository

PROMPT = "a small red circle, center, on a white background"


def graphs(folder: Path) -> Path:
    """The embedded model as an exported folder: its own graphs, in the layout that optimum writes."""
    write_diffusers_folder(folder)
    for part in ("unet", "text_encoder"):
        shutil.rmtree(folder / part)
        shutil.copytree(WEIGHTS / part, folder / part)
    return folder


# The embedded model


@pytest.mark.parametrize("name", [None, "onnx"])
def test_the_embedded_model_is_a_generator(repository: Repository, name: str | None) -> None:
    made = repository.generator(name)
    images = list(made.generate([Recipe(PROMPT, 1), Recipe(PROMPT, 2, "blue")]))
    assert [(image.shape, image.dtype) for image in images] == [((32, 32, 3), np.uint8)] * 2
    (again,) = made.generate([Recipe(PROMPT, 1)])
    assert np.abs(again.astype(int) - images[0]).max() <= 1
    described = made.describe()
    assert (made.name, described["device"], described["model"]) == ("onnx", "cpu", "shapes")
    assert {"onnxruntime", "numpy", "tokenizers"} <= set(described["versions"])


def test_the_embedded_model_takes_steps_and_guidance(repository: Repository) -> None:
    recipes = [
        Recipe(PROMPT, 1, steps=3, guidance=1.0),
        Recipe(PROMPT, 1),
        Recipe(PROMPT, 1, width=32, height=32, scheduler="ddim", clip_skip=1, denoise=1.0),
    ]
    few, own, said = repository.generator("onnx").generate(recipes)
    (expected,) = ShapesPipeline(steps=3, guidance_scale=1.0).generate([PROMPT], [1])
    assert (few == expected).all()
    assert (own == said).all(), "to ask for what it does anyway is no error"
    assert (few != own).any()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"width": 64}, "`width` is 64"),
        ({"scheduler": "euler"}, "`scheduler` is euler"),
        ({"loras": (Lora("x.safetensors"),)}, "`loras` is `x.safetensors`"),
        ({"clip_skip": 2}, "`clip_skip` is 2"),
        ({"denoise": 0.5}, "`denoise` is 0.5"),
        ({"scheduler": "eulr"}, "did you mean `euler`"),
        ({"steps": 0}, "`steps` is 0"),
    ],
)
def test_what_the_embedded_model_cannot_do_is_an_error(
    repository: Repository, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(difftest.GeneratorError, match=message):
        list(repository.generator("onnx").generate([Recipe(PROMPT, 1, **settings)]))


def test_a_seed_that_a_pipeline_refuses_is_named(repository: Repository) -> None:
    with pytest.raises(difftest.GeneratorError, match="seed -1: ValueError: seeds must not be"):
        list(repository.generator(None).generate([Recipe("a red circle", -1)]))


# How it runs


@pytest.mark.parametrize(
    ("model", "device", "options", "message"),
    [
        ("shaeps", "cpu", {}, "no embedded model `shaeps`, nor a folder .*; did you mean `shapes`"),
        ("flux", "cpu", {}, 'there is: shapes .for a model of your own, .*"module:factory"'),
        (
            "shapes",
            "tpu",
            {},
            "the device is `tpu`, which ONNX Runtime does not know; did you mean `cpu`",
        ),
        (
            "shapes",
            "cuda",
            {},
            "this onnxruntime has no CUDAExecutionProvider; it has .*cpu.*onnxruntime-gpu",
        ),
        (
            "shapes",
            "cpu",
            {"provider": "tensorrt"},
            "the provider is `tensorrt`, but .*TensorrtExecutionProvider",
        ),
        ("shapes", "mps", {}, "has no CoreMLExecutionProvider"),
        ("shapes", "cpu", {"provider": "cuba"}, "does not know; did you mean `cuda`"),
        ("shapes", "cpu", {"threds": 2}, "has no option `threds`; did you mean `threads`"),
        ("shapes", "cpu", {"threads": 0}, "the option `threads` .* is 0; an integer from 1"),
        ("shapes", "cpu", {"graph_optimization": "al"}, "is `al`; did you mean `all`"),
        ("shapes", "cpu", {"threads": True}, "is True; an integer was expected"),
        ("shapes", "cpu", {"endpoint": "https://example.org"}, "has no option `endpoint`"),
    ],
)
def test_how_it_cannot_run_is_said(
    repository: Repository, model: str, device: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(difftest.GeneratorError, match=message):
        repository.generator("onnx", model, device, options=options)


def test_options_reach_the_session(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    session = onnxruntime.InferenceSession

    def watched(path: str, options: Any, providers: Any) -> Any:
        seen.append((options.intra_op_num_threads, options.inter_op_num_threads, providers))
        seen.append(options.graph_optimization_level)
        return session(path, options, providers=providers)

    monkeypatch.setattr(onnxruntime, "InferenceSession", watched)
    made = repository.generator(
        "onnx",
        options={
            "threads": "2",
            "inter_op_threads": 3,
            "graph_optimization": "basic",
            "provider": "CPUExecutionProvider",
            "api_key": "for another generator, from the environment",
        },
    )
    list(made.generate([Recipe(PROMPT, 1)]))
    assert seen[:2] == [(2, 3, [CPU]), onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC]
    described = made.describe()
    assert described["threads"] == 2
    assert (described["inter_op_threads"], described["graph_optimization"]) == (3, "basic")
    plain = repository.generator("onnx").fingerprint
    assert made.fingerprint != plain, "graph optimisation could move a bit"
    assert repository.generator("onnx", options={"threads": 2}).fingerprint == plain


def test_a_provider_that_does_not_start_is_no_silent_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """ONNX Runtime goes on with the CPU where a provider's libraries are missing, with a warning that nobody reads."""

    class Fallen:
        def __init__(self, *_: Any, **__: Any) -> None: ...

        def get_providers(self) -> list[str]:
            return [CPU]

    cuda = "CUDAExecutionProvider"
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [cuda, CPU])
    monkeypatch.setattr(onnxruntime, "InferenceSession", Fallen)
    with pytest.raises(
        ValueError, match=r"could not start CUDAExecutionProvider .* would have run on CPU"
    ):
        Runtime(cuda).session(WEIGHTS / UNET_GRAPH)


# Exported folders


def test_an_exported_folder_is_that_model(repository: Repository) -> None:
    graphs(repository.root / "model")
    made = repository.generator(None, "model", options={"threads": 1})
    recipes = [
        Recipe(PROMPT, 1, steps=10, guidance=1.5),
        Recipe(
            "a large blue square, top left, on a black background",
            2,
            "a cross",
            steps=10,
            guidance=1.5,
        ),
    ]
    images = list(made.generate(recipes))
    embedded = ShapesPipeline(steps=10, guidance_scale=1.5).generate(
        [recipe.prompt for recipe in recipes], [1, 2], [None, "a cross"]
    )
    for image, expected in zip(images, embedded, strict=True):
        assert image.shape == (32, 32, 3)
        assert np.abs(image.astype(int) - expected).max() <= 1
    described = made.describe()
    assert (described["pipeline"], described["device"]) == ("StableDiffusionPipeline", "cpu")


def test_an_exported_folder_takes_the_schedulers_it_has(repository: Repository) -> None:
    graphs(repository.root / "model")
    made = repository.generator("onnx", "model", options={"threads": 1})

    def image(**settings: Any) -> Any:
        return next(iter(made.generate([Recipe(PROMPT, 3, guidance=1.5, **settings)])))

    own = image(steps=20)
    assert (image(steps=20, scheduler="ddim") == own).all()

    def apart(scheduler: str) -> float:
        return float(np.abs(image(steps=20, scheduler=scheduler).astype(int) - own).mean())

    assert apart("euler") < 0.1, "DDIM is Euler's method in sigma (arXiv 2010.02502, section 4.3)"
    assert 0 < apart("dpmpp_2m") < 20, "another walk to nearly the same image"
    with pytest.raises(
        difftest.GeneratorError,
        match="UniPCMultistepScheduler, which the generator `onnx` does not",
    ):
        image(scheduler="unipc")


def test_the_fingerprint_of_a_folder_is_of_its_files(repository: Repository) -> None:
    folder = graphs(repository.root / "model")
    made = repository.generator("onnx", "model")
    assert made.fingerprint == repository.generator("onnx", "model").fingerprint
    config = folder / "scheduler" / "scheduler_config.json"
    config.write_text(config.read_text().replace("1000", "999"))
    assert made.fingerprint != repository.generator("onnx", "model").fingerprint


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"width": 30}, "`width` is 30; for this model it must be a multiple of 4"),
        ({"loras": (Lora("x"),)}, "sets `loras`, which an exported graph cannot take"),
        ({"clip_skip": 2}, "sets `clip_skip`"),
        ({"steps": 2000}, "`steps` is 2000; it must be 1 to 1000"),
    ],
)
def test_what_an_exported_folder_cannot_do_is_an_error(
    repository: Repository, settings: dict[str, Any], message: str
) -> None:
    graphs(repository.root / "model")
    with pytest.raises(difftest.GeneratorError, match=message):
        list(repository.generator("onnx", "model").generate([Recipe(PROMPT, 1, **settings)]))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "model_index.json").unlink(), "is a folder without a model_index.json"),
        (
            lambda f: (f / "model_index.json").write_text('{"_class_name": "FluxPipeline"}'),
            "is a FluxPipeline; .*`diffusers` any other",
        ),
        (lambda f: (f / "model_index.json").write_text("{"), "model_index.json is no JSON"),
        (lambda f: (f / "unet" / "model.onnx").unlink(), "has no unet/model.onnx"),
        (lambda f: shutil.rmtree(f / "tokenizer"), "has 0 tokenizers and 1 text encoders"),
        (
            lambda f: (f / "tokenizer" / "tokenizer.json").unlink(),
            "neither tokenizer.json, nor vocab.json",
        ),
        (
            lambda f: (f / "unet" / "config.json").write_text('{"in_channels": 4}'),
            "has no vae_decoder/model.onnx",
        ),
    ],
)
def test_a_folder_that_is_no_export_says_what_is_missing(
    repository: Repository, damage: Any, message: str
) -> None:
    damage(graphs(repository.root / "model"))
    with pytest.raises(difftest.GeneratorError, match=message):
        repository.generator("onnx", "model")


def test_nan_is_a_failure_of_its_image(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    from difftest.generators import onnx_folder

    graphs(repository.root / "model")
    decoded = onnx_folder.OnnxFolder._decoded

    def broken(self: Any, latents: Any) -> Any:
        images = decoded(self, latents)
        images[1] = np.nan
        return images

    monkeypatch.setattr(onnx_folder.OnnxFolder, "_decoded", broken)
    made = repository.generator("onnx", "model")
    good, bad = made.generate([Recipe(PROMPT, seed, steps=1) for seed in (1, 2)])
    assert good.shape == (32, 32, 3)
    assert "seed 2 has 3072 values that are NaN" in str(bad)
    assert json.dumps(made.describe())
