"""What every change truly does, measured on a large sample that no verdict sees: writes truth.json.

    python -m tests.bank.truth [NAME …]

With names, only those changes are measured anew.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import numpy.typing as npt

from difftest.metrics.clip_score import ClipScore
from difftest.metrics.shapes_oracle import ShapesOracle
from difftest.shapes.world import ATTRIBUTES, SCENES, caption
from tests.bank import heads
from tests.bank.bank import named
from tests.bank.changes import BASE, Change, materialise
from tests.bank.memory import Memory

FILE = Path(__file__).parent / "truth.json"
#: Of the 720 captions, drawn by this seed; each has a seed of its own.
SAMPLE, SAMPLE_SEED, FIRST_SEED = 480, 20, 50_000
#: One-sided 99% of the normal distribution.
Z_99 = 2.326

Scores = dict[str, npt.NDArray[np.float64]]


def sample() -> tuple[list[str], list[int]]:
    """Captions and seeds."""
    chosen = np.random.default_rng(SAMPLE_SEED).permutation(len(SCENES))[:SAMPLE]
    return [caption(SCENES[index]) for index in chosen], [FIRST_SEED + n for n in range(SAMPLE)]


def margins() -> dict[str, float]:
    """As the base's configuration has them, and one for the strict score, which the suite has not."""
    text = (BASE / "difftest.toml").read_text(encoding="utf-8")
    line = re.search(r"^margins = \{(.+)\}", text, re.MULTILINE)
    if line is None:
        raise ValueError("the base's difftest.toml has no margins")
    own = {name: float(value) for name, value in re.findall(r"(\w+) = ([\d.]+)", line[1])}
    # One image of twenty: the oracle's margin where one of five facts is wrong.
    return {**own, "strict": len(ATTRIBUTES) * own["shapes_oracle"]}


class Measure:
    """The base's images, once, and what the suite's metrics say of them."""

    def __init__(self) -> None:
        self._clip, self._oracle = ClipScore(), ShapesOracle()
        self._prompts, self._seeds = sample()
        self._memory = Memory()
        self._images = self._draw(None)
        self._scores = self._score(self._images)

    def base(self) -> dict[str, float]:
        return {name: _rounded(scores.mean()) for name, scores in self._scores.items()}

    def effect(self, change: Change) -> dict[str, Any]:
        """Mean loss against the base with its standard error, positive is worse, and what differs."""
        images = self._draw(change)
        losses = {name: self._scores[name] - scores for name, scores in self._score(images).items()}
        apart = np.abs(images.astype(int) - self._images).reshape(SAMPLE, -1)
        seen_by = [
            name
            for name, loss in losses.items()
            if loss.mean() - Z_99 * _error(loss) > margins()[name]
        ]
        return {
            "kind": change.kind.value,
            "grade": change.grade.value,
            "loss": {name: _rounded(loss.mean()) for name, loss in losses.items()},
            "standard_error": {name: _rounded(_error(loss)) for name, loss in losses.items()},
            "worse_images": _rounded((losses["shapes_oracle"] > 0).mean()),
            "differing_images": int((apart.max(1) > 0).sum()),
            "largest_difference": int(apart.max()),
            "mean_difference": _rounded(apart.mean()),
            "seen_by": seen_by,
            "seen": "shapes_oracle" in seen_by,
        }

    def _draw(self, change: Change | None) -> heads.Images:
        with tempfile.TemporaryDirectory(prefix="difftest-bank-") as scratch:
            repository = materialise(change, Path(scratch) / "repository")
            generator = heads.load(repository)
            with self._memory.answering(learn=change is None):
                return heads.draw(generator, self._prompts, self._seeds)

    def _score(self, images: heads.Images) -> Scores:
        """``strict`` is 1 where all five facts hold, else 0."""
        nothing = [None] * len(images)
        clip, oracle = (
            np.array(metric.compute_batch(list(images), self._prompts, nothing))
            for metric in (self._clip, self._oracle)
        )
        return {
            "clip_score": clip,
            "shapes_oracle": oracle,
            "strict": (oracle > 0.999).astype(float),
        }


def _error(values: npt.NDArray[np.float64]) -> float:
    return float(values.std(ddof=1) / len(values) ** 0.5)


def _rounded(value: float) -> float:
    return round(float(value), 5) + 0.0


def read() -> dict[str, Any]:
    return json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {"changes": {}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="changes to measure anew")
    chosen = named(parser.parse_args().names)
    known = {change.name for change in named([])}
    measure = Measure()
    for number, change in enumerate(chosen, 1):
        started = time.perf_counter()
        effect = measure.effect(change)
        # Read anew each time, and written after each change: an interrupted run loses nothing.
        changes = {name: e for name, e in read()["changes"].items() if name in known}
        changes[change.name] = effect
        content = {
            "sample": {"images": SAMPLE, "prompts_seed": SAMPLE_SEED, "first_seed": FIRST_SEED},
            "margins": margins(),
            "base": measure.base(),
            "changes": changes,
        }
        text = json.dumps(content, indent=1, sort_keys=True)
        FILE.write_text(text + "\n", encoding="utf-8")
        loss = effect["loss"]
        print(
            f"{number:3}/{len(chosen)} {change.name:26} oracle −{loss['shapes_oracle']:.4f} "
            f"strict −{loss['strict']:.4f} clip −{loss['clip_score']:.4f} "
            f"{effect['differing_images']} differ, {time.perf_counter() - started:.0f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
