"""Training and the torch back end. Skipped, and said aloud, where torch is not installed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from difftest.shapes import safetensors_file
from difftest.shapes.clip import ShapesClip
from difftest.shapes.diffusers_folder import write_clip_folder, write_diffusers_folder
from difftest.shapes.layout import UNET_FILE
from difftest.shapes.pipeline import ShapesPipeline
from difftest.shapes.tokenizer import tokenize
from difftest.shapes.world import HELD_OUT, caption, render

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("torch_required")]

#: Largest difference of any pixel, 0..255 before rounding.
PARITY = 1e-3


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_diffusers_folder(tmp_path_factory.mktemp("diffusers"))


def test_torch_back_end_draws_the_same_pixels(pipeline: ShapesPipeline, folder: Path) -> None:
    from difftest.shapes.torch_pipeline import TorchShapesPipeline

    prompts = [caption(scene) for scene in HELD_OUT[::10]]
    seeds = list(range(len(prompts)))
    negatives = [None if seed % 2 else "a large red circle" for seed in seeds]
    expected = pipeline.generate_pixels(prompts, seeds, negatives)
    got = TorchShapesPipeline(folder).generate_pixels(prompts, seeds, negatives)
    assert np.abs(got - expected).max() <= PARITY


def test_torch_back_end_agrees_at_other_settings(folder: Path) -> None:
    from difftest.shapes.torch_pipeline import TorchShapesPipeline

    settings = {"steps": 4, "guidance_scale": 1.0}
    prompts = [caption(scene) for scene in HELD_OUT[:5]]
    expected = ShapesPipeline(**settings).generate_pixels(prompts, range(5))  # type: ignore[arg-type]
    got = TorchShapesPipeline(folder, **settings).generate_pixels(prompts, range(5))  # type: ignore[arg-type]
    assert np.abs(got - expected).max() <= PARITY


def test_transformers_tokenizer_gives_the_same_ids(folder: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder / "tokenizer")
    prompts = [caption(scene) for scene in HELD_OUT[:20]] + [""]
    theirs = tokenizer(prompts, padding="max_length", truncation=True).input_ids
    assert (np.array(theirs) == tokenize(prompts)).all()
    assert tokenizer.eos_token_id == tokenize([""]).max()


def test_transformers_clip_gives_the_same_embeddings(clip: ShapesClip, tmp_path: Path) -> None:
    import torch

    from difftest.shapes.torch_modules import ImageEmbedder, TextEmbedder, load_clip

    model = load_clip(write_clip_folder(tmp_path))
    scenes = HELD_OUT[:10]
    prompts, images = [caption(scene) for scene in scenes], render(scenes)
    pixels = torch.from_numpy(images.transpose(0, 3, 1, 2) / np.float32(127.5) - np.float32(1))
    with torch.no_grad():
        texts = TextEmbedder(model)(torch.from_numpy(tokenize(prompts))).numpy()
        seen = ImageEmbedder(model)(pixels).numpy()
    assert np.abs(texts - clip.embed_texts(prompts)).max() < 1e-5
    assert np.abs(seen - clip.embed_images(list(images))).max() < 1e-5


def test_missing_folder_says_how_to_make_it(tmp_path: Path) -> None:
    from difftest.shapes.torch_pipeline import TorchShapesPipeline

    with pytest.raises(FileNotFoundError, match=r"python -m difftest\.shapes diffusers"):
        TorchShapesPipeline(tmp_path)


def test_interrupted_training_resumes_to_the_same_weights(tmp_path: Path) -> None:
    import torch

    from difftest.shapes.train import DiffusionRecipe, DiffusionTask, train
    from difftest.shapes.training import CHECKPOINT, Trainer

    recipe = DiffusionRecipe(steps=4, batch=8)
    train(tmp_path / "whole", recipe, processes=1)

    interrupted = Trainer(recipe, lambda: DiffusionTask(recipe))
    interrupted.advance()
    interrupted.advance()
    (tmp_path / "resumed").mkdir()
    torch.save({**interrupted.state(), "seconds": 0.0}, tmp_path / "resumed" / CHECKPOINT)
    train(tmp_path / "resumed", recipe, processes=2, resume=True)

    whole, resumed = (
        safetensors_file.read(tmp_path / name / UNET_FILE) for name in ("whole", "resumed")
    )
    assert all((whole[name] == resumed[name]).all() for name in whole)


def test_a_checkpoint_of_another_recipe_is_refused() -> None:
    from difftest.shapes.train import DiffusionRecipe, DiffusionTask
    from difftest.shapes.training import Trainer

    recipe, other = DiffusionRecipe(steps=4, batch=8), DiffusionRecipe(steps=5, batch=8)
    state = Trainer(recipe, lambda: DiffusionTask(recipe)).state()
    with pytest.raises(ValueError, match="made by another recipe"):
        Trainer(other, lambda: DiffusionTask(other)).restore(state)


def test_safetensors_written_here_read_there(tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    tensors: safetensors_file.Tensors = {
        "half": np.arange(6, dtype=np.float16).reshape(2, 3),
        "single": np.ones(3, np.float32),
    }
    safetensors_file.write(tmp_path / "ours", tensors)
    save_file(tensors, tmp_path / "theirs")
    for read in (load_file(tmp_path / "ours"), safetensors_file.read(tmp_path / "theirs")):
        assert all((read[name] == tensor).all() for name, tensor in tensors.items())
