"""`make demo`: three pull requests, their check runs, and one comment as a person reads it.

Everything runs on this machine: a stand-in for GitHub, the App on SQLite and one runner. Ends by
itself, stops what it started, and exits 1 if any verdict is not the expected one.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.house.changes import ONE_STEP, REFACTOR, SYNTAX_ERROR, SYNTAX_ERROR_AT
from tests.house.house import REPOSITORY, House, HouseError
from tests.house.page import save_page
from tests.house.reading import as_text

REPO = "acme/imagegen"


@dataclass(frozen=True)
class Case:
    """A pull request and what difftest has to say to it."""

    branch: str
    title: str
    files: dict[str, str]
    conclusion: str
    said: str


CASES = (
    Case("tidy-sampler", "Tidy the sampler's settings", REFACTOR, "success", "Passed"),
    Case("faster-sampler", "Ten times faster sampling", ONE_STEP, "failure", "Regressed"),
    Case("more-tests", "More tests", SYNTAX_ERROR, "failure", SYNTAX_ERROR_AT),
)


def run(folder: Path) -> bool:
    """Whether every verdict was the expected one."""
    started = time.monotonic()
    with House(folder / "house") as house:
        print(f"up: GitHub's stand-in {house.github.url}, App {house.app_url}, one runner")
        base = house.github.create_repository(REPO, REPOSITORY)
        opened = []
        for case in CASES:
            head = house.github.push(REPO, case.branch, case.files, parent=base)
            number = house.github.open_pull(REPO, case.branch, case.title)
            print(f"opened #{number} {case.title} ({head[:7]} on {base[:7]})")
            opened.append((case, number, head))
        as_expected = True
        comments: list[dict[str, Any]] = []
        print()
        for case, number, head in opened:
            check = house.concluded(REPO, head)
            comments.append(house.comment_of(REPO, number, head[:7]))
            right = check["conclusion"] == case.conclusion and case.said in check["output"]["title"]
            as_expected &= right
            print(f"#{number} {case.title}")
            print(f"   {check['name']}: {check['conclusion']} — {check['output']['title']}")
            for note in check["output"]["annotations"]:
                print(f"   {note['path']}:{note['start_line']}: {note['message'].splitlines()[0]}")
            if not right:
                print(f"   EXPECTED {case.conclusion} with {case.said!r}")
        page = save_page(comments[1]["body"], folder, house.fetch)
        print(f"\nThe comment on #{opened[1][1]}, as a person reads it:\n")
        print(indented(as_text(comments[1]["body"])))
        print(f"\nThe same with its images: {os.path.relpath(page)}")
        violations = house.github.violations()
        if violations:
            as_expected = False
            print(f"GitHub would not have taken {len(violations)} requests: {violations[:3]}")
    print(f"stopped everything; {time.monotonic() - started:.0f} s")
    return as_expected


def indented(text: str) -> str:
    return "\n".join(f"  │ {line}".rstrip() for line in text.splitlines())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for the page and the logs")
    folder = parser.parse_args().out
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        return 0 if run(folder) else 1
    except HouseError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
