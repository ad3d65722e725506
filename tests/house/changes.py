"""The changes that pull requests of the demo and the tests make to the repository under test."""

from __future__ import annotations

#: The same pipeline, told differently: images must not move by a bit.
REFACTOR = {
    "pipeline.py": '''"""The pipeline this repository ships."""

from dataclasses import dataclass

from difftest.shapes.pipeline import ShapesPipeline


@dataclass(frozen=True)
class Sampler:
    """How a picture is made from noise."""

    steps: int = 10
    guidance_scale: float = 1.5


def make() -> ShapesPipeline:
    sampler = Sampler()
    return ShapesPipeline(steps=sampler.steps, guidance_scale=sampler.guidance_scale)
'''
}

#: "Ten times faster": the sampler takes one step where it took ten.
ONE_STEP = {
    "pipeline.py": '''"""The pipeline this repository ships."""

from difftest.shapes.pipeline import ShapesPipeline

STEPS = 1
GUIDANCE = 1.5


def make() -> ShapesPipeline:
    return ShapesPipeline(steps=STEPS, guidance_scale=GUIDANCE)
'''
}

#: A colon too few, on line 12.
SYNTAX_ERROR = {
    "tests/test_shapes.py": '''"""What a pull request must not break."""

import difftest


@difftest.test(
    suite="shapes",
    metrics=["clip_score"],
    threshold={"clip_score": 0.5},
    seeds=[1, 2],
)
def test_prompts_are_followed()
    """Every prompt of the suite, scored by CLIP."""
'''
}
SYNTAX_ERROR_AT = "tests/test_shapes.py:12"
