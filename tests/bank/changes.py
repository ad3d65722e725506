"""A change of the bank: what a pull request does to the base repository, and the truth about it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

BASE = Path(__file__).parent / "base"
TEST_FILE = "tests/test_captions.py"
_SEEDS = "SEEDS = [11]"
#: Seeds of one repetition and of the next one lie so far apart.
_SHIFT = 101


class Kind(Enum):
    HARMLESS = "harmless"
    HARMFUL = "harmful"


class Grade(Enum):
    """How much a change does to the images."""

    #: Harmless: not a byte of an image moves.
    IDENTICAL = "identical"
    #: Harmless: sums are made in another order, or rounded; few bytes move, by one or two.
    ROUNDING = "rounding"
    #: Harmless: other images, as good as the base's.
    EQUAL = "equal"
    #: Harmful: nothing to be seen by a metric of the suite, or next to nothing.
    FAINT = "faint"
    #: Harmful: a few images, or all of them a little.
    SLIGHT = "slight"
    #: Harmful: anyone who looks at ten images sees it.
    CLEAR = "clear"
    #: Harmful: hardly any image is right.
    GROSS = "gross"

    @property
    def kind(self) -> Kind:
        harmless = (Grade.IDENTICAL, Grade.ROUNDING, Grade.EQUAL)
        return Kind.HARMLESS if self in harmless else Kind.HARMFUL


@dataclass(frozen=True)
class Edit:
    """One text of a file replaced. It stands there exactly once, so that an edit cannot miss."""

    file: str
    old: str
    new: str

    def apply(self, repository: Path) -> None:
        path = repository / self.file
        text = path.read_text(encoding="utf-8")
        if text.count(self.old) != 1:
            raise ValueError(f"{self.file} has {self.old!r} {text.count(self.old)} times, not once")
        path.write_text(text.replace(self.old, self.new), encoding="utf-8")


@dataclass(frozen=True)
class Change:
    """Renames come first, then new files, edits of texts, and last what only code can do."""

    name: str
    grade: Grade
    #: What it does to the images, as one sentence.
    truth: str
    edits: tuple[Edit, ...] = ()
    #: Whole files by their path, added or replaced.
    files: Mapping[str, str] = field(default_factory=dict)
    #: Old path to new one.
    renames: Mapping[str, str] = field(default_factory=dict)
    #: Writes what is no text: weights, a tokenizer.
    build: Callable[[Path], None] | None = None

    @property
    def kind(self) -> Kind:
        return self.grade.kind


def materialise(change: Change | None, folder: Path, repetition: int = 0) -> Path:
    """Write the head repository of ``change`` into the new ``folder``, or the base's without one.

    The seeds of the tests are shifted by the repetition, on both sides alike.
    """
    shutil.copytree(BASE, folder, ignore=shutil.ignore_patterns("__pycache__", ".difftest"))
    if change is not None:
        for old, new in change.renames.items():
            (folder / old).rename(folder / new)
        for name, text in change.files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")
        for edit in change.edits:
            edit.apply(folder)
        if change.build is not None:
            change.build(folder)
    if repetition:
        Edit(TEST_FILE, _SEEDS, f"SEEDS = [{11 + repetition * _SHIFT}]").apply(folder)
    return folder
