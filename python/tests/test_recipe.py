"""The recipe in Python, the native mappings, and ``difftest recipe``."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from difftest import _native
from difftest.recipe import Lora, Recipe

FULL = Recipe(
    prompt='a lighthouse,\nSteps: 3, "dusk" 猫',
    seed=42,
    negative_prompt="blurry",
    width=512,
    height=768,
    steps=20,
    guidance=6.5,
    scheduler="dpmpp_2m_karras",
    loras=(Lora("style", 0.8), Lora("detail", -0.25)),
    clip_skip=2,
    denoise=1.0,
)


def png(**texts: str) -> bytes:
    """An image as Pillow writes it, which is how A1111 and ComfyUI write theirs."""
    info = PngInfo()
    for keyword, text in texts.items():
        info.add_text(keyword, text)
    file = io.BytesIO()
    Image.fromarray(np.arange(48, dtype=np.uint8).reshape(4, 4, 3)).save(file, "PNG", pnginfo=info)
    return file.getvalue()


def difftest(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "difftest", *arguments], capture_output=True, text=True, check=False
    )


def test_python_and_rust_mean_the_same_recipe() -> None:
    for recipe in (FULL, Recipe("x", 7), Recipe("", -1, loras=(Lora("a"),))):
        assert Recipe.from_json(recipe.to_json()) == recipe
        assert Recipe.from_json(_native.check_recipe(recipe.to_json())) == recipe
    assert Recipe.from_json(
        _native.check_recipe('{"prompt": "x", "seed": 1, "scheduler": "Euler a"}')
    ) == Recipe("x", 1, scheduler="euler_a")


def test_a_recipe_cannot_be_changed_and_can_be_a_key() -> None:
    with pytest.raises(AttributeError):
        FULL.steps = 3  # type: ignore[misc]
    assert {FULL: 1}[Recipe.from_json(FULL.to_json())] == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 0}, "the recipe's `steps` is 0; it must be 1 to 1000"),
        ({"stpes": 3}, "a recipe has no field `stpes`; did you mean `steps`?"),
        ({"scheduler": "dpmpp_2m_karas"}, "did you mean `dpmpp_2m_karras`?"),
        ({"guidance": "high"}, "`guidance`"),
    ],
)
def test_a_wrong_recipe_says_what_is_wrong(change: dict[str, Any], message: str) -> None:
    wrong = json.dumps({"prompt": "x", "seed": 1, **change})
    for function in (_native.check_recipe, _native.recipe_to_diffusers, _native.recipe_to_onnx):
        with pytest.raises(ValueError, match=re.escape(message)):
            function(wrong)


def test_importing_recipes_imports_nothing_heavy() -> None:
    code = "import sys, difftest.recipe; print([n for n in ('numpy', 'PIL', 'torch') if n in sys.modules])"
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert said == "[]\n"


def test_the_mappings_reach_python() -> None:
    call = json.loads(_native.recipe_to_diffusers(FULL.to_json()))
    assert call["call"]["num_inference_steps"] == 20
    assert call["call"]["clip_skip"] == 1
    assert call["scheduler"]["class"] == "DPMSolverMultistepScheduler"
    assert [lora["name"] for lora in call["loras"]] == ["style", "detail"]
    assert json.loads(_native.recipe_to_onnx(Recipe("x", 7, steps=3).to_json())) == {
        "prompt": "x",
        "seed": 7,
        "steps": 3,
    }
    with pytest.raises(ValueError, match="`width` is 512"):
        _native.recipe_to_onnx(FULL.to_json())
    found = json.loads(_native.diffusers_scheduler("DPM++ 2M Karras"))
    assert (found["id"], found["config"]["use_karras_sigmas"]) == ("dpmpp_2m_karras", True)
    with pytest.raises(ValueError, match="diffusers has no scheduler `dpm_fast`"):
        _native.diffusers_scheduler("dpm_fast")


def test_pillow_reads_what_we_write_and_the_pixels_stay() -> None:
    plain = png()
    carrying = _native.with_recipe(plain, FULL.to_json(), "shapes")
    with Image.open(io.BytesIO(carrying)) as image:
        text = image.text  # type: ignore[attr-defined]
        pixels = np.asarray(image)
    with Image.open(io.BytesIO(plain)) as image:
        assert (pixels == np.asarray(image)).all()
    assert text["parameters"] == (
        f"{FULL.prompt} <lora:style:0.8> <lora:detail:-0.25>\nNegative prompt: blurry\n"
        "Steps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 6.5, Seed: 42, Size: 4x4, "
        "Model: shapes, Denoising strength: 1, Clip skip: 2"
    )
    assert Recipe.from_dict(json.loads(text["difftest"])["recipe"]) == FULL
    assert carrying == _native.with_recipe(plain, FULL.to_json(), "shapes")
    assert carrying == _native.with_recipe(carrying, FULL.to_json(), "shapes")


@pytest.mark.parametrize("prompt", ["a cat", "café", "猫 🐈", "ä" * 3000])
@pytest.mark.parametrize("kind", ["add_text", "add_itxt", "zip"])
def test_we_read_what_pillow_writes(prompt: str, kind: str) -> None:
    parameters = f"{prompt}\nSteps: 20, Sampler: Euler a, Seed: 3, Size: 64x64, Version: v1.10.1"
    info = PngInfo()
    if kind == "zip":
        info.add_text("parameters", parameters, zip=True)
    else:
        getattr(info, kind)("parameters", parameters)
    file = io.BytesIO()
    Image.new("RGB", (64, 64)).save(file, "PNG", pnginfo=info)
    said = _native.read_recipe(file.getvalue())
    assert said is not None
    reading = json.loads(said)
    assert (reading["prompt"], reading["tool_name"]) == (prompt, "A1111/Forge v1.10.1")
    assert (reading["scheduler"], reading["width"]) == ("euler_a", 64)


def test_show_reads_a_file_for_people_and_for_programs(tmp_path: Path) -> None:
    file = tmp_path / "image.png"
    file.write_bytes(_native.with_recipe(png(), FULL.to_json(), "shapes"))
    shown = difftest("recipe", "show", str(file))
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout.splitlines()[0] == f"{file}: made by difftest"
    assert "  scheduler        dpmpp_2m_karras (DPM++ 2M Karras)\n" in shown.stdout
    said = json.loads(difftest("recipe", "show", str(file), "--json").stdout)
    assert (said["tool"], said["steps"], said["seed"], said["model"]) == (
        "difftest",
        20,
        42,
        "shapes",
    )


def test_show_reads_comfyui(tmp_path: Path) -> None:
    nodes = {
        "3": (
            "KSampler",
            {"seed": 5, "steps": 25, "cfg": 8.0, "sampler_name": "euler", "scheduler": "karras"}
            | {"denoise": 1.0, "model": ["4", 0], "positive": ["6", 0], "latent_image": ["5", 0]},
        ),
        "4": ("CheckpointLoaderSimple", {"ckpt_name": "sd15.safetensors"}),
        "5": ("EmptyLatentImage", {"width": 512, "height": 512, "batch_size": 1}),
        "6": ("CLIPTextEncode", {"text": "a fox", "clip": ["4", 1]}),
        "9": ("SaveImage", {"images": ["3", 0]}),
    }
    prompt = {
        number: {"class_type": kind, "inputs": inputs, "is_changed": [float("nan")]}
        for number, (kind, inputs) in nodes.items()
    }
    file = tmp_path / "comfy.png"
    file.write_bytes(png(prompt=json.dumps(prompt)))
    shown = difftest("recipe", "show", str(file)).stdout
    assert "made by ComfyUI" in shown
    assert "  scheduler        euler_karras (Euler Karras)\n" in shown
    assert "  model            sd15.safetensors\n" in shown
    assert "  not said         negative_prompt, loras, clip_skip\n" in shown


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (png(), "it carries no recipe; it has no text at all"),
        (png(Software="paint"), "it carries no recipe; its texts are Software"),
        (b"\xff\xd8\xff\xe0", "it is no PNG file"),
        (png()[:-4], "cut short or damaged"),
        (png(parameters="x\n" * 5)[:60] + zlib.compress(b"x"), "cut short or damaged"),
        (None, "No such file"),
    ],
)
def test_a_file_without_a_recipe_is_an_error(
    tmp_path: Path, content: bytes | None, message: str
) -> None:
    file = tmp_path / "image.png"
    if content is not None:
        file.write_bytes(content)
    shown = difftest("recipe", "show", str(file))
    assert (shown.returncode, shown.stdout) == (2, "")
    assert shown.stderr.startswith(f"error: {file}: ")
    assert message in shown.stderr


def test_the_registry_is_listed() -> None:
    listed = difftest("recipe", "schedulers")
    assert listed.returncode == 0
    rows = {line.split()[0]: line for line in listed.stdout.splitlines()[1:-1]}
    described = json.loads(difftest("recipe", "schedulers", "--json").stdout)
    assert described == json.loads(_native.schedulers())
    assert list(rows) == [scheduler["id"] for scheduler in described]
    karras = rows["dpmpp_2m_karras"]
    for name in ("DPM++ 2M Karras", "DPMSolverMultistepScheduler", "DPM++ 2M, Karras", "dpmpp_2m"):
        assert name in karras


@pytest.mark.torch
@pytest.mark.usefixtures("torch_required")
def test_every_scheduler_is_a_class_of_diffusers_that_takes_its_configuration() -> None:
    import ast
    import importlib.util

    import diffusers

    # Read, not called: some need torchsde or scipy, whose lack hides the class.
    taken: dict[str, set[str]] = {}
    spec = importlib.util.find_spec("diffusers.schedulers")
    assert spec is not None
    assert spec.origin is not None
    for file in Path(spec.origin).parent.glob("scheduling_*.py"):
        for kind in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(kind, ast.ClassDef):
                continue
            for function in kind.body:
                if isinstance(function, ast.FunctionDef) and function.name == "__init__":
                    taken[kind.name] = {argument.arg for argument in function.args.args}
    wanted = [s["diffusers"] for s in json.loads(_native.schedulers()) if s["diffusers"]]
    assert len(wanted) > 80
    for names in wanted:
        assert hasattr(diffusers, names["class"])
        unknown = set(names["config"]) - taken[names["class"]]
        assert not unknown, f"{names['class']} takes no {unknown}"


@pytest.mark.torch
@pytest.mark.usefixtures("torch_required")
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_every_scheduler_steps_in_diffusers() -> None:
    """Each is made from the configuration of SD's own, as a pipeline's is, and keeps what was asked for."""
    import diffusers
    import torch

    own = diffusers.PNDMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1
    ).config
    stepped = 0
    for scheduler in json.loads(_native.schedulers()):
        names = scheduler["diffusers"]
        if names is None:
            continue
        try:
            made = getattr(diffusers, names["class"]).from_config(own, **names["config"])
            made.set_timesteps(4)
        except ImportError:  # torchsde or scipy
            continue
        kept = {key: made.config.get(key) for key in names["config"]}
        assert kept == names["config"], scheduler["id"]
        again = json.loads(_native.diffusers_scheduler(scheduler["id"]))
        assert again["class"] == type(made).__name__
        sample = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
        if "Flow" not in names["class"] and not names["config"].get("use_flow_sigmas"):
            model_input = made.scale_model_input(sample, made.timesteps[0])
            out = made.step(torch.zeros_like(model_input), made.timesteps[0], sample).prev_sample
            assert out.shape == sample.shape
        stepped += 1
    assert stepped > 30
