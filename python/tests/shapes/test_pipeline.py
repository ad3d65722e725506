"""The pipeline: what it draws, on what its bytes depend, and how it refuses."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import difftest
from difftest.shapes.evaluate import folder_megabytes
from difftest.shapes.faults import FAULTS
from difftest.shapes.layout import WEIGHTS
from difftest.shapes.pipeline import ShapesPipeline, noise
from difftest.shapes.world import HELD_OUT, caption

PROMPTS = [caption(scene) for scene in HELD_OUT[::30]]
SEEDS = list(range(len(PROMPTS)))

_HASH_OF_A_RUN = """
import hashlib, json, sys
from difftest.shapes.pipeline import ShapesPipeline
prompts, seeds = json.loads(sys.argv[1])
images = ShapesPipeline().generate(prompts, seeds)
print(hashlib.sha256(b"".join(image.tobytes() for image in images)).hexdigest())
"""


def _environment() -> dict[str, str]:
    roots = [str(Path(path).parent) for path in difftest.__path__]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(roots)}


def test_images_are_rgb_bytes_of_the_stated_size(pipeline: ShapesPipeline) -> None:
    images = pipeline.generate(PROMPTS[:2], [1, 2])
    assert [image.shape for image in images] == [(pipeline.height, pipeline.width, 3)] * 2
    assert {image.dtype for image in images} == {np.dtype(np.uint8)}


def test_two_processes_draw_the_same_bytes(pipeline: ShapesPipeline) -> None:
    import json

    request = json.dumps([PROMPTS, SEEDS])
    command = [sys.executable, "-c", _HASH_OF_A_RUN, request]
    hashes = {
        subprocess.run(
            command, check=True, capture_output=True, text=True, env=_environment()
        ).stdout.strip()
        for _ in range(2)
    }
    here = b"".join(image.tobytes() for image in pipeline.generate(PROMPTS, SEEDS))
    assert hashes == {hashlib.sha256(here).hexdigest()}


def test_the_batch_an_image_is_in_hardly_matters(pipeline: ShapesPipeline) -> None:
    together = np.stack(pipeline.generate(PROMPTS, SEEDS)).astype(int)
    alone = np.stack(ShapesPipeline(batch_size=1).generate(PROMPTS, SEEDS)).astype(int)
    turned = np.stack(pipeline.generate(PROMPTS[::-1], SEEDS[::-1])).astype(int)[::-1]
    assert np.abs(together - alone).max() <= 1
    assert np.abs(together - turned).max() <= 1


def test_noise_depends_on_the_seed_alone() -> None:
    assert (noise([7, 8])[1] == noise([8])[0]).all()
    assert noise([]).shape == (0, 48, 8, 8)


def test_another_seed_draws_another_image(pipeline: ShapesPipeline) -> None:
    one, other = pipeline.generate([PROMPTS[0]] * 2, [1, 2])
    assert (one != other).any()


def test_a_negative_prompt_takes_the_place_of_the_empty_one(pipeline: ShapesPipeline) -> None:
    plain, empty, negative = pipeline.generate(
        [PROMPTS[0]] * 3, [1] * 3, [None, "", "a large red circle"]
    )
    assert np.abs(plain.astype(int) - empty).max() <= 1
    assert (plain != negative).any()


def test_nothing_asked_nothing_drawn(pipeline: ShapesPipeline) -> None:
    assert pipeline.generate([], []) == []


def test_fingerprint_changes_with_what_changes_the_image(tmp_path: Path) -> None:
    same = {ShapesPipeline().fingerprint, ShapesPipeline(threads=2, batch_size=3).fingerprint}
    others = [
        ShapesPipeline(steps=11),
        ShapesPipeline(guidance_scale=2),
        ShapesPipeline(prediction_type="epsilon"),
        FAULTS["int8 weights"](tmp_path / "weights"),
        FAULTS["red and blue swapped"](tmp_path / "words"),
    ]
    assert len(same) == 1
    assert len(same | {other.fingerprint for other in others}) == 1 + len(others)


def test_description_records_the_recipe(pipeline: ShapesPipeline) -> None:
    description = pipeline.description
    assert description["steps"] == 10
    assert description["guidance_scale"] == 1.5
    assert description["scheduler"] == "DDIM"
    assert set(description["versions"]) == {"onnxruntime", "numpy", "tokenizers"}  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: ShapesPipeline(steps=0), "steps is 0; it must lie between 1 and 1000"),
        (
            lambda: ShapesPipeline(prediction_type="flow"),  # type: ignore[arg-type]
            "prediction_type is 'flow'; it must be one of sample, epsilon, v_prediction",
        ),
        (lambda: ShapesPipeline(batch_size=0), r"batch_size \(0\) and threads \(1\)"),
        (lambda: ShapesPipeline(weights_dir="nowhere"), "model.onnx is missing"),
        (lambda: ShapesPipeline().generate(PROMPTS, [1]), f"{len(PROMPTS)} prompts but 1 seeds"),
        (lambda: ShapesPipeline().generate(["a"], [-1]), "seeds must not be negative: -1"),
        (lambda: ShapesPipeline().generate(["a"], [1], []), "1 prompts but 0 negative prompts"),
        (lambda: ShapesPipeline().generate("a", [1]), "prompts is one string"),
        (
            lambda: ShapesPipeline(provider="TPUProvider").generate(["a"], [1]),
            "onnxruntime has no provider 'TPUProvider'; it has .*CPUExecutionProvider",
        ),
    ],
)
def test_what_cannot_be_done_is_said(wrong: Callable[[], object], message: str) -> None:
    with pytest.raises((ValueError, TypeError, FileNotFoundError), match=message):
        wrong()


def test_importing_the_package_loads_nothing_heavy() -> None:
    program = (
        "import sys, difftest, difftest.shapes\n"
        "print([m for m in ('numpy', 'onnxruntime', 'torch', 'PIL') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        check=True,
        capture_output=True,
        text=True,
        env=_environment(),
    )
    assert done.stdout.strip() == "[]"


def test_weights_stay_small() -> None:
    assert folder_megabytes(WEIGHTS) <= 8
