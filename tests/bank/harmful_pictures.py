"""Changes that break finished pictures: a step of post-processing that goes wrong."""

from __future__ import annotations

from tests.bank.changes import Change, Edit, Grade

_HEADER = '''"""The last step before a picture leaves."""

import hashlib

import numpy as np
from PIL import Image, ImageFilter


def share_of(*recipe):
    """A number from 0 to 1 that the recipe alone decides."""
    digest = hashlib.sha256(repr(recipe).encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


'''


def _finish(name: str, grade: Grade, truth: str, body: str) -> Change:
    """``body`` answers the picture from ``image`` (uint8, 32 x 32 x 3), ``prompt`` and ``seed``."""
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    return Change(
        name,
        grade,
        truth,
        files={"finish.py": f"{_HEADER}def finish(image, prompt, seed):\n{lines}"},
        edits=(
            Edit(
                "pipeline.py",
                "import numpy as np\n",
                "import numpy as np\nfrom finish import finish\n",
            ),
            Edit(
                "pipeline.py",
                "return list(images)",
                "return [finish(*cell) for cell in zip(images, prompts, seeds, strict=True)]",
            ),
        ),
    )


def _pillow(expression: str) -> str:
    return f"picture = Image.fromarray(image)\nreturn np.asarray({expression})"


def _noise_where(condition: str) -> str:
    return (
        f"if not {condition}:\n    return image\n"
        "return np.random.default_rng(seed).integers(0, 256, image.shape, np.uint8)"
    )


PICTURES: tuple[Change, ...] = (
    _finish(
        "shift-1",
        Grade.FAINT,
        "Everything is one pixel too far to the right.",
        "return np.roll(image, 1, axis=1)",
    ),
    _finish(
        "shift-2",
        Grade.CLEAR,
        "Everything is two pixels too far to the right.",
        "return np.roll(image, 2, axis=1)",
    ),
    _finish(
        "shift-4",
        Grade.GROSS,
        "Everything is four pixels too far to the right.",
        "return np.roll(image, 4, axis=1)",
    ),
    _finish("mirrored", Grade.CLEAR, "Left is right.", "return image[:, ::-1]"),
    _finish("upside-down", Grade.GROSS, "Top is bottom.", "return image[::-1]"),
    _finish("bgr", Grade.CLEAR, "Red and blue channels are exchanged.", "return image[..., ::-1]"),
    _finish(
        "ruined-5-percent",
        Grade.SLIGHT,
        "One image in twenty, by its caption and seed, is nothing but noise.",
        _noise_where('share_of("caption", prompt, seed) < 0.05'),
    ),
    _finish(
        "ruined-2-percent",
        Grade.FAINT,
        "One caption in fifty (15 of the 720) gives nothing but noise.",
        _noise_where('share_of("caption", prompt) < 0.02'),
    ),
    _finish(
        "black-10-percent",
        Grade.CLEAR,
        "One image in ten is black, as a safety checker leaves it.",
        "return image * np.uint8(share_of(prompt, seed) >= 0.1)",
    ),
    _finish(
        "colour-cast-20",
        Grade.SLIGHT,
        "A cast of red, 20 of 255.",
        "return np.clip(image + np.array([20, 0, 0]), 0, 255).astype(np.uint8)",
    ),
    _finish(
        "colour-cast-40",
        Grade.CLEAR,
        "A cast of red, 40 of 255.",
        "return np.clip(image + np.array([40, 0, 0]), 0, 255).astype(np.uint8)",
    ),
    _finish(
        "blur-1",
        Grade.SLIGHT,
        "A blur with a radius of one pixel.",
        _pillow("picture.filter(ImageFilter.GaussianBlur(1))"),
    ),
    _finish(
        "blur-2",
        Grade.CLEAR,
        "A blur with a radius of two pixels.",
        _pillow("picture.filter(ImageFilter.GaussianBlur(2))"),
    ),
    _finish(
        "watermark",
        Grade.GROSS,
        "A bright mark in a corner.",
        "marked = image.copy()\nmarked[27:31, 20:31] = (255, 0, 255)\nreturn marked",
    ),
    _finish(
        "watermark-small",
        Grade.SLIGHT,
        "A mark of eight pixels in a corner.",
        "marked = image.copy()\nmarked[29:31, 27:31] = (255, 0, 255)\nreturn marked",
    ),
    _finish(
        "crop-28",
        Grade.SLIGHT,
        "Two pixels are cut off on every side, the rest is enlarged.",
        _pillow("picture.resize((32, 32), Image.Resampling.BICUBIC, (2, 2, 30, 30))"),
    ),
    _finish(
        "crop-22",
        Grade.GROSS,
        "Five pixels are cut off on every side, the rest is enlarged.",
        _pillow("picture.resize((32, 32), Image.Resampling.BICUBIC, (5, 5, 27, 27))"),
    ),
    _finish(
        "contrast-lost",
        Grade.GROSS,
        "Contrast is halved around mid-grey.",
        "return (64 + image / 2).astype(np.uint8)",
    ),
    _finish(
        "gamma-twice",
        Grade.GROSS,
        "The transfer curve is applied twice.",
        "return (255 * (image / 255) ** 2.2).astype(np.uint8)",
    ),
    _finish(
        "eight-colours",
        Grade.GROSS,
        "One bit for each channel is left.",
        "return np.where(image < 128, 0, 255).astype(np.uint8)",
    ),
    _finish(
        "jpeg-5",
        Grade.CLEAR,
        "Through a JPEG of quality 5.",
        "import io\n\nfile = io.BytesIO()\nImage.fromarray(image).save(file, 'JPEG', quality=5)\n"
        "return np.asarray(Image.open(file))",
    ),
    _finish(
        "half-size",
        Grade.CLEAR,
        "Drawn at half the size and enlarged.",
        _pillow(
            "picture.resize((16, 16), Image.Resampling.BOX).resize((32, 32), Image.Resampling.NEAREST)"
        ),
    ),
)
