"""The arguments of the decorators, checked once: what comes out of here is well formed.

Every function answers the checked value or raises ``ConfigurationError`` with the argument's name, the value that was
given and how to mend it.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Hashable, Iterable, Mapping, Sequence
from numbers import Integral, Real
from typing import Any, TypeVar

from difftest.errors import ConfigurationError
from difftest.nearest import suggestion
from difftest.suites import get_suite

#: Seeds travel as signed 64-bit integers, and numpy's and torch's generators take none below 0.
LARGEST_SEED = 2**63 - 1
_METRIC_NAME = re.compile(r"[A-Za-z_][\w.-]*")

Word = TypeVar("Word", bound=str)


def _wrong(argument: str, value: object, mend: str) -> ConfigurationError:
    shown = repr(value)
    if len(shown) > 120:
        shown = shown[:117] + "..."
    return ConfigurationError(f"{argument} is {shown}; {mend}")


def _items(argument: str, value: Any, example: str) -> list[Any]:
    if type(value) in (list, tuple):  # nearly always; asking an abstract class takes longer
        return list(value)
    if isinstance(value, (str, bytes)) or not isinstance(value, (Sequence, Iterable)):
        raise _wrong(argument, value, f"write a list: {argument}={example}")
    if isinstance(value, (Mapping, set, frozenset)):
        raise _wrong(argument, value, f"write a list, which has an order: {argument}={example}")
    return list(value)


def _texts(argument: str, value: Any, example: str) -> tuple[str, ...]:
    items = _items(argument, value, example)
    for index, item in enumerate(items):
        if not isinstance(item, str):
            raise _wrong(f"{argument}[{index}]", item, "write a string")
        if not item.isascii() and item != item.encode("utf-8", "replace").decode("utf-8"):
            raise _wrong(f"{argument}[{index}]", item, "it has half a character that is no text")
        if not item.strip():
            raise _wrong(f"{argument}[{index}]", item, "write a text, or leave it out")
    return tuple(items)


def number(argument: str, value: Any) -> float:
    """A finite real number, and not a truth value."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise _wrong(argument, value, "write a number")
    if not math.isfinite(value):
        raise _wrong(argument, value, "write a finite number")
    return float(value)


def prompts(value: Any, suite: Any) -> tuple[str, ...]:
    """The templates: those of the prompt suite first, then the explicit ones."""
    explicit = () if value is None else _texts("prompts", value, '["a small red circle"]')
    if suite is None:
        if not explicit:
            raise _wrong("prompts", value, "give at least one prompt, or name a prompt suite")
        return explicit
    return (*get_suite(suite).texts, *explicit)


def metrics(value: Any) -> tuple[str, ...]:
    names = _texts("metrics", value, '["clip_score"]')
    if not names:
        raise _wrong("metrics", value, 'name at least one metric, e.g. metrics=["clip_score"]')
    _no_duplicates("metrics", names)
    return names


def thresholds(value: Any, of: tuple[str, ...]) -> dict[str, float]:
    """Thresholds by metric. A single number stands for that of the single metric; ``None`` is none."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        if len(of) != 1:
            example = ", ".join(f'"{name}": ...' for name in of)
            raise _wrong(
                "threshold",
                value,
                f"one number for {len(of)} metrics does not say whose it is: threshold={{{example}}}",
            )
        return {of[0]: number("threshold", value)}
    for name in value:
        if name not in of:
            raise _wrong(
                "threshold",
                value,
                f"`{name}` is not among the metrics; {suggestion(str(name), of)}",
            )
    return {name: number(f'threshold["{name}"]', limit) for name, limit in value.items()}


def seeds(value: Any) -> tuple[int, ...]:
    items = _items("seeds", value, "[42, 123, 456]")
    if not items:
        raise _wrong("seeds", value, "give at least one seed, e.g. seeds=[42]")
    for index, seed in enumerate(items):
        if type(seed) is not int and (isinstance(seed, bool) or not isinstance(seed, Integral)):
            raise _wrong(f"seeds[{index}]", seed, "write an integer")
        if not 0 <= int(seed) <= LARGEST_SEED:
            raise _wrong(f"seeds[{index}]", seed, "write an integer from 0 to 2**63 - 1")
    checked = tuple(int(seed) for seed in items)
    _no_duplicates("seeds", checked)
    return checked


def variables(value: Any) -> dict[str, tuple[str, ...]]:
    """Values by the name of the placeholder; numbers are written as Python writes them."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise _wrong("variables", value, 'write a dictionary: variables={"color": ["red", "blue"]}')
    checked = {}
    for name, values in value.items():
        if not isinstance(name, str) or not name.isidentifier():
            raise _wrong("variables", value, f"{name!r} cannot be a placeholder's name")
        argument = f'variables["{name}"]'
        items = _items(argument, values, '["red", "blue"]')
        if not items:
            raise _wrong(argument, values, "give at least one value")
        for index, item in enumerate(items):
            if isinstance(item, bool) or not isinstance(item, (str, int, float)):
                raise _wrong(f"{argument}[{index}]", item, "write a string or a number")
        checked[name] = tuple(str(item) for item in items)
        _no_duplicates(argument, checked[name])
    return checked


def folder(argument: str, value: Any) -> str:
    """A folder's path as text, relative to the repository's root."""
    if not isinstance(value, (str, os.PathLike)):
        raise _wrong(argument, value, "write a folder's path")
    path = os.fspath(value)
    if not isinstance(path, str) or not path.strip():
        raise _wrong(argument, value, "write a folder's path")
    return path


def optional_text(argument: str, value: Any) -> str | None:
    if value is not None and not isinstance(value, str):
        raise _wrong(argument, value, "write a string, or leave it out")
    return value


def similarity(value: Any) -> float:
    """A threshold of SSIM, which lies between -1 and 1."""
    limit = number("ssim_threshold", value)
    if not -1 <= limit <= 1:
        raise _wrong("ssim_threshold", value, "SSIM lies between -1 and 1")
    return limit


def metric_name(value: Any) -> str:
    if not isinstance(value, str) or not _METRIC_NAME.fullmatch(value):
        mend = 'write letters, digits, `_`, `-` and `.`: @difftest.metric("sharpness")'
        raise _wrong("name", value, mend)
    return value


def one_of(argument: str, value: Any, allowed: Sequence[Word]) -> Word:
    for word in allowed:
        if value == word:
            return word
    raise _wrong(argument, value, suggestion(str(value), allowed))


def score_range(value: Any) -> tuple[float, float] | None:
    if value is None:
        return None
    items = _items("range", value, "(0.0, 1.0)")
    if len(items) != 2:
        raise _wrong("range", value, "write the smallest and the largest score: range=(0.0, 1.0)")
    low, high = (number(f"range[{index}]", item) for index, item in enumerate(items))
    if low >= high:
        raise _wrong("range", value, "the smallest score comes first: range=(0.0, 1.0)")
    return low, high


def _no_duplicates(argument: str, values: Sequence[Hashable]) -> None:
    seen = set()
    for value in values:
        if value in seen:
            raise _wrong(argument, list(values), f"{value!r} is there twice; leave one out")
        seen.add(value)
