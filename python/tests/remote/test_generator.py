"""The generator object itself, as the engine uses it."""

from __future__ import annotations

import gc
import threading
import time
from typing import Any

import numpy as np
import pytest

from difftest import generators
from difftest.errors import ConfigurationError, GeneratorError, TimeoutError
from difftest.recipe import Recipe


def load(ui: Any, **more: Any) -> Any:
    """A client of the stand-in."""
    options = generators.Options(
        "a1111", "shapes", "cpu", ".", options={"url": ui.url}, **{"image_timeout_s": 20.0, **more}
    )
    return generators.load(options)


def test_items_come_in_order_and_as_soon_as_they_are_there(ui: Any, colour: Any) -> None:
    generator = load(ui, jobs=2)
    items = iter(generator.generate([Recipe("a cat", 1), Recipe("a slow cat", 2), Recipe("x", 3)]))
    started = time.monotonic()
    first = next(items)
    assert time.monotonic() - started < 0.4, "the first waits for no other"
    made = [first, *items]
    assert [tuple(item.image[3, 3]) for item in made] == [colour(seed) for seed in (1, 2, 3)]
    assert made[0].image.shape == (32, 32, 3)
    assert made[0].image.dtype == np.uint8
    assert made[0].text["parameters"] == "a cat\nSeed: 1"
    assert (made[0].cost_usd, made[0].retries) == (None, 0)
    assert next(items, None) is None


def test_a_failed_image_is_an_exception_in_its_place(ui: Any) -> None:
    generator = load(ui, image_timeout_s=0.5)
    recipes = [Recipe("forbidden", 1), Recipe("a cat", 2), Recipe("endless", 3)]
    refused, made, late = generator.generate(recipes)
    assert isinstance(refused, GeneratorError)
    assert "not allowed" in str(refused)
    assert isinstance(made, generators.Generated)
    assert isinstance(late, TimeoutError)
    assert late.retries == 0


def test_other_threads_run_while_an_image_is_waited_for(ui: Any) -> None:
    ticks = 0
    over = threading.Event()

    def tick() -> None:
        nonlocal ticks
        while not over.wait(0.01):
            ticks += 1

    thread = threading.Thread(target=tick)
    items = load(ui).generate([Recipe("a slow cat", 1)])
    thread.start()
    list(items)
    over.set()
    thread.join()
    assert ticks > 10


def test_what_is_dropped_before_its_end_is_called_off(ui: Any) -> None:
    generator = load(ui)
    items = generator.generate([Recipe("endless", seed) for seed in range(3)])
    while ui.running is None:
        time.sleep(0.01)
    del items
    gc.collect()
    assert ui.count("/sdapi/v1/interrupt") == 1
    assert ui.count("/sdapi/v1/txt2img") == 1


def test_it_describes_itself(ui: Any) -> None:
    generator = load(ui, jobs=3)
    assert generator.name == "a1111"
    assert generator.batch_size >= 3
    assert generator.fingerprint == load(ui).fingerprint
    described = generator.describe()
    assert (described["device"], described["deterministic"]) == ("remote", False)
    assert described["versions"]["sd_model_checkpoint"] == "base"


def test_errors_say_whose_they_are(ui: Any) -> None:
    with pytest.raises(ConfigurationError, match="did you mean `url`"):
        generators.load(generators.Options("a1111", "shapes", "cpu", ".", options={"ur": ui.url}))
    nobody = {"url": "http://127.0.0.1:9", "max_retries": 0}
    with pytest.raises(GeneratorError, match="cannot be reached"):
        generators.load(generators.Options("a1111", "shapes", "cpu", ".", options=nobody))
