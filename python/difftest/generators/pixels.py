"""What user code may call an image, brought to RGB ``uint8 (H, W, 3)``; anything doubtful is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from difftest.errors import GeneratorError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

#: Floats may leave 0..1 by the rounding of their arithmetic, not by more.
_ROUNDING = 1e-4


def to_rgb(image: Any, what: str) -> npt.NDArray[np.uint8]:
    """A PIL image, an array or a tensor as ``uint8 (H, W, 3)``. Floats count from 0 to 1.

    ``what`` names the image in the ``GeneratorError`` of one that cannot be taken.
    """
    import numpy as np

    if hasattr(image, "convert") and hasattr(image, "getbands"):  # PIL, without importing it
        return np.array(image.convert("RGB"))
    if hasattr(image, "detach"):  # torch
        image = image.detach().cpu().float().numpy() if image.is_floating_point() else image.cpu()
    try:
        pixels = np.asarray(image)
    except (TypeError, ValueError) as broken:
        raise GeneratorError(f"{what} is of type {type(image).__name__}; {_EXPECTED}") from broken
    if pixels.ndim != 3 or pixels.shape[2] != 3 or 0 in pixels.shape:
        given = f"{type(image).__name__} of shape {pixels.shape}" if pixels.shape else repr(image)
        raise GeneratorError(f"{what} is {given[:80]}; {_EXPECTED}")
    if pixels.dtype == np.uint8:
        return np.array(pixels, order="C")
    if not np.issubdtype(pixels.dtype, np.floating):
        raise GeneratorError(f"{what} has the dtype {pixels.dtype}; {_EXPECTED}")
    if not np.isfinite(pixels).all():
        bad = int((~np.isfinite(pixels)).sum())
        raise GeneratorError(f"{what} has {bad} values that are NaN or infinite of {pixels.size}")
    low, high = float(pixels.min()), float(pixels.max())
    if low < -_ROUNDING or high > 1 + _ROUNDING:
        raise GeneratorError(
            f"{what} has floats from {low:.4g} to {high:.4g}; floats count from 0 to 1"
        )
    scaled: npt.NDArray[np.uint8] = np.rint(np.clip(pixels, 0, 1) * 255).astype(np.uint8)
    return scaled


_EXPECTED = (
    "a PIL image, or an array (height, width, 3) of uint8 or of floats from 0 to 1, was expected"
)
