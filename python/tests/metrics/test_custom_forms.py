"""The simplest things that a user writes under ``@difftest.metric``, and the numbers that come back."""

from __future__ import annotations

import pathlib
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image

import difftest
from difftest import metrics

IMAGES = [np.full((4, 6, 3), shade, np.uint8) for shade in (10, 20)]
PROMPTS = ["dark", "less dark"]
NONE = [None, None]


@pytest.fixture(autouse=True)
def _registry() -> Iterator[None]:
    difftest.clear_registry()
    yield
    difftest.clear_registry()


def scores(target: Any, **options: Any) -> list[float]:
    difftest.metric("m", **options)(target)
    return metrics.load("m").compute_batch(IMAGES, PROMPTS, NONE)


def first_pixel(picture: Any) -> float:
    return float(np.asarray(picture)[0, 0, 0])


def test_an_image_that_is_taken_for_an_array_is_told_how_to_get_one() -> None:
    def brightness(image):  # type: ignore[no-untyped-def]
        return image.mean()

    with pytest.raises(
        difftest.MetricError,
        match=r"no attribute 'mean' .*; `image` is a PIL image: for an array write `image: np\.ndarray`",
    ):
        scores(brightness)


def test_a_fault_that_is_its_own_gets_no_advice() -> None:
    def brightness(image):  # type: ignore[no-untyped-def]
        return image.brightness()

    with pytest.raises(difftest.MetricError) as failed:
        scores(brightness)
    assert "PIL image" not in str(failed.value)


@pytest.mark.parametrize(
    "source",
    [
        "def m(path: str): assert type(path) is str; return first_pixel(Image.open(path))",
        "def m(path): return first_pixel(Image.open(path.resolve()))",
        "def m(picture: pathlib.Path): return first_pixel(Image.open(picture.resolve()))",
        "def m(picture: 'str'): assert type(picture) is str; return first_pixel(Image.open(picture))",
        "def m(file: str | None = None): return first_pixel(Image.open(file))",
        "def m(image): assert isinstance(image, Image.Image); return first_pixel(image)",
        "def m(img): return img.getpixel((0, 0))[0]",
        "def m(x: 'PIL.Image.Image'): return x.getpixel((0, 0))[0]",
        "def m(x: 'Image.Image') -> float: return x.getpixel((0, 0))[0]",
        "def m(x: 'Image'): return x.getpixel((0, 0))[0]",
        "def m(image: np.ndarray): return image.mean()",
        "def m(image: 'np.ndarray'): return image.mean()",
        "def m(image: 'npt.NDArray[np.uint8]'): return image.mean()",
        "def m(image: numpy.typing.NDArray[np.uint8]): return image.mean()",
        "def m(image: 'NameOfTheTypeCheckerOnly | np.ndarray'): return image.mean()",
        "def m(pixels): return pixels[..., 0].mean()",
        "def m(image: np.ndarray, *, scale: float = 1.0): return scale * image.mean()",
        "def m(image: np.ndarray, weight=1, **options): return weight * image.mean()",
        "def m(image: np.ndarray, /): return image.mean()",
        "async_free = 1\ndef m(image: np.ndarray): return async_free * image.mean()",
    ],
)
@pytest.mark.parametrize("future", ["", "from __future__ import annotations\n"])
def test_what_users_write_works(future: str, source: str) -> None:
    names: dict[str, Any] = {
        "np": np,
        "numpy": np,
        "pathlib": pathlib,
        "Image": Image,
        "first_pixel": first_pixel,
    }
    exec(compile(future + source, "a_users_file.py", "exec", dont_inherit=True), names)
    assert scores(names["m"]) == [10.0, 20.0]


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (True, 1.0),
        (np.bool_(False), 0.0),
        (3, 3.0),
        (np.float32(0.5), 0.5),
        (np.int64(7), 7.0),
        (np.array(0.25), 0.25),
        (np.array([0.25]), 0.25),
        (np.array([[0.25]]), 0.25),
    ],
)
def test_a_number_may_come_in_any_scalar(value: Any, number: float) -> None:
    def m(array: Any) -> Any:
        return value

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert scores(m) == [number, number]


@pytest.mark.torch
@pytest.mark.usefixtures("torch_required")
def test_a_number_may_come_from_torch() -> None:
    import torch

    def m(array: Any) -> Any:
        return torch.tensor([[0.5]], requires_grad=True)

    assert scores(m) == [0.5, 0.5]


@pytest.mark.parametrize("value", [np.array([1.0, 2.0]), [1.0], 1j, {}])
def test_what_is_no_single_number_is_refused(value: Any) -> None:
    with pytest.raises(difftest.MetricError, match="a finite number was expected"):
        scores(_answering(value))


def _answering(value: Any) -> Any:
    def m(array: Any) -> Any:
        return value

    return m


def test_a_metric_may_say_what_it_computes_with() -> None:
    class Own:
        weights = "sha256:ab"

        def compute_batch(self, images: Any) -> list[float]:
            return [0.0 for _ in images]

    difftest.metric("m")(Own)
    assert (metrics.load("m").weights, metrics.load("m").min_samples) == ("sha256:ab", None)
