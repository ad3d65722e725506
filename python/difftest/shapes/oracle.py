"""Reads an image back into facts, without any model: its verdict is the ground truth of the world
of shapes.

The background is the median of the border, the object is what differs from it; its silhouette is
compared with rendered templates of every shape, place and size, its colour with the palette.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from difftest.shapes.world import (
    ATTRIBUTES,
    BACKGROUNDS,
    COLORS,
    IMAGE_SIZE,
    PLACES,
    SHAPES,
    SIZES,
    Scene,
    shape_masks,
)

#: A silhouette is accepted when its intersection over union with the best template reaches this.
MIN_IOU = 0.8
#: Largest accepted distance from a palette colour, Euclidean in RGB 0..255.
MAX_BACKGROUND_DISTANCE = 30.0
MAX_COLOR_DISTANCE = 45.0
#: Offsets of the templates from the nominal centre and radius, pixels: somewhat wider than the
#: world's jitter.
_CENTER_OFFSETS = (-1.2, -0.6, 0.0, 0.6, 1.2)
_RADIUS_OFFSETS = (-0.4, 0.0, 0.4)
#: An object is at least this many pixels: their median distance from the background is its
#: contrast.
_CONTRAST_PIXELS = 20
_MIN_CONTRAST = 40.0

Verdicts = dict[str, npt.NDArray[np.bool_]]
_Floats = npt.NDArray[np.float32]


@functools.cache
def _templates() -> tuple[_Floats, npt.NDArray[np.int64]]:
    """Binary silhouettes ``(T, 1024)`` and their (shape, place, size) indices ``(T, 3)``."""
    shapes, centers, radii, labels = [], [], [], []
    for (h, shape), (p, place), (z, size) in itertools.product(
        enumerate(SHAPES), enumerate(PLACES.values()), enumerate(SIZES.values())
    ):
        for ox, oy, dr in itertools.product(_CENTER_OFFSETS, _CENTER_OFFSETS, _RADIUS_OFFSETS):
            shapes.append(shape)
            centers.append((place[0] + ox, place[1] + oy))
            radii.append(size + dr)
            labels.append((h, p, z))
    masks = shape_masks(shapes, np.array(centers, np.float32), np.array(radii, np.float32))
    return (masks > 0.5).astype(np.float32).reshape(len(shapes), -1), np.array(labels)


def _nearest(
    values: _Floats, palette: Mapping[str, Sequence[int]]
) -> tuple[npt.NDArray[np.int64], _Floats]:
    distances = np.linalg.norm(values[:, None] - np.array([*palette.values()], np.float32), axis=2)
    return distances.argmin(1), distances.min(1)


def judge(scenes: Sequence[Scene], images: npt.ArrayLike) -> Verdicts:
    """Whether each image shows each fact of its scene.

    ``images``: ``(N, 32, 32, 3)``, RGB 0..255. Answers ``bool (N,)`` for ``silhouette`` (is it any
    known figure at all), for each attribute of ``Scene``, and for ``all`` (the strict verdict:
    every other one holds).
    """
    pixels = np.asarray(images, np.float32)
    if pixels.shape != (len(scenes), IMAGE_SIZE, IMAGE_SIZE, 3):
        wanted = (len(scenes), IMAGE_SIZE, IMAGE_SIZE, 3)
        raise ValueError(f"images have the shape {pixels.shape}, {wanted} was expected")
    facts = np.array(
        [[words.index(getattr(s, name)) for name, words in ATTRIBUTES.items()] for s in scenes]
    ).reshape(-1, len(ATTRIBUTES))

    edges = (pixels[:, 0], pixels[:, -1], pixels[:, :, 0], pixels[:, :, -1])
    ground = np.median(np.concatenate(edges, axis=1), axis=1)
    background, background_distance = _nearest(ground, BACKGROUNDS)

    contrast = np.linalg.norm(pixels - ground[:, None, None], axis=3)
    strongest = np.sort(contrast.reshape(len(scenes), -1), axis=1)[:, -_CONTRAST_PIXELS:]
    level = np.maximum(np.median(strongest, axis=1), _MIN_CONTRAST)[:, None, None]

    silhouette = (contrast > level * 0.5).reshape(len(scenes), -1).astype(np.float32)
    templates, labels = _templates()
    shared = silhouette @ templates.T
    union = silhouette.sum(1, keepdims=True) + templates.sum(1)[None] - shared
    iou = shared / np.maximum(union, 1)
    read = labels[iou.argmax(1)]

    core = (contrast > level * 0.75).astype(np.float32)[..., None]
    paint = (pixels * core).sum((1, 2)) / np.maximum(core.sum((1, 2)), 1)
    color, color_distance = _nearest(paint, COLORS)

    verdicts: Verdicts = {
        "silhouette": iou.max(1) >= MIN_IOU,
        "color": (color == facts[:, 0]) & (color_distance < MAX_COLOR_DISTANCE),
        "shape": read[:, 0] == facts[:, 1],
        "place": read[:, 1] == facts[:, 2],
        "size": read[:, 2] == facts[:, 3],
        "background": (background == facts[:, 4]) & (background_distance < MAX_BACKGROUND_DISTANCE),
    }
    verdicts["all"] = np.logical_and.reduce(list(verdicts.values()))
    return verdicts
