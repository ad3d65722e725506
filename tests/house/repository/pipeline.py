"""The pipeline this repository ships."""

from difftest.shapes.pipeline import ShapesPipeline

STEPS = 10
GUIDANCE = 1.5


def make() -> ShapesPipeline:
    return ShapesPipeline(steps=STEPS, guidance_scale=GUIDANCE)
