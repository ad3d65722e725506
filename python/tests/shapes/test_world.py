"""The world: captions and scenes are one to one, the split is fixed, images show the facts."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from difftest.shapes.world import (
    ATTRIBUTES,
    BACKGROUNDS,
    CLIP_HELD_OUT,
    CLIP_TRAIN,
    COLORS,
    HELD_OUT,
    HELD_OUT_UNSEEN_PAIRS,
    PLACES,
    SCENES,
    TRAIN,
    UNSEEN_PAIRS,
    VOCABULARY,
    Scene,
    caption,
    changed,
    parse_caption,
    render,
)

CROSS = Scene("blue", "cross", "top left", "small", "gray")


def test_every_scene_has_one_caption_that_reads_back() -> None:
    captions = [caption(scene) for scene in SCENES]
    assert len(set(captions)) == len(SCENES) == 720
    assert [parse_caption(text) for text in captions] == list(SCENES)


def test_captions_use_every_word_and_no_other() -> None:
    spoken = {word for scene in SCENES for word in caption(scene).replace(",", " ,").split()}
    assert spoken == {word for word in VOCABULARY if not word.startswith("<")}


def test_caption_reads_as_a_sentence() -> None:
    assert caption(CROSS) == "a small blue cross, top left, on a gray background"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a dog", "'a dog' is not a caption of this world; one is 'a small red circle"),
        (
            "a small pink cross, center, on a gray background",
            "color 'pink' is not one of red, green",
        ),
        ("a small red cross, top, on a gray background", "place 'top' is not one of top left"),
    ],
)
def test_text_of_another_world_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_caption(text)


def test_split_keeps_held_out_scenes_and_pairs_from_training() -> None:
    assert len(TRAIN) == 476
    assert len(HELD_OUT) == 244
    assert len(HELD_OUT_UNSEEN_PAIRS) == 180
    assert not set(TRAIN) & set(HELD_OUT)
    assert not {(scene.color, scene.shape) for scene in TRAIN} & UNSEEN_PAIRS
    for attribute, words in ATTRIBUTES.items():
        assert {getattr(scene, attribute) for scene in TRAIN} == set(words)


def test_clip_holds_out_other_captions_but_no_pair() -> None:
    assert len(CLIP_HELD_OUT) == 244
    assert not set(CLIP_TRAIN) & set(CLIP_HELD_OUT)
    assert {(scene.color, scene.shape) for scene in CLIP_TRAIN} > UNSEEN_PAIRS


def test_split_does_not_move() -> None:
    captions = "\n".join(caption(scene) for scene in HELD_OUT)
    assert hashlib.sha256(captions.encode()).hexdigest()[:12] == "b24830c30e18"


def test_image_shows_its_colours_where_the_caption_says() -> None:
    (image,) = render([CROSS])
    x, y = PLACES[CROSS.place]
    assert image.dtype == np.uint8
    assert image.shape == (32, 32, 3)
    assert tuple(image[y, x]) == COLORS["blue"]
    assert tuple(image[31, 31]) == BACKGROUNDS["gray"]


def test_jitter_is_the_seeds_own() -> None:
    def drawn(seed: int) -> bytes:
        return render([CROSS] * 3, np.random.default_rng(seed)).tobytes()

    assert drawn(1) == drawn(1) != drawn(2)


def test_changed_changes_one_fact() -> None:
    assert changed(CROSS, "size", "large") == Scene("blue", "cross", "top left", "large", "gray")
