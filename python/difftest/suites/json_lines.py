"""JSON with the line of every item of its list, which ``json`` alone does not tell."""

from __future__ import annotations

import json
import re
from json import JSONDecodeError
from typing import Any

from difftest.suites.formats import Content, Entry, UnreadableError

_SPACE = re.compile(r"[ \t\r\n]*")


def content(text: str) -> Content:
    """A list of prompts, or an object that has one under ``prompts``. Raises ``UnreadableError``."""
    reader = _Reader(text)
    try:
        return reader.content()
    except JSONDecodeError as wrong:
        raise UnreadableError(
            wrong.lineno, f"this is not JSON: {wrong.msg} (column {wrong.colno})"
        ) from None
    except ValueError as wrong:  # a number of more digits than Python converts
        raise UnreadableError(reader.line(), f"this cannot be used: {wrong}") from None


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.decoder = json.JSONDecoder(object_pairs_hook=self._object)

    def line(self) -> int:
        return self.text.count("\n", 0, self.at) + 1

    def content(self) -> Content:
        start = self._next()
        if start == "[":
            found = Content(self._entries())
        elif start == "{":
            found = self._top()
        elif start == "":
            return Content([])
        else:
            raise UnreadableError(
                self.line(), "write a list of prompts, or an object with a list under `prompts`"
            )
        if self._next():
            raise JSONDecodeError("Extra data", self.text, self.at)
        return found

    def _top(self) -> Content:
        found = Content([])
        self.at += 1
        seen = set()
        while self._next() != "}":
            line, key = self.line(), self._value()
            if not isinstance(key, str):
                raise JSONDecodeError("Expecting property name", self.text, self.at)
            if key in seen:
                raise UnreadableError(line, f"the key `{key}` is there twice")
            seen.add(key)
            self._take(":")
            if key == "prompts":
                if self._next() != "[":
                    raise UnreadableError(self.line(), '`prompts` is no list; write ["...", "..."]')
                found.entries = self._entries()
            else:
                self._next()
                found.others[key] = Entry(self.line(), self._value())
            self._comma("}")
        self.at += 1
        if "prompts" not in seen:
            raise UnreadableError(1, "the key `prompts` is missing; it holds the list of prompts")
        return found

    def _entries(self) -> list[Entry]:
        entries = []
        # Lines are counted from item to item: from the start each time would be quadratic.
        line, counted = self.line(), self.at
        self.at += 1
        while self._next() != "]":
            line, counted = line + self.text.count("\n", counted, self.at), self.at
            entries.append(Entry(line, self._value()))
            self._comma("]")
        self.at += 1
        return entries

    def _value(self) -> Any:
        value, self.at = self.decoder.raw_decode(self.text, self.at)
        return value

    def _next(self) -> str:
        """The next character that is no space; none at the end."""
        found = _SPACE.match(self.text, self.at)
        self.at = found.end() if found else self.at
        return self.text[self.at : self.at + 1]

    def _take(self, character: str) -> None:
        if self._next() != character:
            raise JSONDecodeError(f"Expecting '{character}' delimiter", self.text, self.at)
        self.at += 1

    def _comma(self, end: str) -> None:
        """A comma, and something after it; or the end."""
        if self._next() == end:
            return
        self._take(",")
        if self._next() == end:
            raise JSONDecodeError("Illegal trailing comma", self.text, self.at)

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            keys = [key for key, _ in pairs]
            twice = next(key for key in keys if keys.count(key) > 1)
            raise UnreadableError(self.line(), f"the key `{twice}` is there twice")
        return found
