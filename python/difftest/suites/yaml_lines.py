"""YAML with the line of every item of its list. The safe loader only: no tag makes an object."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from difftest.errors import MissingDependencyError
from difftest.suites.formats import Content, Entry, UnreadableError


def reader(shown: str) -> Callable[[str], Content]:
    """Raises ``MissingDependencyError`` where the package is not installed."""
    try:
        import yaml  # noqa: F401
    except ImportError:
        raise MissingDependencyError("pyyaml", f"the prompt suite {shown}", extra="yaml") from None
    return _content


def _content(text: str) -> Content:
    import yaml

    try:
        # The one in C overflows its stack on deep nesting, where this one raises RecursionError.
        loader = yaml.SafeLoader(text)
        return _read(loader, yaml)
    except yaml.MarkedYAMLError as wrong:
        mark = wrong.problem_mark or wrong.context_mark
        line = mark.line + 1 if mark else None
        raise UnreadableError(line, f"this is not YAML: {wrong.problem or wrong.context}") from None
    except yaml.reader.ReaderError as wrong:
        line = text.count("\n", 0, wrong.position) + 1
        raise UnreadableError(
            line, f"the character U+{ord(text[wrong.position]):04X} cannot stand in YAML"
        ) from None


def _read(loader: Any, yaml: Any) -> Content:
    root = loader.get_single_node()
    if root is None:
        return Content([])
    if isinstance(root, yaml.SequenceNode):
        return Content(_entries(root, loader, yaml))
    if not isinstance(root, yaml.MappingNode):
        raise UnreadableError(
            _line(root), "write a list of prompts, or an object with a list under `prompts`"
        )
    _no_key_twice(root)
    content, found = Content([]), False
    for key, value in root.value:
        if key.value == "prompts":
            found = True
            if not isinstance(value, yaml.SequenceNode):
                raise UnreadableError(
                    _line(value), "`prompts` is no list; write one `- prompt` a line"
                )
            content.entries = _entries(value, loader, yaml)
        else:
            content.others[str(key.value)] = Entry(_line(key), _value(value, loader))
    if not found:
        raise UnreadableError(
            _line(root), "the key `prompts` is missing; it holds the list of prompts"
        )
    return content


def _entries(sequence: Any, loader: Any, yaml: Any) -> list[Entry]:
    entries = []
    for node in sequence.value:
        if isinstance(node, yaml.MappingNode):
            _no_key_twice(node)
        entries.append(Entry(_line(node), _value(node, loader)))
    return entries


def _value(node: Any, loader: Any) -> Any:
    try:
        return loader.construct_object(node, deep=True)
    except ValueError as wrong:  # a date that no calendar has
        raise UnreadableError(_line(node), f"this cannot be used: {wrong}") from None


def _no_key_twice(mapping: Any) -> None:
    """YAML forbids it, and the loader keeps the last one in silence."""
    seen = set()
    for key, _ in mapping.value:
        if isinstance(key.value, str):
            if key.value in seen:
                raise UnreadableError(_line(key), f"the key `{key.value}` is there twice")
            seen.add(key.value)


def _line(node: Any) -> int:
    line: int = node.start_mark.line + 1
    return line
