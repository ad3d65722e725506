"""The table ``[options]`` as a generator's own dataclass: unknown keys and wrong values are errors."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal, TypeVar

from difftest.errors import GeneratorError
from difftest.nearest import nearest, suggestion

#: Of a hosted back end; it may stand in the environment while another generator runs.
SECRETS = frozenset({"api_key"})

T = TypeVar("T")


def read(kind: type[T], given: Mapping[str, Any], *, generator: str) -> T:
    """The options as ``kind``, a dataclass with defaults of ``bool``, ``int``, ``float``, ``str``, ``Literal``,
    ``dict`` and ``None``.

    A text stands for the number or truth it spells: ``"${THREADS}"`` is one. Raises ``GeneratorError``.
    """
    hints = typing.get_type_hints(kind)
    known = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
    values = {}
    for key, value in given.items():
        if key in hints:
            values[key] = _value(
                value, hints[key], f"the option `{key}` of the generator `{generator}`"
            )
        elif key not in SECRETS:
            raise GeneratorError(
                f"the generator `{generator}` has no option `{key}`; {suggestion(key, known)}"
            )
    return kind(**values)


def described(kind: type[Any]) -> dict[str, dict[str, Any]]:
    """Every option of such a dataclass by its name: its default, and the words it takes (none where it takes others
    than words). Options with a table for a value are left out.
    """
    hints = typing.get_type_hints(kind)
    return {
        field.name: {"default": field.default, "values": _words(hints[field.name])}
        for field in dataclasses.fields(kind)
        if field.default is not dataclasses.MISSING
    }


def _words(hint: Any) -> list[str]:
    if typing.get_origin(hint) is Literal:
        return [word for word in typing.get_args(hint) if isinstance(word, str)]
    return [word for part in typing.get_args(hint) for word in _words(part)]


def _value(value: Any, hint: Any, what: str) -> Any:
    allowed = (
        typing.get_args(hint)
        if typing.get_origin(hint) in (typing.Union, types.UnionType)
        else (hint,)
    )
    for kind in allowed:
        if typing.get_origin(kind) is Literal:
            words = typing.get_args(kind)
            if value in words:
                return value
            if isinstance(value, str):
                near = nearest(value, words)
                mend = f"did you mean `{near}`?" if near else f"there is: {', '.join(words)}"
                raise GeneratorError(f"{what} is `{value}`; {mend}")
            continue
        taken = _as(value, typing.get_origin(kind) or kind)
        if taken is not None:
            return taken
    wanted = " or ".join(
        _NAMES.get(typing.get_origin(k) or k, "a text") for k in allowed if k is not type(None)
    )
    raise GeneratorError(f"{what} is {value!r}; {wanted} was expected")


def _as(value: Any, kind: type) -> Any:
    """The value as ``kind``; ``None`` where it is none."""
    if isinstance(value, kind) and isinstance(value, bool) == (kind is bool):
        return value
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, str):
        return None
    if kind is bool:
        return {"true": True, "false": False}.get(value.lower())
    if kind in (int, float):
        try:
            return kind(value)
        except ValueError:
            return None
    return None


_NAMES: Mapping[Any, str] = {
    bool: "true or false",
    int: "an integer",
    float: "a number",
    str: "a text",
    dict: "a table",
}
