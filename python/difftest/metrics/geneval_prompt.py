"""What a GenEval prompt asks for: the benchmark's own JSONL, or read from the prompt's words. Pure.

A line of the file (github.com/djghosh13/geneval, ``prompts/evaluation_metadata.jsonl``)::

    {"tag": "color_attr", "prompt": "a photo of a red cup and a blue dog",
     "include": [{"class": "cup", "count": 1, "color": "red"}, {"class": "dog", "count": 1, "color": "blue"}]}

``exclude`` lists what there must be fewer of; ``position`` is ``["left of", 0]``: of the 0th thing to include.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from difftest.errors import ConfigurationError
from difftest.nearest import suggestion

COLORS = (
    *("red", "orange", "yellow", "green", "blue"),
    *("purple", "pink", "brown", "black", "white"),
)
POSITIONS = ("left of", "right of", "above", "below")
TAGS = ("single_object", "two_object", "counting", "colors", "position", "color_attr")
_NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


@dataclass(frozen=True)
class Requirement:
    """So many objects of a class, all of a colour, and where they lie."""

    object: str
    count: int = 1
    color: str | None = None
    #: A relation, and the index of the earlier requirement that it is to.
    position: tuple[str, int] | None = None


@dataclass(frozen=True)
class Request:
    """A prompt and what an image of it must show, and must not."""

    tag: str
    prompt: str
    include: tuple[Requirement, ...]
    #: Fewer than ``count`` of each.
    exclude: tuple[Requirement, ...] = ()


def parse_lines(text: str, source: str, objects: Iterable[str]) -> dict[str, Request]:
    """The requests of a JSONL text by their prompt. Raises ``ConfigurationError`` with the line that is wrong."""
    known, found = frozenset(objects), {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            request = _request(json.loads(line), known)
        except (ValueError, TypeError) as wrong:
            raise ConfigurationError(f"{source}:{number}: {wrong}") from wrong
        found[request.prompt] = request
    return found


def _request(said: Any, objects: frozenset[str]) -> Request:
    _keys(said, required={"tag", "prompt", "include"}, optional={"exclude"})
    if not isinstance(said["prompt"], str) or not said["prompt"]:
        raise ValueError(f"`prompt` is {said['prompt']!r}; a text was expected")
    if said["tag"] not in TAGS:
        raise ValueError(f"the tag is {said['tag']!r}; {suggestion(str(said['tag']), TAGS)}")
    include = tuple(
        _requirement(one, index, objects) for index, one in enumerate(_list(said, "include"))
    )
    exclude = tuple(_requirement(one, 0, objects) for one in _list(said, "exclude"))
    if not include and not exclude:
        raise ValueError("it neither includes nor excludes anything")
    return Request(said["tag"], said["prompt"], include, exclude)


def _requirement(said: Any, index: int, objects: frozenset[str]) -> Requirement:
    _keys(said, required={"class", "count"}, optional={"color", "position"})
    name, count, color = said["class"], said["count"], said.get("color")
    if name not in objects:
        raise ValueError(f"the detector knows no {name!r}; {suggestion(str(name), objects)}")
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise ValueError(f"the count of {name!r} is {count!r}; an integer from 1 was expected")
    if color is not None and color not in COLORS:
        raise ValueError(f"the color is {color!r}; {suggestion(str(color), COLORS)}")
    position = said.get("position")
    if position is not None:
        match position:
            case [str(relation), int(target)] if relation in POSITIONS and 0 <= target < index:
                position = (relation, target)
            case _:
                raise ValueError(
                    f"the position is {position!r}; one of {', '.join(POSITIONS)} and the index of an "
                    'earlier thing was expected: ["left of", 0]'
                )
    return Requirement(name, count, color, position)


def _keys(said: Any, required: set[str], optional: set[str]) -> None:
    if not isinstance(said, Mapping):
        raise TypeError(f"{said!r} is no object")
    missing = sorted(required - said.keys())
    if missing:
        raise ValueError(f"`{missing[0]}` is missing")
    for key in said:
        if key not in required | optional:
            raise ValueError(
                f"the key `{key}` is not known; {suggestion(str(key), required | optional)}"
            )


def _list(said: Mapping[str, Any], key: str) -> list[Any]:
    value = said.get(key, [])
    if not isinstance(value, list):
        raise TypeError(f"`{key}` is {value!r}; a list was expected")
    return value


def parse_prompt(prompt: str, objects: Iterable[str]) -> Request | None:
    """What one of the benchmark's own sentences asks for; ``None`` for any other text.

    «a photo of a bench», «… of a cup and a dog», «… of three clocks», «… of a red car», «… of a cup left of a dog»,
    «… of a red cup and a blue dog».
    """
    found = re.fullmatch(r"\s*a photo of (.+?)\.?\s*", prompt, re.IGNORECASE)
    if found is None:
        return None
    said = found[1].lower()
    words = _Words(objects)
    counted = words.counted(said)
    if counted is not None:
        name, count = counted
        return Request(
            "counting", prompt, (Requirement(name, count),), (Requirement(name, count + 1),)
        )
    one = words.thing(said)
    if one is not None:
        return Request("colors" if one.color else "single_object", prompt, (one,))
    for relation in (*POSITIONS, "and"):
        for split in re.finditer(rf" {relation} ", said):
            first, second = words.thing(said[: split.start()]), words.thing(said[split.end() :])
            if first is None or second is None:
                continue
            if relation == "and":
                tag = "color_attr" if first.color or second.color else "two_object"
                return Request(tag, prompt, (first, second))
            placed = Requirement(first.object, 1, first.color, (relation, 0))
            return Request("position", prompt, (second, placed))
    return None


class _Words:
    """The names of objects as sentences use them."""

    def __init__(self, objects: Iterable[str]) -> None:
        self._objects = {name.lower(): name for name in objects}
        self._plurals = {_plural(lower): name for lower, name in self._objects.items()}

    def thing(self, said: str) -> Requirement | None:
        """«a cup», «an orange cup»: an article, perhaps a colour, an object."""
        found = re.fullmatch(r"an? (.+)", said)
        if found is None:
            return None
        if found[1] in self._objects:  # before the colour: an orange is an object too
            return Requirement(self._objects[found[1]])
        color, _, rest = found[1].partition(" ")
        if color in COLORS and rest in self._objects:
            return Requirement(self._objects[rest], 1, color)
        return None

    def counted(self, said: str) -> tuple[str, int] | None:
        """«three clocks»."""
        number, _, rest = said.partition(" ")
        if number in _NUMBERS[2:] and rest in self._plurals:
            return self._plurals[rest], _NUMBERS.index(number)
        return None


def _plural(name: str) -> str:
    """As the benchmark forms it, «skises» and «sheeps» included."""
    return f"{name}es" if name.endswith("s") else f"{name}s"
