"""Prompt suites: those that come with difftest, each a JSON file of this folder, and those of a repository."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass
from pathlib import Path

from difftest.errors import ConfigurationError
from difftest.nearest import suggestion

_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class SuitePrompt:
    """One prompt, with what is known of it."""

    #: ``{suite}/{name}``; stays the same when the text is corrected.
    id: str
    text: str
    tags: tuple[str, ...]
    #: What the prompt is there to find out, and what a reviewer should look for.
    notes: str


@dataclass(frozen=True)
class PromptSuite:
    """A named list of prompts."""

    name: str
    #: The model whose vocabulary the prompts keep to, if they need one.
    model: str | None
    description: str
    prompts: tuple[SuitePrompt, ...]

    @property
    def texts(self) -> tuple[str, ...]:
        return tuple(prompt.text for prompt in self.prompts)

    def tagged(self, tag: str) -> tuple[SuitePrompt, ...]:
        """The prompts with this tag; an unknown tag is an error, not an empty list."""
        known = {tag for prompt in self.prompts for tag in prompt.tags}
        if tag not in known:
            raise ConfigurationError(
                f"the prompt suite `{self.name}` has no tag `{tag}`; {suggestion(tag, known)}"
            )
        return tuple(prompt for prompt in self.prompts if tag in prompt.tags)


def list_suites() -> list[str]:
    """The names of the prompt suites that come with difftest."""
    return list(_names())


def get_suite(name: str | os.PathLike[str]) -> PromptSuite:
    """The prompt suite of this name, or of this file: JSON, YAML or text.

    A path is relative to the file of the code that asks for it, else to the repository's root (the current folder,
    where difftest does not run). Raises ``ConfigurationError``, with the nearest name, or with the file and the line of
    what cannot be used; ``MissingDependencyError`` where a YAML file needs the package ``pyyaml``.
    """
    if isinstance(name, str):
        if name in _names():
            return _builtin(name)
        if not _is_path(name):
            raise ConfigurationError(
                f"there is no prompt suite `{name}`; {suggestion(name, _names())}; "
                'a file is named with its ending: "prompts.yaml", ".json" or ".txt"'
            )
    elif not isinstance(name, os.PathLike):
        raise ConfigurationError(
            f"suite is {name!r}; write the name of a prompt suite, or the path of its file"
        )
    from difftest.suites import files

    return files.read(os.fspath(name))


def _is_path(name: str) -> bool:
    """Names of suites have neither folders nor an ending."""
    return "/" in name or os.sep in name or bool(Path(name).suffix)


@functools.cache
def _names() -> tuple[str, ...]:
    return tuple(sorted(file.stem for file in _FOLDER.glob("*.json")))


@functools.cache
def _builtin(name: str) -> PromptSuite:
    import json

    content = json.loads((_FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return PromptSuite(
        name=name,
        model=content["model"],
        description=content["description"],
        prompts=tuple(
            SuitePrompt(entry["id"], entry["prompt"], tuple(entry["tags"]), entry["notes"])
            for entry in content["prompts"]
        ),
    )
