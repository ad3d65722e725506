"""The files that a run writes, and reads as references, are what Pillow takes them for."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image as PillowImage

from difftest import _native
from python.tests.native.pictures import natural, synthetic


def file(image: PillowImage.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", **options)
    return buffer.getvalue()


def as_rgb(png: bytes) -> np.ndarray:
    return np.asarray(PillowImage.open(io.BytesIO(png)).convert("RGB"))


def test_pillow_reads_the_pixels_that_were_written() -> None:
    for name, image, _ in natural() + synthetic():
        png = _native.encode_png(image)
        assert np.array_equal(as_rgb(png), image), name
        assert np.array_equal(_native.decode_image(png), image), name
        assert _native.encode_png(image.copy()) == png, name


def test_what_has_alpha_or_a_palette_is_read_as_pillow_converts_it() -> None:
    rng = np.random.default_rng(3)
    colours = PillowImage.fromarray(rng.integers(0, 256, (37, 21, 4), np.uint8), "RGBA")
    palette = colours.convert("RGB").quantize(40)
    pictures = {
        "RGBA": file(colours),
        "LA": file(colours.convert("LA")),
        "L": file(colours.convert("L")),
        "palette": file(palette),
        "palette with a transparent colour": file(palette, transparency=3),
        "one bit": file(colours.convert("1")),
        "RGB with a transparent colour": file(colours.convert("RGB"), transparency=(1, 2, 3)),
    }
    for name, png in pictures.items():
        assert np.array_equal(_native.decode_image(png), as_rgb(png)), name
    # Alpha is dropped, not laid over a colour: the transparent pixels keep theirs.
    assert np.array_equal(_native.decode_image(pictures["RGBA"]), np.asarray(colours)[..., :3])


def test_a_metric_sees_no_alpha() -> None:
    rng = np.random.default_rng(4)
    pixels = rng.integers(0, 256, (64, 48, 4), np.uint8)
    reference = _native.decode_image(file(PillowImage.fromarray(pixels, "RGBA")))
    opaque = np.ascontiguousarray(pixels[..., :3])
    for metric in ("ssim", "psnr", "color_histogram", "edge_similarity", "phash"):
        same = _native.native_metric(metric, opaque, opaque)
        assert _native.native_metric(metric, opaque, reference) == same


@pytest.mark.parametrize("damage", [b"", b"no image", b"\x89PNG\r\n\x1a\n"])
def test_what_is_no_png_is_refused(damage: bytes) -> None:
    with pytest.raises(ValueError, match=r"damaged image|no PNG, JPEG or WebP"):
        _native.decode_image(damage)


def test_a_file_that_ends_early_is_refused() -> None:
    png = _native.encode_png(natural()[0][1])
    with pytest.raises(ValueError, match="damaged image"):
        _native.decode_image(png[: len(png) // 2])
