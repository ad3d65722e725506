"""GenEval through a small Mask2Former and a small CLIP, both random."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from difftest import ConfigurationError, MetricError, metrics
from difftest.metrics import clip_model
from difftest.metrics.geneval_judge import Detection

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("torch_required")]

DETECTOR = "facebook/mask2former-swin-small-coco-instance"


@pytest.fixture
def detector_folder(weights_dir: Path) -> Any:
    """Writes a small Mask2Former of 80 classes under the published name."""

    def write(classes: int = 80) -> Path:
        import torch
        import transformers

        torch.manual_seed(0)
        config = transformers.Mask2FormerConfig(
            backbone_config=transformers.SwinConfig(
                image_size=64,
                embed_dim=16,
                depths=[1, 1, 1, 1],
                num_heads=[1, 2, 4, 8],
                window_size=4,
                out_features=["stage1", "stage2", "stage3", "stage4"],
            ),
            feature_size=32,
            mask_feature_size=32,
            hidden_dim=32,
            encoder_feedforward_dim=32,
            dim_feedforward=32,
            encoder_layers=1,
            decoder_layers=2,
            num_attention_heads=2,
            num_queries=9,
            num_labels=classes,
        )
        folder = weights_dir / DETECTOR
        transformers.Mask2FormerForUniversalSegmentation(config).save_pretrained(folder)
        (folder / "preprocessor_config.json").write_text(
            json.dumps(
                {
                    "size": {"shortest_edge": 64, "longest_edge": 107},
                    "size_divisor": 32,
                    "resample": 2,
                    "image_mean": [0.485, 0.456, 0.406],
                    "image_std": [0.229, 0.224, 0.225],
                }
            )
        )
        return folder

    return write


@pytest.fixture
def metric(detector_folder: Any, clip_folder: Any) -> Any:
    detector_folder()
    clip_folder(clip_model.VIT_L_14, width=64)
    return metrics.load("geneval", device="cpu")


def test_detections_are_those_of_the_definition(images: Any) -> None:
    import torch

    from difftest.metrics.detector import OBJECTS, detections

    torch.manual_seed(1)
    classes = torch.randn(6, 81) * 4
    masks = torch.nn.functional.interpolate(torch.randn(1, 6, 4, 5), (32, 40), mode="bilinear")[0]
    masks[5] = -1.0
    got = {(one.object, round(one.score, 5)): one for one in detections(classes, masks, (64, 80))}

    expected = {}
    for query in range(5):  # the last one's mask is empty
        probabilities = torch.softmax(classes[query], 0)[:80]
        logits = torch.nn.functional.interpolate(
            masks[query][None, None], (64, 80), mode="bilinear", align_corners=False
        )[0, 0]
        inside = (logits > 0).numpy()
        sure = torch.sigmoid(logits).numpy()[inside].sum() / (inside.sum() + 1e-6)
        rows, columns = np.where(inside.any(1))[0], np.where(inside.any(0))[0]
        box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        for label, probability in enumerate(probabilities.tolist()):
            if probability > 0.3:
                expected[OBJECTS[label], round(probability * float(sure), 5)] = (box, inside)
    assert got.keys() == expected.keys()
    assert expected
    for key, (box, inside) in expected.items():
        assert got[key].box == box
        assert np.array_equal(got[key].mask, inside)


@pytest.mark.parametrize(
    ("size", "inside", "padded"),
    [
        ((128, 128), (64, 64), (64, 64)),
        ((48, 100), (51, 107), (64, 128)),
        ((200, 120), (107, 64), (128, 64)),
        ((30, 40), (64, 85), (64, 96)),
    ],
)
def test_images_are_resized_within_the_sides_and_padded(
    detector_folder: Any, images: Any, size: Any, inside: Any, padded: Any
) -> None:
    import transformers
    from PIL import Image

    from difftest.metrics.detector import Preparation

    folder = detector_folder()
    (image,) = images(1, *size)
    pixels, height, width = Preparation.from_folder("geneval", folder)(image)
    assert ((height, width), pixels.shape) == (inside, (3, *padded))
    assert not pixels[:, height:].any()
    assert not pixels[:, :, width:].any()
    # transformers stretches to a multiple of 32 where the authors pad: it is asked for the inner part.
    processor = transformers.Mask2FormerImageProcessorPil.from_pretrained(folder)
    shrunk = Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR)
    theirs = processor(shrunk, do_resize=False, do_pad=False, return_tensors="np")
    assert (
        np.abs(pixels[:, :height, :width] - theirs["pixel_values"][0][:, :height, :width]).max()
        < 1e-5
    )


def test_the_whole_way_from_image_to_score(metric: Any, images: Any, monkeypatch: Any) -> None:
    made = images(2, 60, 90)
    prompts = ["a photo of a dog", "a photo of two dogs"]
    assert set(metric.compute_batch(made, prompts, [None] * 2)) <= {0.0, 1.0}
    dog = Detection("dog", 0.95, (10, 10, 40, 40), np.ones((60, 90), bool))
    monkeypatch.setattr(metric._detector, "detect", lambda image: [dog])
    assert metric.compute_batch(made, prompts, [None] * 2) == [1.0, 0.0]
    assert (metric.direction, metric.category, metric.range) == (
        "higher_is_better",
        "per_sample",
        (0.0, 1.0),
    )
    assert metric.weights.startswith("sha256:")


def test_a_colour_is_the_nearest_of_the_ten_by_clip(metric: Any, images: Any) -> None:
    from difftest.metrics.geneval import cut_out
    from difftest.metrics.geneval_prompt import COLORS

    (image,) = images(1, 60, 90)
    mask = np.zeros((60, 90), bool)
    mask[20:30, 30:50] = True
    cup = Detection("cup", 0.9, (30.0, 20.0, 50.0, 30.0), mask)
    clip = metric._colors._clip
    sentences = [
        [f"a photo of a {c} cup", f"a photo of a {c}-colored cup", f"a photo of a {c} object"]
        for c in COLORS
    ]
    means = np.stack([clip.embed_texts(three).mean(0) for three in sentences])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    expected = COLORS[int((means @ clip.embed_images([image[20:30, 30:50].copy()])[0]).argmax())]
    assert metric._colors.of(image, [cup]) == [expected]

    partly = Detection("cup", 0.9, (20.0, 10.0, 60.0, 40.0), mask)
    crop = cut_out(image, partly)
    assert crop.shape == (30, 40, 3)
    assert (crop[0, 0] == 0x99).all()
    assert np.array_equal(crop[10:20, 10:30], image[20:30, 30:50])


def test_prompts_of_a_file_and_prompts_that_nobody_explains(
    detector_folder: Any, clip_folder: Any, images: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    detector_folder()
    clip_folder(clip_model.VIT_L_14, width=64)
    file = tmp_path / "own.jsonl"
    line = {"tag": "single_object", "prompt": "my dog", "include": [{"class": "dog", "count": 1}]}
    file.write_text(json.dumps(line))
    monkeypatch.setenv("DIFFTEST_GENEVAL_PROMPTS", str(file))
    metric, made = metrics.load("geneval", device="cpu"), images(2)
    assert metric.compute_batch(made[:1], ["my dog"], [None]) in ([0.0], [1.0])
    with pytest.raises(
        MetricError, match=r"'your dog' asks for: .* JSONL .*DIFFTEST_GENEVAL"
    ) as no:
        metric.compute_batch(made, ["my dog", "your dog"], [None] * 2)
    assert no.value.index == 1
    monkeypatch.setenv("DIFFTEST_GENEVAL_PROMPTS", str(tmp_path / "none.jsonl"))
    with pytest.raises(ConfigurationError, match=r"DIFFTEST_GENEVAL_PROMPTS names .*none\.jsonl"):
        metrics.load("geneval", device="cpu")


def test_a_detector_of_other_classes_is_refused(detector_folder: Any, clip_folder: Any) -> None:
    detector_folder(classes=7)
    clip_folder(clip_model.VIT_L_14, width=64)
    with pytest.raises(MetricError, match="knows 7 classes; COCO's 80 were expected"):
        metrics.load("geneval", device="cpu")
