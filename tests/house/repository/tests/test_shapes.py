"""What a pull request must not break."""

import numpy as np

import difftest


@difftest.test(
    suite="shapes",
    metrics=["clip_score"],
    threshold={"clip_score": 0.5},
    seeds=[1, 2],
)
def test_prompts_are_followed():
    """Every prompt of the suite, scored by CLIP."""


@difftest.visual_regression(
    prompts=["a {size} {color} circle , center , on a white background"],
    variables={"size": ["small", "large"], "color": ["red", "blue", "green"]},
    seeds=[7],
    ssim_threshold=0.9,
)
def test_circles_look_the_same():
    """A circle in the middle, pixel by pixel against the base commit."""


@difftest.test(
    prompts=["a large red circle , center , on a white background"],
    metrics=["clip_score"],
    seeds=[3],
)
def test_a_red_circle_is_red(model):
    """A test may look at an image itself."""
    image = model.generate("a large red circle , center , on a white background", seed=3)
    red, green, blue = np.asarray(image).astype(int)[16, 16]
    assert red > green + 50
    assert red > blue + 50
