"""The forms in which a custom metric gets its images: an array, a PIL image, or the path of a PNG."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from difftest.metrics.signature import Slot

    Image = npt.NDArray[np.uint8]


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """For the images of metrics that take paths."""
    with tempfile.TemporaryDirectory(prefix="difftest-") as folder:
        yield Path(folder)


def presented(slot: Slot, images: Sequence[Image | None], stem: Path) -> list[Any]:
    """The images in the form a metric asks for; what it does to them stays its own. ``stem`` begins their paths."""
    if slot.form == "array":
        return [None if image is None else image.copy() for image in images]
    from PIL import Image as Pil

    pictures = [None if image is None else Pil.fromarray(image) for image in images]
    if slot.form == "pil":
        return pictures
    paths: list[Any] = []
    for index, picture in enumerate(pictures):
        path = stem.with_name(f"{stem.name}-{index}.png")
        if picture is not None:
            picture.save(path)
        paths.append(None if picture is None else slot.path(path))
    return paths


def mistaken_form(broken: BaseException, slot: Slot) -> str:
    """How an error ends where the metric took its image for another form: how to get that one. Else nothing."""
    if not isinstance(broken, AttributeError) or slot.form == "array":
        return ""
    try:
        import numpy as np
    except ModuleNotFoundError:
        return ""
    taken = broken.obj
    if getattr(np.ndarray, str(broken.name), None) is None or isinstance(taken, np.ndarray):
        return ""
    what = "a PIL image" if slot.form == "pil" else "a path"
    return f"; `{slot.parameter}` is {what}: for an array write `{slot.parameter}: np.ndarray`, or call it `array`"
