"""`difftest calibrate`: margins from the base against itself, on the embedded model by real runs."""

from __future__ import annotations

import json
from typing import Any

import pytest

SUITE = """
import difftest


@difftest.test(prompts=["a {size} {color} {shape} , center , on a white background"],
               variables={"size": ["small", "large"], "color": ["red", "blue", "green"],
                          "shape": ["circle", "square"]},
               metrics=["sharpness", "clip_score"], seeds=[1, 2])
def test_shapes():
    pass


@difftest.visual_regression(prompts=["a small blue cross , top left , on a black background"], seeds=[1])
def test_the_cross():
    pass
"""

CONFIGURATION = """
# The small model.
model = "shapes"   # comes with difftest

[verdict]
alpha = 0.05   # as agreed
margins = { clip_score = 0.02 }   # a guess
"""


@pytest.fixture
def shapes(repository: Any) -> Any:
    repository.write("difftest.toml", CONFIGURATION)
    repository.write("tests/test_a.py", SUITE)
    return repository


@pytest.fixture
def fake(repository: Any) -> Any:
    """Scores and images that need no model."""
    repository.write("difftest.toml", CONFIGURATION)
    repository.write_test(
        "tests/test_a.py",
        """
        @difftest.test(prompts=["a {n}"], variables={"n": [str(n) for n in range(12)]},
                       metrics=["brightness"], seeds=[1])
        def test_many():
            pass
        """,
    )
    return repository


def calibrate(repository: Any, *arguments: str) -> tuple[Any, dict[str, Any]]:
    output = repository.root / "calibration.json"
    finished = repository.difftest("calibrate", "--output", str(output), *arguments)
    assert output.exists(), finished.err
    return finished, json.loads(output.read_text())


def test_margins_are_measured_and_written_with_their_null(shapes: Any) -> None:
    finished, said = calibrate(shapes)
    assert finished.code == 0, finished.err
    metrics = {metric["name"]: metric for metric in said["calibration"]["metrics"]}
    suggested = metrics["sharpness"]["suggested"]
    assert suggested["units"] == 12
    (null,) = metrics["sharpness"]["seeds"]
    assert (null["units"], null["images"]) == (12, 24)
    exact = said["calibration"]["kappa"] * null["sd"] / 12**0.5
    assert exact <= suggested["margin"] <= exact * 1.11
    assert suggested["drop"] >= max(4 * null["sd"], 1.25 * null["worst_loss"], suggested["margin"])
    assert "batch size 1" in metrics["sharpness"]["numerical"]
    assert "ssim" in metrics
    assert "ssim: not calibrated: it compares an image with its reference" in finished.out
    text = (shapes.root / "difftest.toml").read_text()
    assert "# The small model.\n" in text
    assert 'model = "shapes"   # comes with difftest\n' in text
    assert "alpha = 0.05   # as agreed\n" in text
    assert "# a guess" in text
    assert "clip_score = 0.02\n" in text
    assert f"sharpness = {suggested['margin']}  # null: sd " in text
    assert " over 12 prompts, other seeds, " in text
    assert said["kept"][0]["key"] == "margins.clip_score"
    assert "verdict.margins.clip_score stays 0.02" in finished.out
    # The engine reads what was written.
    dry = shapes.difftest("run", "--dry-run")
    assert dry.code == 0, dry.err


def test_a_dry_run_shows_the_change_and_writes_nothing(fake: Any) -> None:
    before = (fake.root / "difftest.toml").read_text()
    finished, said = calibrate(fake, "--generator", "fake:make", "--dry-run")
    assert finished.code == 0, finished.err
    assert (fake.root / "difftest.toml").read_text() == before
    assert said["written"] == ["margins.brightness", "tail.drops.brightness"]
    assert "+ [verdict.margins]" in finished.out
    assert "+ brightness = " in finished.out
    assert said["kept"] == []


def test_a_margin_is_replaced_only_where_that_is_asked_for(fake: Any) -> None:
    fake.write("difftest.toml", 'generator = "fake:make"\n[verdict.margins]\nbrightness = 9.0\n')
    finished, said = calibrate(fake)
    assert finished.code == 0, finished.err
    (kept,) = said["kept"]
    assert (kept["key"], kept["yours"]) == ("margins.brightness", "9")
    assert "brightness = 9.0\n" in (fake.root / "difftest.toml").read_text()
    finished, said = calibrate(fake, "--overwrite")
    assert finished.code == 0, finished.err
    assert said["kept"] == []
    assert "9.0" not in (fake.root / "difftest.toml").read_text()


def test_without_a_file_one_is_made_and_pyproject_is_edited_where_it_is_used(fake: Any) -> None:
    toml = fake.root / "difftest.toml"
    toml.unlink()
    finished, said = calibrate(fake, "--generator", "fake:make")
    assert finished.code == 0, finished.err
    assert toml.read_text().lstrip().startswith("[verdict.margins]\n")
    toml.unlink()
    project = '[project]\nname = "x"  # ours\n\n[tool.difftest]\ngenerator = "fake:make"\n'
    fake.write("pyproject.toml", project)
    finished, said = calibrate(fake)
    assert finished.code == 0, finished.err
    assert not toml.exists()
    text = (fake.root / "pyproject.toml").read_text()
    assert text.startswith(project.rstrip("\n"))
    assert "[tool.difftest.verdict.margins]\n" in text
    assert said["file"].endswith("pyproject.toml")


def test_too_few_prompts_are_refused(fake: Any) -> None:
    before = (fake.root / "difftest.toml").read_text()
    finished, said = calibrate(fake, "--generator", "fake:make", "--max-images", "9")
    assert finished.code == 2
    assert "9 units are too few to measure a spread" in finished.out
    assert "at least 10 prompts" in finished.out
    assert (fake.root / "difftest.toml").read_text() == before
    assert said["written"] == []


def test_a_run_on_other_seeds_is_the_same_suite_on_other_seeds(shapes: Any) -> None:
    finished, report = shapes.run(
        "--seed-offset", "1000", "--test", "test_shapes", "--max-images", "3"
    )
    assert finished.code == 0, finished.err
    (result,) = report["results"]
    assert [image["seed"] for image in result["images"]] == [1001] * 3
    finished = shapes.difftest("run", "--seed-offset", "-1", "--dry-run", "--max-images", "3")
    assert "3 images" in finished.out
