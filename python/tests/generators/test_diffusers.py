"""The generator `diffusers`, on pipelines made on the spot: every image is that of the bare call, bit for bit."""

from __future__ import annotations

import functools
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import difftest
from difftest import memory
from difftest.recipe import Lora, Recipe
from difftest.shapes.diffusers_folder import write_diffusers_folder
from python.tests.generators import tiny

if TYPE_CHECKING:
    from conftest import Repository

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("torch_required")]

MAKERS: dict[str, Callable[[Path], Any]] = {
    "sd": tiny.stable_diffusion,
    "sdxl": tiny.stable_diffusion_xl,
    "sd3": tiny.stable_diffusion_3,
}
PROMPTS = ("a small red circle", "a large blue square")


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a tiny pipeline, saved once."""
    root = tmp_path_factory.mktemp("tiny")

    def folder(kind: str) -> Path:
        if not (root / kind).exists():
            MAKERS[kind](root).save_pretrained(root / kind)
        return root / kind

    return folder


@pytest.fixture
def generator(repository: Repository, saved: Callable[[str], Path]) -> Callable[..., Any]:
    def load(kind: str = "sd", *, recipe: dict[str, Any] | None = None, **options: Any) -> Any:
        return repository.generator(
            "diffusers", str(saved(kind)), options=options, recipe=recipe or {}
        )

    return load


def recipes(*seeds: int, **settings: Any) -> list[Recipe]:
    """One for each seed, at two steps."""
    return [
        Recipe(PROMPTS[index % 2], seed, **{"steps": 2, **settings})
        for index, seed in enumerate(seeds)
    ]


def bare(pipeline: Any, asked: list[Recipe], **arguments: Any) -> list[Any]:
    """What a user would write without difftest, in one call."""
    import torch

    pipeline.set_progress_bar_config(disable=True)
    images = pipeline(
        prompt=[recipe.prompt for recipe in asked],
        generator=[torch.Generator("cpu").manual_seed(recipe.seed) for recipe in asked],
        **{"num_inference_steps": 2, **arguments},
    ).images
    return [np.asarray(image) for image in images]


def opened(folder: Path, **arguments: Any) -> Any:
    import diffusers

    index = json.loads((folder / "model_index.json").read_text())
    absent = {name: None for name, of in index.items() if of == [None, None]}
    return diffusers.DiffusionPipeline.from_pretrained(folder, **{**absent, **arguments})


def equal(images: Any, others: Any) -> bool:
    return all(
        a.dtype == np.uint8 and (a == b).all() for a, b in zip(list(images), others, strict=True)
    )


def mean_difference(images: Any, others: Any) -> float:
    pairs = zip(list(images), list(others), strict=True)
    return max(float(np.abs(a.astype(int) - b).mean()) for a, b in pairs)


# Values


@pytest.mark.parametrize("kind", MAKERS)
def test_images_are_those_of_the_bare_call(
    generator: Any, saved: Callable[[str], Path], kind: str
) -> None:
    asked = recipes(1, 2, 3, guidance=4.0)
    images = list(generator(kind).generate(asked))
    assert [image.shape for image in images] == [(tiny.SIZE, tiny.SIZE, 3)] * 3
    assert equal(images, bare(opened(saved(kind)), asked, guidance_scale=4.0))
    assert mean_difference(images[:1], images[1:2]) > 1, "another prompt and seed is another image"


def test_negative_prompts_and_sizes_reach_the_pipeline(
    generator: Any, saved: Callable[[str], Path]
) -> None:
    asked = recipes(5, 6, negative_prompt="a large green cross", width=24, height=16)
    images = list(generator().generate(asked))
    expected = bare(
        opened(saved("sd")), asked, negative_prompt=["a large green cross"] * 2, width=24, height=16
    )
    assert images[0].shape == (16, 24, 3)
    assert equal(images, expected)
    without = list(generator().generate(recipes(5, 6, width=24, height=16)))
    assert mean_difference(images, without) > 0


def test_no_negative_prompt_is_not_an_empty_one(
    generator: Any, saved: Callable[[str], Path]
) -> None:
    """SDXL takes zeros for the embeddings of none, and those of "" for "" (`force_zeros_for_empty_prompt`)."""
    none, empty = recipes(1, guidance=8.0), recipes(1, guidance=8.0, negative_prompt="")
    images = list(generator("sdxl").generate([*none, *empty]))
    pipeline = opened(saved("sdxl"))
    assert equal(images[:1], bare(pipeline, none, guidance_scale=8.0))
    assert equal(images[1:], bare(pipeline, empty, guidance_scale=8.0, negative_prompt=[""]))
    assert not equal(images[:1], images[1:])


def test_recipes_of_other_settings_are_made_apart_and_in_order(generator: Any) -> None:
    made = generator()
    first, wide, more = recipes(1), recipes(2, width=24), recipes(3, steps=3)
    together = list(made.generate([*first, *wide, *more, *first]))
    assert [image.shape[1] for image in together] == [16, 24, 16, 16]
    alone = [next(iter(made.generate(one))) for one in (first, wide, more, first)]
    assert equal(together, alone)


def test_recipes_of_equal_settings_are_one_call(
    generator: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import diffusers

    calls = []
    call = diffusers.StableDiffusionPipeline.__call__

    @functools.wraps(call)
    def counted(self: Any, *positional: Any, **keywords: Any) -> Any:
        calls.append(len(keywords["prompt"]))
        return call(self, *positional, **keywords)

    monkeypatch.setattr(diffusers.StableDiffusionPipeline, "__call__", counted)
    items = iter(generator().generate([*recipes(1, 2, 3), *recipes(4, steps=3)]))
    next(items)
    assert calls == [3], "the next ones are not begun before they are asked for"
    assert len([*items]) == 3
    assert calls == [3, 1]


def test_clip_skip_counts_as_a1111_does(generator: Any, saved: Callable[[str], Path]) -> None:
    made, pipeline = generator("sdxl"), opened(saved("sdxl"))
    one, two = recipes(1, clip_skip=1), recipes(1, clip_skip=2)
    assert equal(made.generate(one), bare(pipeline, one))
    assert equal(made.generate(two), bare(pipeline, two, clip_skip=1))
    assert not equal(made.generate(one), [next(iter(made.generate(two)))])


def test_further_arguments_of_the_call(generator: Any, saved: Callable[[str], Path]) -> None:
    asked = recipes(1)
    image = next(iter(generator(call={"guidance_rescale": 0.7}).generate(asked)))
    assert equal([image], bare(opened(saved("sd")), asked, guidance_rescale=0.7))
    assert not equal([image], bare(opened(saved("sd")), asked))


def test_the_embedded_model_as_a_diffusers_folder(repository: Repository) -> None:
    """A model without a VAE: its latents are pixels, folded into channels."""
    import torch

    from difftest.shapes import diffusion

    write_diffusers_folder(repository.root / "shapes")
    made = repository.generator(None, "shapes")
    assert made.name == "diffusers", "a folder of that name is meant before the embedded model"
    prompt = "a large red circle , center , on a white background"
    asked = [Recipe(prompt, seed, steps=10, guidance=1.5, width=32, height=32) for seed in (1, 2)]
    images = list(made.generate(asked))
    assert [image.shape for image in images] == [(32, 32, 3)] * 2
    pipeline = opened(repository.root / "shapes", vae=None)
    pipeline.set_progress_bar_config(disable=True)
    latents = pipeline(
        [prompt],
        num_inference_steps=10,
        guidance_scale=1.5,
        output_type="latent",
        generator=torch.Generator().manual_seed(1),
    ).images
    expected = np.rint(diffusion.unfold(latents.numpy()))[0]
    assert np.abs(images[0] - expected).max() <= 1
    red, green, blue = images[0][16, 16].astype(int)
    assert red > green + 100, "and it is a red circle"
    assert red > blue + 100


# LoRAs


@pytest.fixture
def loras(repository: Repository) -> list[str]:
    for seed, name in enumerate(("ink", "moss")):
        pipeline = tiny.stable_diffusion(repository.root)
        tiny.lora(pipeline, repository.root / "loras" / f"{name}.safetensors", seed=seed)
    return ["loras/ink.safetensors", "loras/moss.safetensors"]


def test_a_stack_of_loras_is_that_of_the_bare_calls(
    generator: Any, saved: Callable[[str], Path], repository: Repository, loras: list[str]
) -> None:
    pipeline, made = opened(saved("sd")), generator()
    plain = next(iter(made.generate(recipes(1))))
    for index, file in enumerate(loras):
        pipeline.load_lora_weights(repository.root / file, adapter_name=f"l{index}")
    pipeline.set_adapters(["l0", "l1"], [0.8, 0.3])
    stack = (Lora(loras[0], 0.8), Lora(loras[1], 0.3))
    both = next(iter(made.generate(recipes(1, loras=stack))))
    assert equal([both], bare(pipeline, recipes(1)))
    pipeline.set_adapters(["l1"], [0.5])
    other = next(iter(made.generate(recipes(1, loras=(Lora(loras[1], 0.5),)))))
    assert equal([other], bare(pipeline, recipes(1)))
    again = next(iter(made.generate(recipes(1))))
    assert equal([again], [plain]), "without LoRAs it is the model's own image again"
    assert not equal([both], [plain])
    assert not equal([both], [other])


def test_a_loras_content_is_part_of_the_fingerprint(
    generator: Any, repository: Repository, loras: list[str]
) -> None:
    recipe = {"loras": [{"name": loras[0], "weight": 1.0}]}
    plain, first = generator().fingerprint, generator(recipe=recipe).fingerprint
    assert first == generator(recipe=recipe).fingerprint
    assert first != plain
    shutil.copy(repository.root / loras[1], repository.root / loras[0])
    assert generator(recipe=recipe).fingerprint not in (first, plain)


def test_loras_that_cannot_be_applied_say_why(
    generator: Any, repository: Repository, loras: list[str]
) -> None:
    def failure(name: str, kind: str = "sd") -> str:
        with pytest.raises(difftest.GeneratorError) as failed:
            list(generator(kind).generate(recipes(1, loras=(Lora(name),))))
        return str(failed.value)

    assert "did you mean `loras/ink.safetensors`?" in failure("loras/inc.safetensors")
    (repository.root / "loras" / "old.bin").write_bytes(b"\x80\x04.")
    assert "allow_pickle = true" in failure("loras/old.bin")
    assert "it was made for another model" in failure(
        loras[0], "sd3"
    ) or "does not load" in failure(loras[0], "sd3")
    with pytest.raises(difftest.GeneratorError, match="is in the recipe twice"):
        list(generator().generate(recipes(1, loras=(Lora(loras[0]), Lora(loras[0])))))


def test_peft_missing_says_how_to_install_it(
    generator: Any, loras: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name == "peft" else find(name, *a)
    )
    with pytest.raises(
        difftest.MissingDependencyError, match=r"pip install 'difftest\[diffusers\]'"
    ):
        list(generator().generate(recipes(1, loras=(Lora(loras[0]),))))


# What it reads


def test_pickled_weights_are_refused_unless_told(
    repository: Repository, saved: Callable[[str], Path]
) -> None:
    import torch
    from safetensors.torch import load_file

    folder = repository.root / "pickled"
    shutil.copytree(saved("sd"), folder)
    for part, name in (("unet", "diffusion_pytorch_model"), ("text_encoder", "pytorch_model")):
        (file,) = (folder / part).glob("*.safetensors")
        torch.save(load_file(file), folder / part / f"{name}.bin")
        file.unlink()
        with pytest.raises(
            difftest.GeneratorError, match=r"Only safetensors are read: .*allow_pickle = true"
        ):
            repository.generator("diffusers", "pickled")
    made = repository.generator("diffusers", "pickled", options={"allow_pickle": True})
    assert equal(made.generate(recipes(1)), bare(opened(saved("sd")), recipes(1)))


def test_code_of_the_model_is_not_run_unless_told(
    repository: Repository, saved: Callable[[str], Path]
) -> None:
    folder = repository.root / "coded"
    shutil.copytree(saved("sd"), folder)
    index = json.loads((folder / "model_index.json").read_text())
    index["unet"] = ["my_unet", "MyUnet"]
    (folder / "unet" / "my_unet.py").write_text(
        f"open({str(repository.root / 'ran')!r}, 'w').close()\nclass MyUnet: ...\n"
    )
    (folder / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(difftest.GeneratorError, match="trust_remote_code = true"):
        repository.generator("diffusers", "coded")
    assert not (repository.root / "ran").exists()


def hub_cache(root: Path, folder: Path, commit: str) -> Path:
    """A cache of the hub that holds ``folder`` as ``me/tiny``: blobs by their digests, and links to them."""
    import hashlib

    repository = root / "hub" / "models--me--tiny"
    (repository / "refs").mkdir(parents=True)
    (repository / "blobs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    for file in folder.rglob("*"):
        if not file.is_file():
            continue
        blob = repository / "blobs" / hashlib.sha256(file.read_bytes()).hexdigest()
        blob.write_bytes(file.read_bytes())
        link = repository / "snapshots" / commit / file.relative_to(folder)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(blob)
    return root / "hub"


def test_a_hub_id_and_its_revision(
    repository: Repository, saved: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub.constants

    commit = "0123456789abcdef0123456789abcdef01234567"
    cache = hub_cache(repository.root, saved("sd"), commit)
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        monkeypatch.setattr(huggingface_hub.constants, name, str(cache), raising=False)
    monkeypatch.setattr(
        "diffusers.pipelines.pipeline_utils.HF_HUB_CACHE", str(cache), raising=False
    )
    offline = {"local_files_only": True}
    made = repository.generator(None, "me/tiny", options=offline)
    assert (made.name, made.describe()["revision"]) == ("diffusers", commit)
    assert equal(made.generate(recipes(1)), bare(opened(saved("sd")), recipes(1)))
    named = repository.generator("diffusers", "me/tiny", options={**offline, "revision": commit})
    folder = repository.generator("diffusers", str(saved("sd")), options=offline)
    assert made.fingerprint == named.fingerprint == folder.fingerprint, "equal files, equal model"
    for model, options in (("me/tiny", {"revision": "f" * 40}), ("me/other", {})):
        with pytest.raises(difftest.GeneratorError, match="not in the hub's cache"):
            repository.generator("diffusers", model, options={**offline, **options})


def test_the_fingerprint_is_of_weights_and_options(
    repository: Repository, saved: Callable[[str], Path]
) -> None:
    from safetensors.torch import load_file, save_file

    shutil.copytree(saved("sd"), repository.root / "model")

    def fingerprint(**options: Any) -> str:
        return str(repository.generator("diffusers", "model", options=options).fingerprint)

    first = fingerprint()
    assert first == fingerprint()
    assert len({first, fingerprint(dtype="bfloat16"), fingerprint(call={"eta": 0.5})}) == 3
    (repository.root / "model" / "README.md").write_text("of no weight")
    assert fingerprint() == first
    file = repository.root / "model" / "vae" / "diffusion_pytorch_model.safetensors"
    state = load_file(file)
    next(iter(state.values())).view(-1)[0] += 1e-3
    save_file(state, file)
    assert fingerprint() != first


# What cannot be


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        ("sd", {"dtipe": "float16"}, "has no option `dtipe`; did you mean `dtype`"),
        ("sd", {"dtype": "float61"}, "is `float61`; did you mean `float16`"),
        ("sd", {"attention_slicing": "manny"}, "is `manny`; did you mean `max`"),
        ("sd", {"revision": "main"}, "is a folder, which has none"),
        ("sd", {"pipeline": "StableDifusionPipeline"}, "did you mean `StableDiffusionPipeline`"),
        (
            "sd",
            {"pipeline": "StableDiffusionImg2ImgPipeline"},
            "needs more than a text .it takes `strength`",
        ),
        ("sd", {"device_map": "cpu", "cpu_offload": "model"}, "both say where the weights lie"),
        ("sd", {"cpu_offload": "model"}, "the device is `cpu` already"),
        (
            "sd",
            {"call": {"eeta": 0.1}},
            "`eeta`, which StableDiffusionPipeline does not take; did you mean `eta`",
        ),
        ("sd", {"call": {"generator": 1}}, "which difftest sets for every image"),
        ("sd", {"variant": "fp61"}, "did not load"),
        ("sd3", {"vae_tiling": "yes"}, "is 'yes'; true or false was expected"),
    ],
)
def test_options_that_cannot_be_are_refused(
    generator: Any, model: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(difftest.GeneratorError, match=message):
        generator(model, **options)


def test_devices_that_are_not_here_are_refused(
    repository: Repository, saved: Callable[[str], Path]
) -> None:
    for device, message in (
        ("cudda", "torch does not know; did you mean `cuda`"),
        ("xpu", "finds none here"),
    ):
        with pytest.raises(difftest.GeneratorError, match=message):
            repository.generator("diffusers", str(saved("sd")), device)


def test_denoise_is_nothing_for_text_to_image(generator: Any) -> None:
    message = "starts from noise alone, and the recipe .* sets `denoise` to 0.5"
    with pytest.raises(difftest.GeneratorError, match=message):
        list(generator().generate(recipes(1, denoise=0.5)))
    assert len(list(generator().generate(recipes(1, denoise=1.0)))) == 1


def test_a_size_that_a_pipeline_does_not_make_is_an_error(generator: Any) -> None:
    """Some pipelines round a size, with a warning that nobody reads."""
    with pytest.raises(difftest.GeneratorError, match="divisible by 8"):
        list(generator().generate(recipes(1, width=20)))


def test_nan_is_a_failure_of_its_image_not_a_black_one(
    generator: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import diffusers
    import torch

    decode = diffusers.AutoencoderKL.decode

    def broken(self: Any, latents: Any, *a: Any, **k: Any) -> Any:
        answer = decode(self, latents, *a, **k)
        answer[0][1] = torch.nan
        return answer

    monkeypatch.setattr(diffusers.AutoencoderKL, "decode", broken)
    good, bad = generator().generate(recipes(1, 2))
    assert good.shape == (tiny.SIZE, tiny.SIZE, 3)
    assert "seed 2 has 768 values that are NaN" in str(bad)
    assert 'dtype = "bfloat16"' in str(bad)


def test_an_image_that_the_safety_checker_withholds_is_a_failure(repository: Repository) -> None:
    import torch
    from diffusers.pipelines.stable_diffusion import StableDiffusionSafetyChecker
    from transformers import CLIPConfig, CLIPImageProcessor

    side = {
        "hidden_size": 32,
        "intermediate_size": 37,
        "num_attention_heads": 4,
        "num_hidden_layers": 1,
    }
    checker = StableDiffusionSafetyChecker(
        CLIPConfig(
            vision_config={**side, "image_size": 16, "patch_size": 8},
            text_config=side,
            projection_dim=32,
        )
    )
    checker.concept_embeds_weights.data = torch.full((17,), -2.0)  # everything is nearer than that
    pipeline = tiny.stable_diffusion(
        repository.root,
        safety_checker=checker,
        feature_extractor=CLIPImageProcessor(size={"shortest_edge": 16}, crop_size=16),
        requires_safety_checker=True,
    )
    pipeline.save_pretrained(repository.root / "model")
    (item,) = repository.generator("diffusers", "model").generate(recipes(1))
    assert "was withheld by the model's safety checker" in str(item)
    (image,) = repository.generator(
        "diffusers", "model", options={"safety_checker": False}
    ).generate(recipes(1))
    assert image.max() > 0


# Memory


@pytest.mark.parametrize(
    "options",
    [
        {"attention_slicing": "auto"},
        {"vae_slicing": True},
        {"vae_tiling": True},
        {"dtype": "bfloat16"},
        {"device_map": "cpu"},
    ],
)
def test_savings_of_memory_change_the_image_little(generator: Any, options: dict[str, Any]) -> None:
    made = generator(**options)
    images, plain = (
        list(made.generate(recipes(1, 2))),
        list(generator().generate(recipes(1, 2))),
    )
    limit = 4.0 if "dtype" in options else 0.5
    assert mean_difference(images, plain) <= limit
    for name, value in options.items():
        assert made.describe()[name] == value


def test_a_budget_moves_the_pipeline_off_its_device(
    saved: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a card would be, `meta` stands for it here: a device that is not the CPU."""
    from difftest.generators.diffusers_loras import Loras
    from difftest.generators.diffusers_pipeline import DiffusersPipeline

    pipeline = opened(saved("sd"))
    moves: list[str] = []
    monkeypatch.setattr(type(pipeline), "to", lambda self, device: moves.append(device))
    made = DiffusersPipeline(
        pipeline,
        "tiny",
        loras=Loras(pipeline, root=Path(), allow_pickle=False, local_files_only=True),
        call={},
        fingerprint=lambda: "",
        said={},
        device="cuda",
        moves=True,
    )
    assert moves == ["cpu"]
    before = memory.bytes_inside()
    list(made.generate(recipes(1)))
    size = sum(
        t.numel() * t.element_size()
        for p in (pipeline.unet, pipeline.vae, pipeline.text_encoder)
        for t in p.parameters()
    )
    assert memory.bytes_inside() - before >= size
    assert moves == ["cpu", "cuda"]
    made.unload()
    assert moves == ["cpu", "cuda", "cpu"]
    assert memory.bytes_inside() == before


# A pipeline of the repository's own


FACTORY = """
    import torch
    from diffusers import DiffusionPipeline

    STEPS = 2

    def make():
        return DiffusionPipeline.from_pretrained({folder!r})
"""


def test_a_bare_pipeline_of_a_factory_is_a_generator(
    repository: Repository, saved: Callable[[str], Path]
) -> None:
    repository.write("pipeline.py", FACTORY.format(folder=str(saved("sd"))))
    made = repository.generator("pipeline:make", options={"call": {"eta": 0.0}})
    assert (made.name, made.batch_size) == ("pipeline:make", 1)
    assert equal(made.generate(recipes(1, 2)), bare(opened(saved("sd")), recipes(1, 2)))
    assert made.describe()["pipeline"] == "StableDiffusionPipeline"
    first = made.fingerprint
    again = repository.generator("pipeline:make", options={"call": {"eta": 0.0}})
    assert first == again.fingerprint != repository.generator("pipeline:make").fingerprint
    source = FACTORY.format(folder=str(saved("sdxl")))
    repository.write("other.py", source)
    assert repository.generator("other:make").fingerprint != first


def test_the_weights_of_a_bare_pipeline_are_in_its_fingerprint(repository: Repository) -> None:
    repository.write(
        "pipeline.py",
        """
        import torch
        from pathlib import Path
        from python.tests.generators import tiny

        SHIFT = 0.0

        def make(options):
            pipeline = tiny.stable_diffusion(Path(__file__).parent)
            with torch.no_grad():
                pipeline.unet.conv_in.weight[0, 0, 0, 0] += options["shift"]
            return pipeline
        """,
    )

    def fingerprint(shift: float) -> str:
        return str(repository.generator("pipeline:make", options={"shift": shift}).fingerprint)

    assert fingerprint(0.0) == fingerprint(0.0) != fingerprint(1e-3)
