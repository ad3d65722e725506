"""Prompt suites that come with difftest, each a JSON file of this folder."""

from __future__ import annotations

import functools
import json
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
    #: What the prompt is there to find out.
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
    """The names of the prompt suites there are."""
    return sorted(file.stem for file in _FOLDER.glob("*.json"))


@functools.cache
def get_suite(name: str) -> PromptSuite:
    """The prompt suite of this name. Raises ``ConfigurationError``, with the nearest name."""
    known = list_suites()
    if name not in known:
        raise ConfigurationError(
            f"there is no prompt suite `{name}`; {suggestion(str(name), known)}"
        )
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
