"""The PNG files of a run against Pillow's with its default settings, on one thread."""

from __future__ import annotations

import io
import sys

import numpy as np
import skimage.data
import timing
from PIL import Image as PillowImage

from difftest import _native

FASTER, LARGER = 10.0, 1.3


def pillow(image: timing.Image) -> bytes:
    buffer = io.BytesIO()
    PillowImage.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


def main() -> int:
    retina = np.ascontiguousarray(skimage.data.retina()[200:1224, 200:1224])
    photograph = timing.photograph()
    # The promise is of photographs; a noisy one has hardly anything that can be compressed.
    pictures = [
        ("photographs", photograph, FASTER),
        ("one photograph", retina, FASTER),
        ("with noise", timing.noisy(photograph), 1.0),
    ]
    print(f"A {timing.SIDE}×{timing.SIDE} RGB array to a PNG file, one thread, medians:")
    failed = False
    for name, image, wanted in pictures:
        png, peer = _native.encode_png(image), pillow(image)
        assert np.array_equal(np.asarray(PillowImage.open(io.BytesIO(png))), image)
        size = len(png) / len(peer)

        def ours(image: timing.Image = image) -> bytes:
            return _native.encode_png(image)

        def theirs(image: timing.Image = image) -> bytes:
            return pillow(image)

        times = timing.compare(ours, theirs)
        value = f"{len(png) / 1e6:.2f} MB, {size:.3f} of Pillow's (at most {LARGER})"
        print(timing.line(name, "Pillow", times, wanted, value), flush=True)
        failed |= size > LARGER or times.ratio < wanted
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
