"""The oracle of the world of shapes as a metric."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from difftest import MetricError, metrics
from difftest.shapes.world import SCENES, Scene, caption, changed, render

SCENE = Scene("red", "circle", "top left", "large", "white")


def score(prompt: str, image: np.ndarray) -> float:
    (value,) = metrics.load("shapes_oracle").compute_batch([image], [prompt], [None])
    return value


def test_a_true_picture_is_1_for_every_scene() -> None:
    images = list(render(SCENES))
    values = metrics.load("shapes_oracle").compute_batch(
        images, [caption(scene) for scene in SCENES], [None] * len(images)
    )
    assert values == [1.0] * len(SCENES)


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ("color", "blue"),
        ("shape", "square"),
        ("place", "bottom right"),
        ("size", "small"),
        ("background", "black"),
    ],
)
def test_a_picture_that_differs_in_one_fact_keeps_the_share_of_the_others(
    attribute: str, value: str
) -> None:
    (image,) = render([changed(SCENE, attribute, value)])
    assert score(caption(SCENE), image) == pytest.approx(0.8)


def test_a_picture_that_differs_in_everything_is_0() -> None:
    (image,) = render([Scene("blue", "cross", "bottom right", "small", "black")])
    assert score(caption(SCENE), image) == 0.0


def test_a_picture_without_a_figure_is_0_whatever_its_colours() -> None:
    (image,) = render([SCENE])
    noise = np.random.default_rng(0).integers(0, 256, image.shape, np.uint8)
    for picture in (np.full_like(image, 250), noise, np.full_like(image, (220, 35, 35))):
        assert score(caption(SCENE), picture) == 0.0


def test_a_larger_picture_is_read_at_the_worlds_size() -> None:
    (image,) = render([SCENE])
    large = np.asarray(Image.fromarray(image).resize((256, 256), Image.Resampling.NEAREST))
    assert score(caption(SCENE), large) == 1.0


def test_another_prompt_is_an_error_that_names_the_image() -> None:
    (image,) = render([SCENE])
    with pytest.raises(MetricError, match="world of shapes alone: 'a cat' is not a caption") as no:
        metrics.load("shapes_oracle").compute_batch(
            [image] * 2, [caption(SCENE), "a cat"], [None] * 2
        )
    assert no.value.index == 1


def test_no_images_have_no_scores() -> None:
    assert metrics.load("shapes_oracle").compute_batch([], [], []) == []
