"""The world of shapes: what can be said, what it looks like, and which of it no model is trained
on.

One object of a colour, a shape, a size and a place on a plain background: 6 x 4 x 2 x 5 x 3 = 720
scenes, each with exactly one caption. Images are ``uint8 (N, 32, 32, 3)``, RGB, drawn with one
pixel of anti-aliasing.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, fields

import numpy as np
import numpy.typing as npt

IMAGE_SIZE = 32

#: Names to RGB, 0..255.
COLORS: Mapping[str, tuple[int, int, int]] = {
    "red": (220, 35, 35),
    "green": (40, 170, 60),
    "blue": (45, 80, 225),
    "yellow": (245, 215, 40),
    "purple": (155, 50, 185),
    "orange": (245, 130, 25),
}
BACKGROUNDS: Mapping[str, tuple[int, int, int]] = {
    "white": (250, 250, 250),
    "black": (15, 15, 15),
    "gray": (130, 130, 130),
}
SHAPES: tuple[str, ...] = ("circle", "square", "triangle", "cross")
#: Centre of the object, (x, y) in pixels from the top left corner.
PLACES: Mapping[str, tuple[int, int]] = {
    "top left": (10, 10),
    "top right": (22, 10),
    "bottom left": (10, 22),
    "bottom right": (22, 22),
    "center": (16, 16),
}
#: Radius of the object in pixels.
SIZES: Mapping[str, float] = {"small": 5.5, "large": 8.5}

#: Every attribute of a scene with the words it may take, in the order of the fields of ``Scene``.
ATTRIBUTES: Mapping[str, tuple[str, ...]] = {
    "color": tuple(COLORS),
    "shape": SHAPES,
    "place": tuple(PLACES),
    "size": tuple(SIZES),
    "background": tuple(BACKGROUNDS),
}

#: ``<eos>`` has the highest id: CLIP's pooling looks for it there.
VOCABULARY: tuple[str, ...] = (
    *("<pad>", "<bos>", "<unk>"),
    *("a", ",", "on", "background"),
    *SIZES,
    *COLORS,
    *SHAPES,
    *("top", "bottom", "left", "right", "center"),
    *BACKGROUNDS,
    "<eos>",
)

#: How far the training images stray from the nominal centre and radius, in pixels, uniform on both
#: sides.
CENTER_JITTER = 0.75
RADIUS_JITTER = 0.3

Masks = npt.NDArray[np.float32]
Images = npt.NDArray[np.uint8]


@dataclass(frozen=True, order=True)
class Scene:
    """The facts of one image. Every field is a key of the attribute of the same name."""

    color: str
    shape: str
    place: str
    size: str
    background: str

    def __post_init__(self) -> None:
        for attribute in fields(self):
            value, known = getattr(self, attribute.name), ATTRIBUTES[attribute.name]
            if value not in known:
                raise ValueError(f"{attribute.name} {value!r} is not one of {', '.join(known)}")


def caption(scene: Scene) -> str:
    """The one sentence that describes the scene."""
    return (
        f"a {scene.size} {scene.color} {scene.shape}, {scene.place}, "
        f"on a {scene.background} background"
    )


_CAPTION = re.compile(
    r"\s*a (?P<size>\w+) (?P<color>\w+) (?P<shape>\w+) ?, (?P<place>\w+(?: \w+)?) ?, "
    r"on a (?P<background>\w+) background\s*",
    re.IGNORECASE,
)


def parse_caption(text: str) -> Scene:
    """The inverse of ``caption``. Raises ``ValueError`` for any text that is not a caption of this
    world.
    """
    found = _CAPTION.fullmatch(text)
    if found is None:
        example = caption(SCENES[0])
        raise ValueError(f"{text!r} is not a caption of this world; one is {example!r}")
    return Scene(**{name: value.lower() for name, value in found.groupdict().items()})


def shape_masks(
    shapes: Sequence[str], centers: npt.NDArray[np.float32], radii: npt.NDArray[np.float32]
) -> Masks:
    """Coverage 0..1 of each object, ``(N, 32, 32)``; ``centers`` is ``(N, 2)`` as (x, y), ``radii``
    ``(N,)``, pixels.

    Each shape is a signed distance (inside positive), clipped to a one-pixel ramp at the edge.
    """
    axis = np.arange(IMAGE_SIZE, dtype=np.float32) + np.float32(0.5)
    masks = np.empty((len(shapes), IMAGE_SIZE, IMAGE_SIZE), np.float32)
    names = np.asarray(shapes)
    for shape in SHAPES:
        chosen = np.flatnonzero(names == shape)
        dx = axis[None, None, :] - centers[chosen, 0][:, None, None]
        dy = axis[None, :, None] - centers[chosen, 1][:, None, None]
        masks[chosen] = _inside(shape, dx, dy, radii[chosen][:, None, None])
    coverage: Masks = np.clip(masks + np.float32(0.5), 0, 1)
    return coverage


def _inside(shape: str, dx: Masks, dy: Masks, r: Masks) -> Masks:
    ax, ay = np.abs(dx), np.abs(dy)
    inside: Masks
    if shape == "circle":
        inside = r - np.sqrt(dx * dx + dy * dy)
    elif shape == "square":
        inside = r * np.float32(0.92) - np.maximum(ax, ay)
    elif shape == "triangle":
        slope = (r * np.float32(0.95) + dy) * np.float32(0.447) - ax * np.float32(0.894)
        inside = np.minimum(r * np.float32(0.85) - dy, slope + r * np.float32(0.06))
    else:
        arm = r * np.float32(0.4)
        inside = np.maximum(np.minimum(arm - ax, r - ay), np.minimum(arm - ay, r - ax))
    return inside


def render(scenes: Sequence[Scene], rng: np.random.Generator | None = None) -> Images:
    """Draw the scenes, ``uint8 (N, 32, 32, 3)``; with ``rng``, centre and radius stray by the
    jitter of this world.
    """
    centers = np.array([PLACES[scene.place] for scene in scenes], np.float32).reshape(-1, 2)
    radii = np.array([SIZES[scene.size] for scene in scenes], np.float32)
    if rng is not None:
        stray = rng.uniform(-1, 1, (len(scenes), 3)).astype(np.float32)
        centers = centers + stray[:, :2] * np.float32(CENTER_JITTER)
        radii = radii + stray[:, 2] * np.float32(RADIUS_JITTER)
    alpha = shape_masks([scene.shape for scene in scenes], centers, radii)[..., None]
    front = np.array([COLORS[scene.color] for scene in scenes], np.float32).reshape(-1, 1, 1, 3)
    back = np.array([BACKGROUNDS[scene.background] for scene in scenes], np.float32)
    pixels = back.reshape(-1, 1, 1, 3) * (1 - alpha) + front * alpha
    return np.rint(pixels).astype(np.uint8)


def changed(scene: Scene, attribute: str, value: str) -> Scene:
    """The same scene with one attribute set to another word."""
    values = dict(zip(ATTRIBUTES, astuple(scene), strict=True))
    return Scene(**{**values, attribute: value})


#: Colour-shape pairs that no training image shows: every colour and every shape is seen, these
#: never together.
UNSEEN_PAIRS: frozenset[tuple[str, str]] = frozenset(
    {
        ("red", "triangle"),
        ("green", "circle"),
        ("blue", "cross"),
        ("yellow", "square"),
        ("purple", "circle"),
        ("orange", "triangle"),
    }
)
SCENES: tuple[Scene, ...] = tuple(
    Scene(*words) for words in itertools.product(*ATTRIBUTES.values())
)


def _hold_out(
    scenes: Sequence[Scene], count: int, seed: int
) -> tuple[tuple[Scene, ...], tuple[Scene, ...]]:
    """The rest, and ``count`` scenes drawn; the stream of numpy's legacy ``RandomState`` is fixed."""
    drawn = np.random.RandomState(seed).permutation(len(scenes))[:count]
    held = {scenes[index] for index in drawn}
    return tuple(s for s in scenes if s not in held), tuple(s for s in scenes if s in held)


#: The diffusion model trains on 476 scenes, and none of the 244 held-out captions.
TRAIN, HELD_OUT_SEEN_PAIRS = _hold_out(
    [scene for scene in SCENES if (scene.color, scene.shape) not in UNSEEN_PAIRS], 64, seed=1234
)
HELD_OUT_UNSEEN_PAIRS: tuple[Scene, ...] = tuple(
    scene for scene in SCENES if (scene.color, scene.shape) in UNSEEN_PAIRS
)
HELD_OUT: tuple[Scene, ...] = HELD_OUT_SEEN_PAIRS + HELD_OUT_UNSEEN_PAIRS

#: CLIP holds out as many scenes, of any pair: the judge may not share the blind spots of the judged.
CLIP_TRAIN, CLIP_HELD_OUT = _hold_out(SCENES, len(HELD_OUT), seed=4321)
