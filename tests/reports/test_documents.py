"""The reports that machines read, against their schemas."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from lxml import etree

from tests.reports.conftest import HOSTILE, Reported, repository, run

ROOT = Path(__file__).parents[2]
SCHEMA = json.loads((ROOT / "docs/results.schema.json").read_text(encoding="utf-8"))
#: A document with every field that there is, see core/tests/reports.
GOLDEN = ROOT / "core/tests/reports/snapshots"


def golden(name: str) -> str:
    text = (GOLDEN / f"reports__golden__{name}.snap").read_text(encoding="utf-8")
    return text.split("---\n", 2)[2]


def closed(schema: Any) -> Any:
    """The schema with no field allowed but those it names: what is added must be written down."""
    schema = copy.deepcopy(schema)
    waiting = [schema]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            if "properties" in node:
                node.setdefault("additionalProperties", False)
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)
    return schema


def test_the_results_are_what_the_schema_says_and_nothing_else(reported: Reported) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    strict = jsonschema.Draft202012Validator(closed(SCHEMA))
    for document in (reported.results, json.loads(golden("the_json_document"))):
        assert [error.message for error in strict.iter_errors(document)] == []


def test_the_names_that_people_already_read_are_there(reported: Reported) -> None:
    results = reported.results
    assert {"results", "total_passed", "total_failed", "duration_ms"} <= set(results)
    test = next(t for t in results["results"] if t["name"] == "the_same_as_before")
    assert {"name", "passed", "metrics", "images", "duration_ms"} <= set(test)
    assert {
        *("per_sample", "mean", "min", "max", "threshold", "passed"),
        *("ci_lower", "ci_upper", "std_dev", "sample_count"),
    } <= set(test["metrics"]["ssim"])
    assert {"path", "prompt", "seed"} <= set(test["images"][0])
    # Each image must hold the threshold, so a good mean alone is no pass.
    assert test["metrics"]["ssim"]["passed"] is False


@pytest.mark.parametrize(
    "spoil",
    [
        lambda d: d.pop("total_passed"),
        lambda d: d["results"][0].update(outcome="fine"),
        lambda d: d["results"][0]["metrics"]["clip_score"].update(mean="0.3"),
        lambda d: d["results"][0]["images"][0].pop("seed"),
    ],
)
def test_the_schema_refuses_what_is_no_result(spoil: Any) -> None:
    document = json.loads(golden("the_json_document"))
    spoil(document)
    assert not jsonschema.Draft202012Validator(SCHEMA).is_valid(document)


@pytest.fixture(scope="module")
def junit_schema() -> etree.XMLSchema:
    return etree.XMLSchema(etree.parse(str(Path(__file__).parent / "junit.xsd")))


def test_the_junit_report_is_valid(junit_schema: etree.XMLSchema, reported: Reported) -> None:
    for document in (reported.junit.read_bytes(), golden("the_junit_document").encode()):
        tree = etree.fromstring(document)
        junit_schema.assertValid(tree)
    suites = etree.fromstring(reported.junit.read_bytes())
    assert (suites.get("tests"), suites.get("failures"), suites.get("errors")) == ("3", "1", "1")
    cases = {case.get("name"): case for case in suites.iter("testcase")}
    assert cases["the_same_as_before"].find("failure") is not None
    assert cases["breaks"].find("error") is not None
    assert "RuntimeError: no picture: <script>" in (cases["breaks"].findtext("error") or "")
    assert [child.tag for child in cases["bright_enough"]] == ["system-out"]


def test_junit_names_files_that_are_there_and_no_others(reported: Reported) -> None:
    suites = etree.fromstring(reported.junit.read_bytes())
    out = "".join(element.text or "" for element in suites.iter("system-out"))
    files = [
        line.removeprefix("[[ATTACHMENT|").removesuffix("]]")
        for line in out.splitlines()
        if line.startswith("[[ATTACHMENT|")
    ]
    # Six pairs, four bright ones, and the one of the broken test that was made.
    assert len(files) == 11
    for file in files:
        assert (reported.folder / file).read_bytes().startswith(b"\x89PNG"), file
    assert HOSTILE in out
    assert "a \\u{1b}[31mred" in out


def test_the_schema_refuses_what_jenkins_refuses(junit_schema: etree.XMLSchema) -> None:
    whole = golden("the_junit_document")
    for right, wrong in (
        ('<testsuite name="tests/test_odd.py" tests="2"', '<testsuite name="tests/test_odd.py"'),
        ("<failure message", "<failed message"),
        ("</error>\n", "</error><properties/>"),
        ('time="0.812"', 'time="0,812 s"'),
    ):
        spoiled = whole.replace(right, wrong).replace("</failure>", "</failure>")
        if "<failed" in spoiled:
            spoiled = spoiled.replace("</failure>", "</failed>")
        assert spoiled != whole
        assert not junit_schema.validate(etree.fromstring(spoiled.encode())), wrong


def test_markdown_and_terminal_say_the_same(reported: Reported) -> None:
    assert reported.code == 1
    assert reported.out.lstrip().startswith("FAILED: 1 of 3 tests passed, 11 images")
    assert "→ look at the images; if the change is meant:" in reported.out
    assert "\x1b" not in reported.out
    assert "over the last run" in reported.out or "in the last run" in reported.out
    assert "1 of 3 tests passed" in reported.markdown
    assert "<script" not in reported.markdown
    assert len(reported.markdown) <= 65_536


def test_a_run_against_another_run_has_its_verdict(tmp_path: Path) -> None:
    root = repository(tmp_path)
    run(root, "--run-dir=base", "--reference=none")
    changed = (root / "pipeline.py").read_text().replace("(200, SHADE, 60)", "(20, SHADE, 60)")
    (root / "pipeline.py").write_text(changed)
    page = run(root, "--reference=base").html.read_text(encoding="utf-8")
    assert "against base: " in page
    assert '<th scope="col">change</th>' in page
