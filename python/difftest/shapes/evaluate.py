"""Measures the embedded models against their bars, and how faults move what difftest measures.

Needs no torch: ONNX Runtime, numpy and the oracle.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from difftest.shapes.clip import ShapesClip
from difftest.shapes.faults import FAULTS
from difftest.shapes.layout import WEIGHTS
from difftest.shapes.oracle import judge
from difftest.shapes.pipeline import ShapesPipeline
from difftest.shapes.ssim import ssim
from difftest.shapes.world import (
    ATTRIBUTES,
    CLIP_HELD_OUT,
    HELD_OUT,
    HELD_OUT_SEEN_PAIRS,
    HELD_OUT_UNSEEN_PAIRS,
    SCENES,
    Images,
    Scene,
    caption,
    changed,
    render,
)

SEEDS = (0, 1)
#: What the shipped models must reach; seconds and megabytes are upper bounds.
BARS = {
    "held-out captions": 0.98,
    "unseen pairs": 0.97,
    "clip": 0.97,
    "seconds": 0.05,
    "megabytes": 8.0,
}
_RENDER_SEED = 7
_TIMED_IMAGES = 24
#: Every how manyeth held-out caption the fault table uses.
_FAULT_STRIDE = 4


@dataclass(frozen=True)
class Evaluation:
    """All numbers of the table. Shares are 0..1."""

    #: Per split, share of images with each fact right, ``all`` being the strict accuracy.
    accuracy: dict[str, dict[str, float]]
    #: Per split, how many images.
    images: dict[str, int]
    #: Per attribute, share of one-attribute changes that score below the truth: on fresh renders of
    #: captions CLIP never saw, and on generated images the oracle accepts.
    clip: dict[str, dict[str, float]]
    #: On one core, at the default settings, after the sessions are warm.
    seconds_per_image: float
    megabytes: float
    #: Captions and seeds whose image the oracle rejects.
    failures: list[str]

    def missed(self) -> list[str]:
        """The bars that are not reached, in words."""
        clip = min(share for attributes in self.clip.values() for share in attributes.values())
        measured = {
            "held-out captions": self.accuracy["held-out captions"]["all"],
            "unseen pairs": self.accuracy["unseen pairs"]["all"],
            "clip": clip,
        }
        short = [
            f"{name}: {share:.3f} is below {BARS[name]}"
            for name, share in measured.items()
            if share < BARS[name]
        ]
        limits = {"seconds": self.seconds_per_image, "megabytes": self.megabytes}
        over = [
            f"{name}: {value:.3f} is above {BARS[name]}"
            for name, value in limits.items()
            if value > BARS[name]
        ]
        return short + over


@dataclass(frozen=True)
class FaultEffect:
    """Means over the same prompts and seeds as the baseline's."""

    accuracy: float
    clip_score: float
    ssim: float
    lowest_ssim: float
    identical: float


def held_out_images(
    pipeline: ShapesPipeline, scenes: Sequence[Scene]
) -> tuple[list[Scene], Images]:
    """One image per scene and seed: the scenes, repeated per seed, and ``uint8 (N, 32, 32, 3)``."""
    repeated = [scene for scene in scenes for _ in SEEDS]
    seeds = [seed for _ in scenes for seed in SEEDS]
    images = pipeline.generate([caption(scene) for scene in repeated], seeds)
    return repeated, np.stack(images)


def clip_discrimination(
    clip: ShapesClip, scenes: Sequence[Scene], images: Images
) -> dict[str, float]:
    """Per attribute, how often the true caption beats the same caption with that attribute changed,
    over all changes.
    """
    known = {scene: row for row, scene in enumerate(SCENES)}
    texts = clip.embed_texts([caption(scene) for scene in SCENES])
    cosines = clip.embed_images(list(images)) @ texts.T
    shares = {}
    for attribute, values in ATTRIBUTES.items():
        wins = [
            row[known[scene]] > row[known[changed(scene, attribute, value)]]
            for row, scene in zip(cosines, scenes, strict=True)
            for value in values
            if value != getattr(scene, attribute)
        ]
        shares[attribute] = float(np.mean(wins))
    return shares


def seconds_per_image(pipeline: ShapesPipeline, scenes: Sequence[Scene]) -> float:
    """Best of three, of a batch of 24, warm: what the machine does when nobody else uses it."""
    prompts = [caption(scene) for scene in scenes[:_TIMED_IMAGES]]
    spent = []
    for _ in range(3):
        started = time.perf_counter()
        pipeline.generate(prompts, range(len(prompts)))
        spent.append((time.perf_counter() - started) / len(prompts))
    return min(spent)


def evaluate() -> Evaluation:
    """Two seeds for each of the 244 captions each model never saw."""
    pipeline, clip = ShapesPipeline(), ShapesClip()
    scenes, images = held_out_images(pipeline, HELD_OUT)
    verdicts = judge(scenes, images)
    splits = {
        "held-out captions": set(HELD_OUT),
        "seen pairs": set(HELD_OUT_SEEN_PAIRS),
        "unseen pairs": set(HELD_OUT_UNSEEN_PAIRS),
    }
    masks = {name: np.array([s in members for s in scenes]) for name, members in splits.items()}
    unseen_by_clip = [scene for scene in CLIP_HELD_OUT for _ in SEEDS]
    drawn = render(unseen_by_clip, np.random.Generator(np.random.PCG64(_RENDER_SEED)))
    right = verdicts["all"]
    accepted = [scene for scene, ok in zip(scenes, right, strict=True) if ok]
    numbered = zip(scenes, SEEDS * len(HELD_OUT), right, strict=True)
    return Evaluation(
        accuracy={
            name: {fact: float(values[mask].mean()) for fact, values in verdicts.items()}
            for name, mask in masks.items()
        },
        images={name: int(mask.sum()) for name, mask in masks.items()},
        clip={
            "rendered": clip_discrimination(clip, unseen_by_clip, drawn),
            "generated": clip_discrimination(clip, accepted, images[right]),
        },
        seconds_per_image=seconds_per_image(pipeline, HELD_OUT),
        megabytes=folder_megabytes(WEIGHTS),
        failures=[f"{caption(scene)} (seed {seed})" for scene, seed, ok in numbered if not ok],
    )


def folder_megabytes(folder: Path) -> float:
    """Size of all files below ``folder``, in 10^6 bytes."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def evaluate_faults(names: Iterable[str] = FAULTS) -> dict[str, FaultEffect]:
    """Each fault's effect on every fourth held-out caption, two seeds each; ``baseline`` comes
    first.
    """
    clip = ShapesClip()
    scenes, baseline = held_out_images(ShapesPipeline(), HELD_OUT[::_FAULT_STRIDE])
    effects = {"baseline": _effect(clip, scenes, baseline, baseline)}
    for name in names:
        with tempfile.TemporaryDirectory() as scratch:
            _, images = held_out_images(FAULTS[name](Path(scratch)), HELD_OUT[::_FAULT_STRIDE])
        effects[name] = _effect(clip, scenes, images, baseline)
    return effects


def _effect(
    clip: ShapesClip, scenes: Sequence[Scene], images: Images, baseline: Images
) -> FaultEffect:
    similarity = ssim(images, baseline)
    same: npt.NDArray[np.bool_] = (images == baseline).all((1, 2, 3))
    return FaultEffect(
        accuracy=float(judge(scenes, images)["all"].mean()),
        clip_score=float(clip.score([caption(s) for s in scenes], list(images)).mean()),
        ssim=float(similarity.mean()),
        lowest_ssim=float(similarity.min()),
        identical=float(same.mean()),
    )


def format_evaluation(result: Evaluation) -> str:
    """The tables of the model card."""
    facts = list(result.accuracy["held-out captions"])
    header = "".join(f"{fact:>12}" for fact in ("images", "all", *facts[:-1]))
    lines = [f"{'oracle':20}{header}"]
    for split, shares in result.accuracy.items():
        cells = "".join(f"{shares[fact]:>12.3f}" for fact in ("all", *facts[:-1]))
        lines.append(f"{split:20}{result.images[split]:>12}{cells}")
    lines += ["", f"{'CLIP picks truth':20}" + "".join(f"{name:>12}" for name in ATTRIBUTES)]
    for source, shares in result.clip.items():
        lines.append(f"{source:20}" + "".join(f"{shares[name]:>12.3f}" for name in ATTRIBUTES))
    lines += [
        "",
        f"{result.seconds_per_image:.4f} s an image on one core; weights {result.megabytes:.2f} MB",
        *(f"rejected: {failure}" for failure in result.failures),
        *(f"BAR MISSED: {bar}" for bar in result.missed()),
    ]
    return "\n".join(lines)


def format_faults(effects: dict[str, FaultEffect]) -> str:
    """One line a fault."""
    columns = ("accuracy", "clip_score", "ssim", "lowest ssim", "identical")
    lines = [f"{'fault':22}" + "".join(f"{column:>13}" for column in columns)]
    for name, effect in effects.items():
        values = (effect.accuracy, effect.clip_score, effect.ssim, effect.lowest_ssim)
        cells = "".join(f"{value:>13.3f}" for value in (*values, effect.identical))
        lines.append(f"{name:22}{cells}")
    return "\n".join(lines)
