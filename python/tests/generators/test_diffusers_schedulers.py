"""Every scheduler of the registry that diffusers has, in a pipeline made on the spot."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import difftest
from difftest import _native, generators
from difftest.recipe import Recipe
from python.tests.generators import tiny

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("torch_required")]

REGISTERED = {
    found["id"]: found for found in json.loads(_native.schedulers()) if found["diffusers"]
}
SUITS_FLOW_ALONE = [name for name, found in REGISTERED.items() if found["suits"] == ["flow"]]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("schedulers")
    tiny.stable_diffusion(root).save_pretrained(root / "sd")
    tiny.stable_diffusion_3(root).save_pretrained(root / "sd3")
    return root


@pytest.fixture(scope="module")
def made(folders: Path) -> dict[str, Any]:
    """A generator of each."""
    return {
        kind: generators.load(generators.Options("diffusers", kind, "cpu", str(folders)))
        for kind in ("sd", "sd3")
    }


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", REGISTERED)
def test_a_scheduler_by_its_canonical_name(made: dict[str, Any], name: str) -> None:
    generator = made["sd3" if name in SUITS_FLOW_ALONE else "sd"]
    recipes = [Recipe("a red circle", seed, steps=4, scheduler=name) for seed in (1, 2)]
    images = list(generator.generate(recipes))
    assert [getattr(image, "shape", image) for image in images] == [(tiny.SIZE, tiny.SIZE, 3)] * 2
    assert generator.describe()["scheduler"] == REGISTERED[name]["diffusers"]["class"]
    again = list(generator.generate(recipes))
    assert all((a == b).all() for a, b in zip(images, again, strict=True)), (
        "equal seeds, equal images"
    )
    assert (images[0] != images[1]).any()


@pytest.mark.parametrize("name", ["euler_karras", "dpmpp_2m_karras", "unipc", "ddim"])
def test_the_image_is_that_of_the_bare_scheduler(
    made: dict[str, Any], folders: Path, name: str
) -> None:
    import diffusers
    import torch

    registered = REGISTERED[name]["diffusers"]
    pipeline = diffusers.DiffusionPipeline.from_pretrained(folders / "sd")
    pipeline.set_progress_bar_config(disable=True)
    kind = getattr(diffusers, registered["class"])
    pipeline.scheduler = kind.from_config(pipeline.scheduler.config, **registered["config"])
    expected = pipeline(
        ["a red circle"], num_inference_steps=5, generator=[torch.Generator().manual_seed(1)]
    ).images
    generator = made["sd"]
    recipe = Recipe("a red circle", 1, steps=5)
    before = next(iter(generator.generate([recipe])))
    (image,) = generator.generate([Recipe("a red circle", 1, steps=5, scheduler=name)])
    assert (image == np.asarray(expected[0])).all()
    assert (image != before).any()
    (after,) = generator.generate([recipe])
    assert (after == before).all(), "without a scheduler in the recipe it is the model's own again"


@pytest.mark.parametrize(
    ("kind", "name", "message"),
    [
        ("sd3", "ddim", "does not suit StableDiffusion3Pipeline, a model of rectified flow"),
        ("sd", "flow_match_euler", "a model of denoising diffusion"),
        ("sd", "dpmpp_2n", "did you mean `dpmpp_2"),
    ],
)
def test_a_scheduler_that_does_not_suit_the_model_is_refused(
    made: dict[str, Any], kind: str, name: str, message: str
) -> None:
    with pytest.raises(difftest.GeneratorError, match=message):
        list(made[kind].generate([Recipe("a", 1, steps=2, scheduler=name)]))


def test_noise_of_the_process_is_seeded_by_the_image(made: dict[str, Any]) -> None:
    """FlowMatchLCMScheduler draws noise, and SD3's pipeline hands it no generator."""
    import torch

    generator = made["sd3"]
    recipes = [Recipe("a", seed, steps=3, scheduler="flow_match_lcm") for seed in (1, 2)]
    state = torch.random.get_rng_state()
    both = list(generator.generate(recipes))
    assert (torch.random.get_rng_state() == state).all(), (
        "the process's own numbers go on as before"
    )
    for recipe, image in zip(recipes, both, strict=True):
        (alone,) = generator.generate([recipe])
        assert (alone == image).all(), "whatever else is in the batch"


def test_torchsde_missing_says_how_to_install_it(
    made: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    import diffusers

    def missing(*_: Any, **__: Any) -> Any:
        raise ImportError("DPMSolverSDEScheduler requires the torchsde library")

    monkeypatch.setattr(diffusers.DPMSolverSDEScheduler, "from_config", missing)
    with pytest.raises(difftest.MissingDependencyError, match="needs the package `torchsde`"):
        list(made["sd"].generate([Recipe("a", 1, steps=2, scheduler="dpmpp_sde")]))
