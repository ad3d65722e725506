"""Exported pipelines against the pipelines they were exported from, on the same noise."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from difftest import _native, generators
from difftest.generators.onnx_text import ClipTokenizer
from difftest.recipe import Recipe
from python.tests.generators import tiny
from python.tests.generators.exported import export

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("torch_required")]

PROMPTS = ["a small red circle", "a large blue square"]
MAKERS = {"sd": tiny.stable_diffusion, "sdxl": tiny.stable_diffusion_xl}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Any, Any]]:
    """By kind, the pipeline and the generator of its export."""
    import diffusers

    root = tmp_path_factory.mktemp("exports")
    both = {}
    for kind, maker in MAKERS.items():
        maker(root / f"{kind}-words").save_pretrained(root / f"{kind}-torch")
        # As read back: what its scheduler left to its own default is said in the file.
        pipeline = diffusers.DiffusionPipeline.from_pretrained(root / f"{kind}-torch")
        pipeline.set_progress_bar_config(disable=True)
        export(pipeline, root / kind)
        asked = generators.Options(None, kind, "cpu", str(root), {"threads": 1})
        both[kind] = (pipeline, generators.load(asked))
    return both


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("scheduler", [None, "euler", "ddim", "dpmpp_2m", "dpmpp_2m_karras"])
@pytest.mark.parametrize("negative", [None, "a green cross"])
@pytest.mark.parametrize("guidance", [1.0, 4.0])
def test_an_export_draws_what_the_pipeline_drew(
    made: dict[str, tuple[Any, Any]],
    kind: str,
    scheduler: str | None,
    negative: str | None,
    guidance: float,
) -> None:
    import diffusers
    import torch

    pipeline, generator = made[kind]
    assert generator.name == "onnx"
    recipes = [
        Recipe(
            prompt,
            seed,
            negative,
            steps=4,
            guidance=guidance,
            scheduler=scheduler,
            width=16,
            height=16,
        )
        for seed, prompt in enumerate(PROMPTS)
    ]
    images = list(generator.generate(recipes))
    noise = np.stack(
        [
            np.random.Generator(np.random.PCG64(seed)).standard_normal((4, 8, 8), np.float32)
            for seed in range(2)
        ]
    )
    own = pipeline.scheduler
    if scheduler is not None:
        named = json.loads(_native.recipe_to_diffusers(recipes[0].to_json()))["scheduler"]
        pipeline.scheduler = getattr(diffusers, named["class"]).from_config(
            own.config, **named["config"]
        )
    try:
        expected = pipeline(
            PROMPTS,
            negative_prompt=None if negative is None else [negative] * 2,
            num_inference_steps=4,
            guidance_scale=guidance,
            latents=torch.from_numpy(noise),
            width=16,
            height=16,
            output_type="np",
        ).images
    finally:
        pipeline.scheduler = own
    for image, pixels in zip(images, expected, strict=True):
        assert image.shape == (16, 16, 3)
        assert np.abs(image.astype(int) - np.round(pixels * 255)).max() <= 1
    assert (images[0] != images[1]).any()


def test_noise_of_an_ancestral_sampler_is_the_seeds(made: dict[str, tuple[Any, Any]]) -> None:
    _, generator = made["sd"]
    recipes = [Recipe("a red circle", seed, steps=4, scheduler="euler_a") for seed in (1, 2)]
    both = list(generator.generate(recipes))
    for recipe, image in zip(recipes, both, strict=True):
        (alone,) = generator.generate([recipe])
        assert np.abs(alone.astype(int) - image).max() <= 1


@pytest.fixture
def clip_vocabulary(tmp_path: Path) -> Path:
    """A CLIP tokenizer of a few merges, in the form of `vocab.json` and `merges.txt`."""
    from tokenizers.pre_tokenizers import ByteLevel

    letters = sorted(ByteLevel.alphabet())
    merges = [("r", "e"), ("re", "d</w>"), ("a", "n"), ("an", "d</w>"), ("é", "t")]
    merges = [pair for pair in merges if all(part.removesuffix("</w>") for part in pair)]
    words = [*letters, *(f"{letter}</w>" for letter in letters)]
    words += ["".join(pair) for pair in merges[:4]]
    words += ["<|startoftext|>", "<|endoftext|>"]
    folder = tmp_path / "tokenizer"
    folder.mkdir()
    (folder / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(words)}))
    lines = "\n".join(" ".join(pair) for pair in merges[:4])
    (folder / "merges.txt").write_text(f"#version: 0.2\n{lines}\n")
    (folder / "tokenizer_config.json").write_text(json.dumps({"model_max_length": 24}))
    special = {
        "bos_token": {"content": "<|startoftext|>"},
        "eos_token": "<|endoftext|>",
        "unk_token": "<|endoftext|>",
        "pad_token": "<|endoftext|>",
    }
    (folder / "special_tokens_map.json").write_text(json.dumps(special))
    return folder


def test_the_tokenizer_of_merges_is_that_of_transformers(clip_vocabulary: Path) -> None:
    from transformers import CLIPTokenizer

    prompts = [
        "a Red  AND green",
        "it's 42 reds, isn't it?",
        "",
        "naïve 猫\n\tand",
        "a very long prompt that is cut where the model has read enough of it",
    ]
    theirs = CLIPTokenizer.from_pretrained(clip_vocabulary)(
        prompts, padding="max_length", max_length=24, truncation=True
    ).input_ids
    assert ClipTokenizer(clip_vocabulary)(prompts).tolist() == theirs
