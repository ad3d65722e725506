"""``clip_score`` by the embedded CLIP."""

from __future__ import annotations

import numpy as np
import pytest

import difftest
from difftest import metrics


def test_clip_score_prefers_the_true_caption() -> None:
    from difftest.shapes import world

    scene = world.Scene("red", "circle", "center", "large", "white")
    (image,) = world.render([scene])
    other = world.caption(world.changed(scene, "color", "blue"))
    metric = metrics.load("clip_score")
    true, false = metric.compute_batch([image] * 2, [world.caption(scene), other], [None] * 2)
    assert 0 <= false < true - metric.margin < 1
    assert (metric.direction, metric.category) == ("higher_is_better", "per_sample")
    assert (metric.range, metric.margin) == ((0.0, 1.0), 0.02)
    assert metric.weights.startswith("sha256:")


def test_the_embedded_clip_refuses_a_prompt_it_knows_no_word_of() -> None:
    image = np.zeros((32, 32, 3), np.uint8)
    metric = metrics.load("clip_score")
    with pytest.raises(
        difftest.MetricError, match=r"no word of 'a cat on a sofa'; .*DIFFTEST_CLIP_MODEL=openai"
    ) as refused:
        metric.compute_batch([image] * 2, ["a red circle", "a cat on a sofa"], [None] * 2)
    assert refused.value.index == 1
