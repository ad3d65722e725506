"""The metrics that look through CLIP, on small CLIPs made on the spot: values as transformers computes them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from difftest import MetricError, metrics
from difftest.metrics import backbone, clip_model

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("torch_required")]

PROMPTS = ["a red circle", "a very long prompt " * 30, "a blue cross, top left"]
NONE = [None] * 3
PICK, PICK_PROCESSOR = "yuvalkirstain/PickScore_v1", "laion/CLIP-ViT-H-14-laion2B-s32B-b79K"
#: Of the processor: a torch resize in place of Pillow's, and its rounding.
TOLERANCE = 1e-5


def reference(folder: Path, images: Any, prompts: list[str]) -> tuple[Any, Any, float]:
    """Embeddings of length 1 and the scale, by transformers' own model and Pillow processor."""
    import torch
    import transformers

    model = transformers.CLIPModel.from_pretrained(folder).eval()
    processor = transformers.CLIPImageProcessorPil.from_pretrained(folder)
    tokenizer = transformers.CLIPTokenizer.from_pretrained(folder)
    with torch.no_grad():
        tokens = tokenizer(prompts, padding=True, truncation=True, return_tensors="pt")
        out = model(**tokens, pixel_values=processor(images, return_tensors="pt")["pixel_values"])
    return out.image_embeds.numpy(), out.text_embeds.numpy(), float(model.logit_scale.exp())


@pytest.mark.parametrize("size", [(32, 32), (48, 48), (64, 48), (40, 90)])
def test_clip_score_is_the_clipped_cosine_of_transformers(
    clip_folder: Any, images: Any, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]
) -> None:
    folder = clip_folder("someone/clip", width=64)
    monkeypatch.setenv("DIFFTEST_CLIP_MODEL", "someone/clip")
    made = images(3, *size)
    seen, read, _ = reference(folder, made, PROMPTS)
    expected = np.clip((seen * read).sum(1), 0, 1)
    metric = metrics.load("clip_score", device="cpu")
    assert metric.compute_batch(made, PROMPTS, NONE) == pytest.approx(expected, abs=TOLERANCE)
    assert len(set(expected)) > 1, "the images differ, and so do their scores"


def test_the_embedded_clip_scores_the_same_by_the_way_of_real_ones(
    weights_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A truly trained one: ONNX Runtime's answer, and that of the weights loaded as any CLIP's are."""
    from difftest.shapes.diffusers_folder import write_clip_folder
    from difftest.shapes.world import SCENES, caption, changed, render

    chosen = SCENES[::40]
    made = list(render(chosen))
    prompts = [caption(changed(s, "color", "red") if i % 2 else s) for i, s in enumerate(chosen)]
    nothing = [None] * len(made)
    expected = metrics.load("clip_score").compute_batch(made, prompts, nothing)
    folder = write_clip_folder(weights_dir / "trained")
    monkeypatch.setenv("DIFFTEST_CLIP_MODEL", str(folder))
    metric = metrics.load("clip_score", device="cpu")
    assert metric.compute_batch(made, prompts, nothing) == pytest.approx(expected, abs=2e-3)
    assert max(expected) > 0.9 > 0.6 > min(expected)


@pytest.mark.parametrize("size", [(32, 32), (64, 48), (40, 90)])
def test_a_clip_that_squeezes_gets_its_images_squeezed(
    weights_dir: Path, images: Any, size: tuple[int, int]
) -> None:
    import transformers

    from difftest.metrics.clip_pixels import ClipPixels
    from difftest.shapes.diffusers_folder import write_clip_folder

    folder, made = write_clip_folder(weights_dir / "squeezing"), images(2, *size)
    processor = transformers.CLIPImageProcessorPil.from_pretrained(folder)
    expected = processor(made, return_tensors="np")["pixel_values"]
    assert ClipPixels.from_folder("m", folder)(made) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"resample": 2}, "in another way than CLIP's"),
        ({"crop_size": 16}, "in another way than CLIP's"),
        ({"do_normalize": False}, "in another way than CLIP's"),
        ({"image_mean": [0.5]}, "in another way than CLIP's"),
        ({"size": None}, "does not say how images are prepared"),
    ],
)
def test_another_preparation_is_refused(clip_folder: Any, said: Any, message: str) -> None:
    import json

    from difftest.metrics.clip_pixels import ClipPixels

    folder = clip_folder("someone/clip", width=64)
    file = folder / "preprocessor_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **said}))
    with pytest.raises(MetricError, match=message):
        ClipPixels.from_folder("m", folder)


def test_pick_score_is_the_cosine_times_the_learnt_scale(clip_folder: Any, images: Any) -> None:
    folder = clip_folder(PICK, width=64)
    clip_folder(PICK_PROCESSOR, seed=1)
    made = images(3)
    seen, read, scale = reference(folder, made, PROMPTS)
    metric = metrics.load("pick_score", device="cpu")
    assert metric.compute_batch(made, PROMPTS, NONE) == pytest.approx(
        scale * (seen * read).sum(1), abs=scale * TOLERANCE
    )


def test_aesthetic_score_is_the_five_layers_on_the_embedding(
    clip_folder: Any, head_file: Any, images: Any
) -> None:
    import torch

    folder, file = clip_folder(clip_model.VIT_L_14), head_file()
    made = images(3)
    embedded, _, _ = reference(folder, made, PROMPTS)
    state, values = torch.load(file), torch.from_numpy(embedded)
    for index in (0, 2, 4, 6, 7):
        values = values @ state[f"layers.{index}.weight"].T + state[f"layers.{index}.bias"]
    metric = metrics.load("aesthetic_score", device="cpu")
    scores = metric.compute_batch(made, PROMPTS, NONE)
    assert scores == pytest.approx(values[:, 0].numpy(), abs=TOLERANCE)
    assert scores == metric.compute_batch(made, PROMPTS, NONE), "dropout is off"


def test_weights_are_said_by_their_digest(
    clip_folder: Any, head_file: Any, images: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import hashlib

    folder = clip_folder(clip_model.VIT_L_14)
    monkeypatch.setenv("DIFFTEST_CLIP_MODEL", clip_model.VIT_L_14)
    own = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    assert metrics.load("clip_score", device="cpu").weights == f"sha256:{own}"
    head_file(seed=0)
    one = metrics.load("aesthetic_score", device="cpu").weights
    head_file(seed=1)
    assert metrics.load("aesthetic_score", device="cpu").weights not in (one, f"sha256:{own}")


def test_metrics_of_one_clip_share_it_and_its_pass_over_every_image(
    clip_folder: Any, head_file: Any, images: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip_folder(clip_model.VIT_L_14)
    head_file()
    monkeypatch.setenv("DIFFTEST_CLIP_MODEL", clip_model.VIT_L_14)
    score = metrics.load("clip_score", device="cpu")
    aesthetic = metrics.load("aesthetic_score", device="cpu")
    assert score._clip is aesthetic._clip
    passed = []
    compute = score._clip._embed_images
    monkeypatch.setattr(
        score._clip, "_embed_images", lambda batch: passed.append(len(batch)) or compute(batch)
    )
    made = images(3)
    score.compute_batch(made, PROMPTS, NONE)
    aesthetic.compute_batch(made, PROMPTS, NONE)
    aesthetic.compute_batch([made[1]], PROMPTS[:1], [None])
    assert passed == [3], "every image once"
    score.compute_batch(images(3, seed=1), PROMPTS, NONE)
    assert passed == [3, 3], "other images are others"


def test_another_clip_is_not_shared(clip_folder: Any, head_file: Any, images: Any) -> None:
    clip_folder(clip_model.VIT_L_14)
    clip_folder("someone/other", seed=1)
    first, second = (
        clip_model.load("clip_score", name, "cpu")
        for name in (clip_model.VIT_L_14, "someone/other")
    )
    made = images(2)
    assert first is not second
    assert np.abs(first.embed_images(made) - second.embed_images(made)).max() > 0.01


# Weights that are not what they should be: never a score


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda state: state.pop("layers.4.bias"), r"lacks `layers\.4\.bias`: .*another model"),
        (
            lambda state: state.update({"layers.1.weight": state["layers.0.weight"]}),
            r"has `layers\.1\.weight`: .*another model",
        ),
        (
            lambda state: state.update({"layers.0.weight": state["layers.0.weight"][:, :512]}),
            r"`layers\.0\.weight` has the shape \(1024, 512\); \(1024, 768\) was expected",
        ),
        (lambda state: state.update({"epoch": 3}), "holds no tensors by name"),
    ],
)
def test_a_head_that_does_not_fit_is_refused(
    clip_folder: Any, head_file: Any, change: Any, said: str
) -> None:
    clip_folder(clip_model.VIT_L_14)
    head_file(change=change)
    with pytest.raises(MetricError, match=said):
        metrics.load("aesthetic_score", device="cpu")


def test_a_head_that_is_cut_short_is_refused(clip_folder: Any, head_file: Any) -> None:
    clip_folder(clip_model.VIT_L_14)
    file = head_file()
    file.write_bytes(file.read_bytes()[:-1000])
    with pytest.raises(MetricError, match=r"linearMSE\.pth cannot be read .* download it again"):
        metrics.load("aesthetic_score", device="cpu")


def test_a_pickle_that_runs_code_is_refused(clip_folder: Any, weights_dir: Path) -> None:
    import pickle

    class Evil:
        def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
            return (exec, ("raise SystemExit('code of a weights file ran')",))

    clip_folder(clip_model.VIT_L_14)
    (weights_dir / "sac+logos+ava1-l14-linearMSE.pth").write_bytes(pickle.dumps({"a": Evil()}))
    with pytest.raises(MetricError, match="cannot be read"):
        metrics.load("aesthetic_score", device="cpu")


def _without_a_tensor(folder: Path) -> None:
    _rewrite(folder, lambda state: state.pop("visual_projection.weight"))


def _with_another_shape(folder: Path) -> None:
    _rewrite(
        folder,
        lambda state: state.update(
            {"visual_projection.weight": state["visual_projection.weight"][:, :16].contiguous()}
        ),
    )


def _with_one_too_many(folder: Path) -> None:
    _rewrite(folder, lambda state: state.update({"adapter.weight": state["logit_scale"].clone()}))


def _cut_short(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])


def _as_a_pickle_alone(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def _rewrite(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    from safetensors.torch import load_file, save_file

    state = load_file(folder / "model.safetensors")
    change(state)
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (_without_a_tensor, "lacks `visual_projection.weight`"),
        (_with_another_shape, r"`visual_projection\.weight` has the shape \(768, 16\)"),
        (_with_one_too_many, "has `adapter.weight`"),
        (_cut_short, "cannot be loaded"),
        (_as_a_pickle_alone, r"holds no model\.safetensors"),
    ],
)
def test_a_clip_that_does_not_fit_is_refused(
    clip_folder: Any, head_file: Any, harm: Callable[[Path], None], said: str
) -> None:
    folder = clip_folder(clip_model.VIT_L_14)
    head_file()
    harm(folder)
    with pytest.raises(MetricError, match=f"aesthetic_score: .*{said}"):
        metrics.load("aesthetic_score", device="cpu")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "aesthetic_score",
            r"the model openai/clip-vit-large-patch14, .* `hf download openai/clip",
        ),
        ("pick_score", "the model yuvalkirstain/PickScore_v1, .* DIFFTEST_WEIGHTS_DIR"),
        ("image_reward", "the model THUDM/ImageReward, .* DIFFTEST_WEIGHTS_DIR"),
        ("geneval", "the model facebook/mask2former-swin-small-coco-instance"),
    ],
)
def test_weights_that_are_nowhere_are_named_with_their_place(name: str, said: str) -> None:
    with pytest.raises(MetricError, match=f"{name} needs {said}"):
        metrics.load(name, device="cpu")


def test_a_network_that_was_forgotten_is_loaded_anew(clip_folder: Any) -> None:
    clip_folder(clip_model.VIT_L_14)
    first = clip_model.load("m", clip_model.VIT_L_14, "cpu")
    backbone.forget_all()
    assert clip_model.load("m", clip_model.VIT_L_14, "cpu") is not first
