"""GenEval's rules: whether the objects that were found are those that were asked for. Pure.

Ghosh et al., arXiv 2310.11513; the thresholds are those of the authors' program.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from difftest.metrics.geneval_prompt import Request, Requirement

if TYPE_CHECKING:
    import numpy.typing as npt

    Mask = npt.NDArray[np.bool_]

#: A detection counts from this score on; where things are counted, only from the second.
THRESHOLD, COUNTING_THRESHOLD = 0.3, 0.9
#: At most so many of one class, the surest first.
MAX_OBJECTS = 16
#: How far apart two centres must be, as a share of both objects' extents, to be beside each other at all.
_APART = 0.1
#: The cosine beyond which an offset is in a direction.
_TOWARDS = 0.5


@dataclass(frozen=True)
class Detection:
    """One object that was found. ``box``: left, top, right, bottom in pixels."""

    object: str
    score: float
    box: tuple[float, float, float, float]
    mask: Mask | None = field(default=None, compare=False)


#: The colours of some objects of one class.
Colors = Callable[[Sequence[Detection]], Sequence[str]]


def judge(
    request: Request, detections: Sequence[Detection], colors: Colors
) -> tuple[bool, list[str]]:
    """Whether all that the request includes is there and nothing that it excludes, and what is not so.

    Colour and place are asked of the surest detections only. ``colors`` is called for classes whose colour matters.
    """
    objects = kept(detections, request.tag)
    wrong: list[str] = []
    matched: list[Sequence[Detection] | None] = []
    for requirement in request.include:
        fault, found = _met(requirement, objects, matched, colors)
        matched.append(found if fault is None else None)
        if fault is not None:
            wrong.append(fault)
    for requirement in request.exclude:
        count = len(objects.get(requirement.object, ()))
        if count >= requirement.count:
            wrong.append(f"expected {requirement.object} < {requirement.count}, found {count}")
    return not wrong, wrong


def kept(detections: Sequence[Detection], tag: str) -> dict[str, list[Detection]]:
    """The detections that count, by class, the surest first."""
    threshold = COUNTING_THRESHOLD if tag == "counting" else THRESHOLD
    objects: dict[str, list[Detection]] = {}
    for detection in sorted(detections, key=lambda one: -one.score):
        if detection.score > threshold:
            objects.setdefault(detection.object, []).append(detection)
    return {name: found[:MAX_OBJECTS] for name, found in objects.items()}


def relations(one: Detection, other: Detection) -> set[str]:
    """Where ``one`` lies, seen from ``other``; empty where they are too close to tell."""
    a, b = (np.asarray(each.box).reshape(2, 2) for each in (one, other))
    offset = a.mean(0) - b.mean(0)
    extents = np.abs(a[1] - a[0]) + np.abs(b[1] - b[0])
    beyond = np.maximum(np.abs(offset) - _APART * extents, 0) * np.sign(offset)
    if np.all(np.abs(beyond) < 1e-3):
        return set()
    right, down = beyond / np.linalg.norm(offset)
    return {
        name
        for name, cosine in (
            ("left of", -right),
            ("right of", right),
            ("above", -down),
            ("below", down),
        )
        if cosine > _TOWARDS
    }


def _met(
    requirement: Requirement,
    objects: Mapping[str, list[Detection]],
    matched: Sequence[Sequence[Detection] | None],
    colors: Colors,
) -> tuple[str | None, Sequence[Detection]]:
    """What is wrong, if anything, and the objects that were found for it."""
    name, count = requirement.object, requirement.count
    found = objects.get(name, [])[:count]
    if len(found) < count:
        return f"expected {name} >= {count}, found {len(found)}", found
    if requirement.color is not None:
        seen = list(colors(found))
        if seen.count(requirement.color) < count:
            right = seen.count(requirement.color)
            return f"expected {requirement.color} {name} >= {count}, found {right} of {seen}", found
    if requirement.position is not None:
        relation, index = requirement.position
        targets = matched[index]
        if targets is None:
            return f"no target for {name} to be {relation}", found
        for one in found:
            for target in targets:
                true = relations(one, target)
                if relation not in true:
                    where = " and ".join(sorted(true)) or "not beside"
                    return f"expected {name} {relation} target, found {where} target", found
    return None, found
