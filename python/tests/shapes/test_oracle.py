"""The oracle accepts every true image, refuses every false one, and names the wrong fact."""

from __future__ import annotations

import numpy as np
import pytest

from difftest.shapes.oracle import judge
from difftest.shapes.world import ATTRIBUTES, SCENES, Scene, changed, render

CIRCLE = Scene("green", "circle", "center", "large", "white")


def test_every_true_render_passes() -> None:
    images = render(SCENES * 3, np.random.default_rng(0))
    assert judge(SCENES * 3, images)["all"].all()


def test_noise_a_person_would_forgive_passes() -> None:
    rng = np.random.default_rng(0)
    noisy = np.clip(render(SCENES, rng) + rng.normal(0, 12, (len(SCENES), 32, 32, 3)), 0, 255)
    assert judge(SCENES, noisy)["all"].mean() > 0.99


def test_captions_of_other_images_fail() -> None:
    order = np.random.default_rng(0).permutation(len(SCENES))
    shuffled = [SCENES[index] for index in order]
    assert judge(shuffled, render(SCENES))["all"].mean() < 0.01


@pytest.mark.parametrize("attribute", ATTRIBUTES)
def test_one_false_fact_fails_that_fact_alone(attribute: str) -> None:
    truth = [s for s in SCENES for v in ATTRIBUTES[attribute] if v != getattr(s, attribute)]
    claimed = [
        changed(s, attribute, v)
        for s in SCENES
        for v in ATTRIBUTES[attribute]
        if v != getattr(s, attribute)
    ]
    verdicts = judge(claimed, render(truth))
    assert not verdicts[attribute].any()
    assert not verdicts["all"].any()
    for other in set(ATTRIBUTES) - {attribute}:
        assert verdicts[other].all()


@pytest.mark.parametrize("level", [0, 128, 250])
def test_an_empty_image_fails(level: int) -> None:
    assert not judge([CIRCLE], np.full((1, 32, 32, 3), level))["all"].any()


def test_noise_fails() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (50, 32, 32, 3))
    assert not judge([CIRCLE] * 50, noise)["all"].any()


def test_an_image_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \(1, 64, 64, 3\), \(1, 32, 32, 3\) was expected"):
        judge([CIRCLE], np.zeros((1, 64, 64, 3)))
