"""From a file's bytes to a prompt suite. Pure.

Text: one prompt a line; blank lines and lines that begin with ``#`` say nothing. JSON and YAML: a list whose items are
prompts or objects with ``prompt`` and, if wanted, ``id``, ``tags`` and ``notes``; or an object with such a list under
``prompts``, and with ``description`` and ``model``, as the suites that come with difftest have them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from difftest.errors import ConfigurationError
from difftest.nearest import suggestion
from difftest.suites import PromptSuite, SuitePrompt

ENDINGS = (".json", ".yaml", ".yml", ".txt")
_KEYS = ("prompt", "id", "tags", "notes")
_TOP_KEYS = ("prompts", "description", "model")


@dataclass(frozen=True)
class Entry:
    """One item of a list of prompts, not checked yet, with its line, from 1."""

    line: int
    value: Any


@dataclass
class Content:
    """What a file says, not checked yet."""

    entries: list[Entry]
    #: The keys beside ``prompts``, each with its line.
    others: dict[str, Entry] = field(default_factory=dict)


class UnreadableError(Exception):
    """What a reader cannot make sense of, and in which line."""

    def __init__(self, line: int | None, message: str) -> None:
        super().__init__(message)
        self.line = line


def parse(data: bytes, *, shown: str, stem: str, ending: str) -> PromptSuite:
    """The suite in a file's bytes. ``shown`` is how errors name the file, ``stem`` names the suite.

    Raises ``ConfigurationError`` with file, line and mend.
    """
    try:
        return _suite(_reader(ending, shown)(_decoded(data)), stem)
    except UnreadableError as wrong:
        place = shown if wrong.line is None else f"{shown}:{wrong.line}"
        raise ConfigurationError(f"{place}: {wrong}") from wrong.__cause__
    except RecursionError:
        raise ConfigurationError(
            f"{shown}: it is nested too deeply; a prompt suite is a list of prompts"
        ) from None


def _reader(ending: str, shown: str) -> Callable[[str], Content]:
    if ending.lower() == ".txt":
        return _text
    if ending.lower() == ".json":
        from difftest.suites.json_lines import content

        return content
    from difftest.suites.yaml_lines import reader

    return reader(shown)


def _decoded(data: bytes) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise UnreadableError(None, "the file is UTF-16; save it as UTF-8")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as wrong:
        line = data.count(b"\n", 0, wrong.start) + 1
        raise UnreadableError(
            line, f"the byte 0x{data[wrong.start]:02x} is no UTF-8; save the file as UTF-8"
        ) from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise UnreadableError(line, "there is a NUL character; a prompt suite is a text file")
    return text


def _text(text: str) -> Content:
    # Not splitlines: a prompt may hold a form feed or U+2028, which end no line in an editor.
    lines = enumerate(re.split(r"\r\n|\r|\n", text), start=1)
    stripped = ((number, line.strip()) for number, line in lines)
    return Content([Entry(n, line) for n, line in stripped if line and not line.startswith("#")])


def _suite(content: Content, stem: str) -> PromptSuite:
    for key, entry in content.others.items():
        if key not in _TOP_KEYS:
            raise UnreadableError(entry.line, f"unknown key `{key}`; {suggestion(key, _TOP_KEYS)}")
        if entry.value is not None and not isinstance(entry.value, str):
            raise UnreadableError(entry.line, f"`{key}` is {_kind(entry.value)}; write a text")
    if not content.entries:
        raise UnreadableError(None, "there are no prompts in it; write at least one")
    prompts: list[SuitePrompt] = []
    lines: dict[str, int] = {}
    ids: dict[str, int] = {}
    for number, entry in enumerate(content.entries, start=1):
        prompt = _prompt(entry, f"{stem}/{number}")
        for what, value, seen in (("prompt", prompt.text, lines), ("id", prompt.id, ids)):
            first = seen.setdefault(value, entry.line)
            if len(seen) < number:
                raise UnreadableError(
                    entry.line,
                    f"the {what} {_short(value)} is in line {first} already; leave one out",
                )
        prompts.append(prompt)
    model, description = (
        content.others[key].value if key in content.others else None
        for key in ("model", "description")
    )
    return PromptSuite(stem, model, description or "", tuple(prompts))


def _prompt(entry: Entry, otherwise: str) -> SuitePrompt:
    line, value = entry.line, entry.value
    if isinstance(value, str):
        return SuitePrompt(otherwise, _usable(line, "the prompt", value), (), "")
    if not isinstance(value, dict):
        raise UnreadableError(
            line,
            f"a prompt is {_kind(value)}; write a text (in quotes), or an object with the key `prompt`",
        )
    for key in value:
        if key == "negative_prompt":
            raise UnreadableError(
                line,
                "a prompt has no `negative_prompt` of its own: it belongs to the whole test, "
                'as in @difftest.test(..., negative_prompt="...")',
            )
        if key not in _KEYS:
            raise UnreadableError(line, f"unknown key `{key}`; {suggestion(str(key), _KEYS)}")
    if "prompt" not in value:
        raise UnreadableError(line, "the key `prompt` is missing; it holds the text")
    tags = value.get("tags", [])
    if not isinstance(tags, list):
        raise UnreadableError(line, f'`tags` is {_kind(tags)}; write a list: ["portrait", "night"]')
    return SuitePrompt(
        _usable(line, "`id`", value.get("id", otherwise)),
        _usable(line, "`prompt`", value["prompt"]),
        tuple(_usable(line, "a tag", tag) for tag in tags),
        _usable(line, "`notes`", value["notes"]) if value.get("notes") else "",
    )


def _usable(line: int, what: str, value: Any) -> str:
    if not isinstance(value, str):
        raise UnreadableError(line, f"{what} is {_kind(value)}; write a text (in quotes)")
    if not value.strip():
        raise UnreadableError(line, f"{what} is empty; write a text, or leave it out")
    if not value.isascii() and value != value.encode("utf-8", "replace").decode("utf-8"):
        raise UnreadableError(line, f"{what} has half a character that is no text")
    return value


def _kind(value: Any) -> str:
    """Never the value of a list: YAML's references can make a short file's value endless."""
    if value is None:
        return "empty"
    if isinstance(value, (bool, int, float)):
        return f"{value!r}, {'a truth value' if isinstance(value, bool) else 'a number'}"
    kind = type(value).__name__
    return {"str": "a text", "dict": "an object", "list": "a list"}.get(kind, f"a {kind}")


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:57]}...")
