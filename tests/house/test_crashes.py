"""kill -9 wherever it hurts: the pull request ends as if nothing had happened."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.house.changes import ONE_STEP, REFACTOR
from tests.house.databases import database
from tests.house.house import REPOSITORY, House, wait_for

REPO = "acme/imagegen"


@pytest.fixture(params=["sqlite", "postgres"])
def house(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[House]:
    with database(request.param) as url, House(tmp_path, database_url=url) as house:
        house.base = house.github.create_repository(REPO, REPOSITORY)
        yield house


def ended_once(house: House, number: int, head: str, conclusion: str, said: str) -> None:
    """One check run, one comment, both with the verdict; and nothing GitHub would not take."""
    check = house.concluded(REPO, head)
    assert check["conclusion"] == conclusion, check["output"]
    house.comment_of(REPO, number, said)
    assert len(house.github.check_runs(REPO, head)) == 1
    assert len(house.github.comments(REPO, number)) == 1
    assert house.github.violations() == []


@pytest.mark.parametrize(
    "fault",
    ["abort-before-judge", "abort-before-comment", "abort-after-comment-before-commit"],
)
def test_the_app_dies_between_result_and_comment(house: House, fault: str) -> None:
    house.app.stop()
    app = house.start_app({"DIFFTEST_FAULT": fault})
    head = house.github.push(REPO, "one-step", ONE_STEP, parent=house.base)
    number = house.github.open_pull(REPO, "one-step", "one step")
    wait_for(f"the App to die of {fault}", lambda: not app.alive)
    assert app.child.returncode != 0
    house.start_app()
    ended_once(house, number, head, "failure", "regressed")


def test_the_runner_dies_in_the_middle_of_a_job(house: House) -> None:
    head = house.github.push(REPO, "refactor", REFACTOR, parent=house.base)
    number = house.github.open_pull(REPO, "refactor", "refactor")
    house.running(REPO, head)
    house.runner.kill()
    house.start_runner()
    ended_once(house, number, head, "success", "✅ pass")


def test_the_app_is_killed_while_a_job_runs(house: House) -> None:
    head = house.github.push(REPO, "refactor", REFACTOR, parent=house.base)
    number = house.github.open_pull(REPO, "refactor", "refactor")
    house.running(REPO, head)
    house.app.kill()
    house.start_app()
    ended_once(house, number, head, "success", "✅ pass")
