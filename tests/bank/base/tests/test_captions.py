"""What a pull request must not break."""

import difftest

SEEDS = [11]


@difftest.test(
    prompts=["a {size} {color} {shape}, {place}, on a {background} background"],
    variables={
        "size": ["small", "large"],
        "color": ["red", "green", "blue", "yellow", "purple", "orange"],
        "shape": ["circle", "square", "triangle", "cross"],
        "place": ["top left", "top right", "bottom left", "bottom right", "center"],
        "background": ["white", "black", "gray"],
    },
    metrics=["clip_score", "shapes_oracle"],
    seeds=SEEDS,
)
def test_captions_are_followed():
    """Every caption there is, 720 of them."""
