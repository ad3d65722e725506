"""Networks loaded once, features computed once, and no image kept alive by it."""

from __future__ import annotations

import gc
import threading
import weakref
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from difftest.metrics.backbone import ImageFeatures, TextFeatures, forget_all, shared

Array = NDArray[np.uint8]


class Counted:
    """The mean of an image, or the length of a text, and which it was asked for."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def __call__(self, batch: list[Any]) -> NDArray[np.float32]:
        self.asked.append(len(batch))
        values = [[len(one) if isinstance(one, str) else one.mean()] for one in batch]
        return np.array(values, np.float32)


def pictures(*shades: int) -> list[Array]:
    return [np.full((2, 2, 3), shade, np.uint8) for shade in shades]


def test_an_image_passes_once_however_it_comes() -> None:
    known, compute = ImageFeatures(), Counted()
    a, b, c = pictures(1, 2, 3)
    assert [float(row[0]) for row in known.of([a, b], compute)] == [1, 2]
    assert [float(row[0]) for row in known.of([c, b, a, b], compute)] == [3, 2, 1, 2]
    known.of([a], compute)
    assert compute.asked == [2, 1]


def test_another_image_at_the_same_address_is_another_image() -> None:
    known, compute = ImageFeatures(), Counted()
    for shade in range(200):
        (image,) = pictures(shade)
        assert float(known.of([image], compute)[0][0]) == shade
        del image
    assert len(compute.asked) == 200


def test_no_image_is_kept_alive() -> None:
    known = ImageFeatures()
    (image,) = pictures(1)
    known.of([image], Counted())
    gone = weakref.ref(image)
    del image
    gc.collect()
    assert gone() is None


def test_what_is_remembered_is_bounded() -> None:
    images, texts, compute = ImageFeatures(limit=4), TextFeatures(limit=4), Counted()
    made = pictures(*range(10))
    images.of(made, compute)
    assert len(images) == 4
    images.of(made[-4:], compute)
    assert compute.asked == [10], "the last ones are remembered"
    texts.of([str(index) * (index + 1) for index in range(10)], compute)
    assert [float(row[0]) for row in texts.of(["9" * 10, "new"], compute)] == [10, 3]
    assert compute.asked == [10, 10, 1]


def test_a_text_passes_once() -> None:
    known, compute = TextFeatures(), Counted()
    assert [float(row[0]) for row in known.of(["a", "bb", "a"], compute)] == [1, 2, 1]
    known.of(["bb"], compute)
    assert compute.asked == [2]


def test_a_network_is_loaded_once_by_however_many_threads() -> None:
    loaded: list[object] = []

    def load() -> object:
        loaded.append(object())
        return loaded[-1]

    found: list[object] = []
    threads = [
        threading.Thread(target=lambda: found.append(shared("network", load))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(loaded) == 1
    assert set(map(id, found)) == {id(loaded[0])}
    forget_all()
    assert shared("network", load) is not loaded[0]


def test_a_load_that_fails_is_tried_again() -> None:
    def broken() -> object:
        raise OSError("no weights")

    with pytest.raises(OSError, match="no weights"):
        shared("other", broken)
    assert shared("other", lambda: 7) == 7
