"""What goes wrong inside a built-in metric, said in difftest's own words."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from difftest.errors import DifftestError, MetricError, MissingDependencyError
from difftest.traces import describe

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Image = npt.NDArray[np.uint8]


@contextlib.contextmanager
def loading(metric: str, extra: str | None = None) -> Iterator[None]:
    """Inside, a missing package names the extra that brings it, and every other fault is a ``MetricError``."""
    with _guarded(metric, extra, "did not load"):
        yield


@contextlib.contextmanager
def computing(metric: str, extra: str | None = None) -> Iterator[None]:
    """The same while scores are computed."""
    with _guarded(metric, extra, "failed"):
        yield


@contextlib.contextmanager
def _guarded(metric: str, extra: str | None, what: str) -> Iterator[None]:
    try:
        yield
    except DifftestError:
        raise
    except ModuleNotFoundError as missing:
        raise MissingDependencyError(missing.name or "?", metric, extra=extra) from missing
    except Exception as broken:
        raise MetricError(f"{metric} {what}: {describe(broken)}") from broken


def paired(
    metric: str,
    images: Sequence[Image],
    prompts: Sequence[str],
    references: Sequence[Image | None],
) -> list[Image]:
    """The references of a metric that needs one for each image, of the image's own size."""
    found: list[Image] = []
    for index, (image, reference) in enumerate(zip(images, references, strict=True)):
        cell = f"image {index + 1} of {len(images)} (prompt {prompts[index]!r})"
        if reference is None:
            raise MetricError(
                f"{metric} compares with a reference image, and {cell} has none; give the test a "
                "reference_dir",
                index=index,
            )
        if image.shape != reference.shape:
            raise MetricError(
                f"{metric} compares images of one size: {cell} is {_size(image)}, its reference "
                f"{_size(reference)}",
                index=index,
            )
        found.append(reference)
    return found


def _size(image: Image) -> str:
    return f"{image.shape[1]}x{image.shape[0]}"
