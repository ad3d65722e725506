"""Metrics that a repository declares, from the first line that a user writes."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import difftest
from difftest import metrics

if TYPE_CHECKING:
    from conftest import Repository

IMAGES = [np.full((4, 6, 3), shade, np.uint8) for shade in (10, 20)]
PROMPTS = ["dark", "less dark"]
NONE = [None, None]


@pytest.fixture(autouse=True)
def _registry() -> Iterator[None]:
    difftest.clear_registry()
    yield
    difftest.clear_registry()


def scores(target: Any, references: Any = NONE, **options: Any) -> list[float]:
    difftest.metric("m", **options)(target)
    return metrics.load("m").compute_batch(IMAGES, PROMPTS, references)


# Functions


def by_path_annotation(picture: Path) -> float:
    return float(np.asarray(Image.open(picture)).mean())


def by_text_annotation(picture: str) -> float:
    return by_path_annotation(Path(picture))


def by_pathlike_annotation(picture: os.PathLike[str]) -> float:
    return by_path_annotation(Path(picture))


def by_path_name(image_path):  # type: ignore[no-untyped-def]
    return by_path_annotation(image_path)


def by_pil_annotation(picture: Image.Image) -> float:
    return float(picture.getpixel((0, 0))[0])  # type: ignore[index]


def by_image_name(image):  # type: ignore[no-untyped-def]
    return by_pil_annotation(image)


def by_array_annotation(picture: NDArray[np.uint8]) -> Any:
    return picture.mean()


def by_array_name(array):  # type: ignore[no-untyped-def]
    return np.float32(array.mean())


@pytest.mark.parametrize(
    "function",
    [
        by_path_annotation,
        by_text_annotation,
        by_pathlike_annotation,
        by_path_name,
        by_pil_annotation,
        by_image_name,
        by_array_annotation,
        by_array_name,
    ],
)
def test_a_function_gets_the_image_in_the_form_it_asks_for(function: Any) -> None:
    assert scores(function) == [10.0, 20.0]


def test_a_function_may_take_the_prompt_and_the_reference() -> None:
    def difference(array: Any, prompt: str, reference: Any) -> float:
        return float(np.abs(array.astype(int) - reference).mean()) + len(prompt)

    assert scores(difference, references=IMAGES[::-1]) == [14.0, 19.0]
    assert metrics.load("m").category == "reference"


def test_an_optional_reference_may_be_missing() -> None:
    def own(image: Image.Image, reference: Image.Image | None = None) -> float:
        return 0.0 if reference is None else 1.0

    assert scores(own, references=[None, IMAGES[0]]) == [0.0, 1.0]
    assert metrics.load("m").category == "per_sample"


def test_a_required_reference_that_is_missing_is_an_error() -> None:
    def difference(array: Any, reference: Any) -> float:
        return 0.0

    with pytest.raises(
        difftest.MetricError, match=r"image 1 of 2 \(prompt 'dark'\) has none; give"
    ):
        scores(difference)


def test_what_a_metric_does_to_its_image_stays_its_own() -> None:
    def careless(array: Any) -> float:
        array[:] = 0
        return 0.0

    scores(careless)
    assert IMAGES[0].max() == 10


def test_a_decorated_metric_stays_callable() -> None:
    @difftest.metric("brightness")
    def brightness(array: Any) -> float:
        return float(array.mean())

    assert brightness(IMAGES[0]) == 10.0


def test_a_metric_may_import_what_is_beside_it_when_it_is_called(repository: Repository) -> None:
    for folder, factor in (("a", 1), ("b", 2)):
        repository.write(f"tests/{folder}/factors.py", f"FACTOR = {factor}")
        repository.write(
            f"tests/{folder}/test_it.py",
            f"""
            import difftest

            @difftest.metric("metric_{folder}")
            def metric(array):
                import factors
                return factors.FACTOR * array.mean()
            """,
        )
    repository.collect()
    for name, expected in (("metric_a", 10.0), ("metric_b", 20.0), ("metric_a", 10.0)):
        assert metrics.load(name).compute_batch(IMAGES[:1], ["p"], [None]) == [expected]


def test_the_modules_of_the_product_are_imported_once(repository: Repository) -> None:
    """A metric that the product itself declares lives on with the product's other modules."""
    repository.write("src/product/__init__.py", "")
    repository.write("src/product/state.py", "import uuid\nKEY = str(uuid.uuid4())")
    repository.write(
        "src/product/metrics.py",
        """
        import difftest

        @difftest.metric("product_metric")
        def product_metric(image):
            from product import state
            return int(state.KEY == product_metric.key)
        """,
    )
    repository.write(
        "tests/test_a.py",
        """
        import sys, pathlib
        sys.path.append(str(pathlib.Path(__file__).parents[1] / "src"))
        from product import metrics, state
        metrics.product_metric.key = state.KEY
        """,
    )
    assert repository.collect() == ([], [])
    metric = metrics.load("product_metric")
    for _ in range(2):
        assert metric.compute_batch(IMAGES[:1], ["p"], [None]) == [1.0]


# Classes


def test_a_class_is_made_once_and_called_by_path() -> None:
    made = []

    class Legacy:
        direction = "lower_is_better"
        category = "reference"

        def __init__(self) -> None:
            made.append(self)

        def compute_from_path(
            self, image_path: Any, prompt: str | None = None, reference_path: Any = None
        ) -> float:
            return by_path_annotation(image_path) + by_path_annotation(reference_path)

    difftest.metric("m")(Legacy)
    metric = metrics.load("m")
    assert (metric.direction, metric.category) == ("lower_is_better", "reference")
    for _ in range(2):
        assert metric.compute_batch(IMAGES, PROMPTS, IMAGES) == [20.0, 40.0]
    assert len(made) == 1


def test_a_class_with_a_batch_is_called_once_for_all() -> None:
    class Batched:
        def compute_batch(self, images: Any, prompts: Any, references: Any) -> Any:
            assert [type(image) for image in images] == [Image.Image] * 2
            assert (prompts, references) == (PROMPTS, NONE)
            return np.array([0.1, 0.2])

        def compute_from_path(self, image_path: Any) -> float:
            raise AssertionError("the batched form is preferred")

    assert scores(Batched) == [0.1, 0.2]


def test_a_batch_of_arrays_needs_only_what_it_names() -> None:
    class Batched:
        def compute_batch(self, arrays: Any) -> list[float]:
            return [float(array.mean()) for array in arrays]

    assert scores(Batched) == [10.0, 20.0]


def test_a_batch_with_another_count_of_scores_is_an_error() -> None:
    class Batched:
        def compute_batch(self, images: Any) -> list[float]:
            return [1.0]

    with pytest.raises(difftest.MetricError, match="gave 1 scores for 2 images; one for each"):
        scores(Batched)


def test_a_class_that_does_not_load_says_why() -> None:
    class Heavy:
        def __init__(self) -> None:
            raise OSError("no weights")

        def compute_from_path(self, image_path: Any) -> float: ...

    with pytest.raises(difftest.MetricError, match="`m` did not load: OSError: no weights"):
        scores(Heavy)


# What cannot be used


@pytest.mark.parametrize("value", [math.nan, math.inf, None, "high"])
def test_a_score_that_is_no_finite_number_names_the_image(value: Any) -> None:
    def odd(array: Any) -> Any:
        return value if array.max() == 20 else 0.5

    with pytest.raises(difftest.MetricError) as refused:
        scores(odd)
    assert f"gave {value!r} for image 2 of 2 (prompt 'less dark')" in str(refused.value)
    assert refused.value.index == 1


def test_a_metric_that_breaks_names_the_image_and_the_line() -> None:
    def broken(image: Any) -> float:
        return 1 / 0

    line = broken.__code__.co_firstlineno + 1
    with pytest.raises(difftest.MetricError) as failed:
        scores(broken)
    assert "`m` failed on image 1 of 2 (prompt 'dark'): ZeroDivisionError" in str(failed.value)
    assert f"test_custom.py:{line})" in str(failed.value)


def _no_image() -> float: ...
def _unclear(x: float) -> float: ...
def _greedy(image: Any, mask: Any) -> float: ...


class _Empty: ...


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (_no_image, "takes no image"),
        (_unclear, "does not say what its parameter `x` is"),
        (_greedy, "needs `mask`, which difftest does not know"),
        (_Empty, "has neither `compute_batch"),
        (3, "put @difftest.metric on a function or a class"),
    ],
)
def test_a_signature_that_says_too_little_is_refused(target: Any, message: str) -> None:
    with pytest.raises(difftest.ConfigurationError, match=message):
        difftest.metric("m")(target)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "two words"}, "name is 'two words'; write letters"),
        ({"name": "ssim"}, "`ssim` comes with difftest"),
        ({"direction": "higher"}, "direction is 'higher'; did you mean `higher_is_better`"),
        ({"category": "set"}, "category is 'set'; there is: batch, per_sample, reference"),
        ({"range": (1, 0)}, "the smallest score comes first"),
        ({"range": (0, 1, 2)}, "write the smallest and the largest score"),
        ({"margin": -1}, "margin is -1; write the loss"),
        ({"margin": math.nan}, "margin is nan; write a finite number"),
    ],
)
def test_an_option_that_cannot_be_used_is_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(difftest.ConfigurationError, match=message):
        difftest.metric(**{"name": "m", **options})(by_image_name)


def test_what_is_left_out_of_a_metric() -> None:
    difftest.metric("m")(by_image_name)
    plain = metrics.load("m")
    assert (plain.direction, plain.category) == ("higher_is_better", "per_sample")
    assert (plain.range, plain.margin) == (None, 0.0)
    difftest.metric("ranged", range=(0, 50))(by_image_name)
    assert metrics.load("ranged").margin == 1.0, "2% of the range"


def test_an_unknown_metric_names_the_nearest() -> None:
    with pytest.raises(
        difftest.MetricError, match="no metric `clip_scor`; did you mean `clip_score`"
    ):
        metrics.load("clip_scor")
