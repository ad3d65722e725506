"""The main job: from a signed webhook to a check run and one comment, on SQLite and PostgreSQL."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.house.changes import ONE_STEP, REFACTOR, SYNTAX_ERROR, SYNTAX_ERROR_AT
from tests.house.databases import database
from tests.house.house import REPOSITORY, House, wait_for

REPO = "acme/imagegen"


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def house(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[House]:
    with (
        database(request.param) as url,
        House(tmp_path_factory.mktemp("house"), database_url=url) as house,
    ):
        house.base = house.github.create_repository(REPO, REPOSITORY)
        yield house


def open_pull(house: House, branch: str, files: dict[str, str]) -> tuple[int, str]:
    head = house.github.push(REPO, branch, files, parent=house.base)
    return house.github.open_pull(REPO, branch, branch), head


def test_a_harmless_refactor_passes(house: House) -> None:
    number, head = open_pull(house, "refactor", REFACTOR)
    check = house.concluded(REPO, head)
    assert check["conclusion"] == "success", check["output"]
    assert check["output"]["title"] == "Passed: 3 of 3 tests"
    comment = house.comment_of(REPO, number, "✅ pass")["body"]
    assert "byte-identical" in comment
    assert len(house.github.check_runs(REPO, head)) == 1


def test_one_step_of_sampling_is_a_regression_with_its_images(house: House) -> None:
    number, head = open_pull(house, "one-step", ONE_STEP)
    check = house.concluded(REPO, head)
    assert check["conclusion"] == "failure"
    assert check["output"]["title"].startswith("Regressed: "), check["output"]["title"]
    notes = check["output"]["annotations"]
    decorators = [
        number
        for number, line in enumerate(
            (REPOSITORY / "tests/test_shapes.py").read_text().splitlines(), start=1
        )
        if line.startswith("@difftest.")
    ]
    assert {note["start_line"] for note in notes} <= set(decorators)
    assert all(note["path"] == "tests/test_shapes.py" for note in notes)

    body = house.comment_of(REPO, number, "regressed")["body"]
    urls = [url.replace("&amp;", "&") for url in re.findall(r'src="([^"]+)"', body)]
    assert len(urls) >= 4
    assert house.fetch(urls[0]).startswith(b"\x89PNG")
    forged = re.sub(r"sig=..", "sig=00", urls[0])
    with pytest.raises(Exception, match="403"):
        house.fetch(forged)


def test_a_syntax_error_names_its_file_and_line(house: House) -> None:
    number, head = open_pull(house, "syntax", SYNTAX_ERROR)
    check = house.concluded(REPO, head)
    assert check["conclusion"] == "failure"
    assert SYNTAX_ERROR_AT in check["output"]["title"]
    file, line = SYNTAX_ERROR_AT.split(":")
    notes = check["output"]["annotations"]
    assert [(n["path"], n["start_line"]) for n in notes] == [(file, int(line))]
    assert line in house.comment_of(REPO, number, "cannot run")["body"]


def test_a_broken_configuration_fails_on_its_line(house: House) -> None:
    _, head = open_pull(
        house, "config", {"difftest.toml": "model = 'shapes'\n[suites.shapes]\nlables = []\n"}
    )
    check = house.concluded(REPO, head)
    assert check["conclusion"] == "failure"
    note = check["output"]["annotations"][0]
    assert (note["path"], note["start_line"]) == ("difftest.toml", 3)
    assert "did you mean `labels`?" in note["message"]


def test_a_comment_or_a_rerequest_runs_again_and_edits_the_one_comment(house: House) -> None:
    number, head = open_pull(house, "again", REFACTOR)
    first = house.concluded(REPO, head)
    comment = house.comment_of(REPO, number, "✅ pass")

    def again(after: int) -> int:
        def look() -> int | None:
            runs = house.github.check_runs(REPO, head)
            newest = max(runs, key=lambda run: run["id"])
            done = newest["id"] > after and newest["status"] == "completed"
            return int(newest["id"]) if done else None

        return wait_for("a fresh check run", look)

    house.github.rerequest(REPO, first["id"])
    second = again(first["id"])
    house.github.comment(REPO, number, "Once more:\n\n/difftest run")
    third = again(second)
    assert len(house.github.check_runs(REPO, head)) == 3
    assert third > second
    assert house.comment_of(REPO, number, "✅ pass")["id"] == comment["id"]

    house.github.comment(REPO, number, "> /difftest run\n\nas I said", author="contributor")
    house.github.call("POST", "/webhooks", {"mode": "deliver"})
    assert len(house.github.check_runs(REPO, head)) == 3


def test_a_push_cancels_what_it_supersedes(house: House) -> None:
    number, old = open_pull(house, "superseded", ONE_STEP)
    house.running(REPO, old)
    new = house.github.push(REPO, "superseded", REFACTOR)
    assert house.concluded(REPO, new)["conclusion"] == "success"
    assert house.concluded(REPO, old)["conclusion"] == "cancelled"
    assert new[:7] in house.comment_of(REPO, number, new[:7])["body"]


def test_github_would_have_taken_every_request(house: House) -> None:
    assert house.github.violations() == []
