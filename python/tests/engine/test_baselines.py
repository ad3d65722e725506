"""Visual regression: stored images, another run's images, or none."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

VISUAL = """
import difftest


@difftest.visual_regression(prompts=["a cat", "a dog"], seeds=[1, 2], ssim_threshold=0.9)
def test_look():
    pass
"""


@pytest.fixture
def visual(repository: Any) -> Any:
    repository.write("tests/test_v.py", VISUAL)
    return repository


def baselines(repository: Any) -> dict[str, bytes]:
    root: Path = repository.root / "baselines"
    return {str(f.relative_to(root)): f.read_bytes() for f in sorted(root.rglob("*.png"))}


def change_the_model(repository: Any) -> None:
    fake = repository.root / "fake.py"
    fake.write_text(fake.read_text().replace("{prompt}|{seed}", "other {prompt}|{seed}"))


def test_without_a_baseline_each_image_says_how_to_make_it(visual: Any) -> None:
    finished, report = visual.run()
    assert finished.code == 1
    (result,) = report["results"]
    assert result["outcome"] == "error"
    assert len(result["failures"]) == 4
    for failure in result["failures"]:
        assert "difftest baseline save" in failure["reason"]


def test_saved_baselines_pass_and_a_changed_model_fails_until_they_are_updated(
    visual: Any,
) -> None:
    saved = visual.difftest("baseline", "save")
    assert saved.code == 0, saved.err
    assert saved.out.count("new: baselines/test_look/") == 4
    name = hashlib.sha256(b"a cat").hexdigest()[:12]
    first = baselines(visual)
    assert f"test_look/{name}_seed1.png" in first
    finished, report = visual.run()
    assert finished.code == 0, finished.err
    assert report["results"][0]["metrics"]["ssim"]["per_sample"] == pytest.approx([1.0] * 4)

    change_the_model(visual)
    finished, report = visual.run()
    assert finished.code == 1
    assert report["results"][0]["outcome"] == "failed"
    assert max(report["results"][0]["metrics"]["ssim"]["per_sample"]) < 0.9

    again = visual.difftest("baseline", "save")
    assert again.code == 0
    assert "4 kept as they were" in again.out
    assert baselines(visual) == first

    updated = visual.difftest("baseline", "update")
    assert updated.code == 0, updated.err
    assert updated.out.count("changed (SSIM 0.") == 4
    assert baselines(visual) != first
    assert visual.run()[0].code == 0
    assert "4 unchanged" in visual.difftest("baseline", "update").out


def test_a_baseline_of_another_size_is_said(visual: Any) -> None:
    visual.difftest("baseline", "save")
    visual.write("tests/test_v.py", VISUAL)
    fake = visual.root / "fake.py"
    fake.write_text(fake.read_text().replace("else 32", "else 40"))
    finished, report = visual.run()
    assert finished.code == 1
    assert "40×40 and 32×32" in report["results"][0]["failures"][0]["reason"]


def test_a_baseline_that_is_no_image_is_said(visual: Any) -> None:
    visual.difftest("baseline", "save")
    for file in (visual.root / "baselines").rglob("*.png"):
        file.write_bytes(b"not an image")
    finished, report = visual.run()
    assert finished.code == 1
    assert "cannot be used" in report["results"][0]["failures"][0]["reason"]


def test_another_run_can_be_the_reference(visual: Any) -> None:
    base = visual.difftest("run", "--reference", "none", "--run-dir", "base")
    assert base.code == 0, base.err
    finished, report = visual.run("--reference", "base")
    assert finished.code == 0, finished.err
    assert report["results"][0]["metrics"]["ssim"]["mean"] == pytest.approx(1.0)
    change_the_model(visual)
    finished, report = visual.run("--reference", "base")
    assert finished.code == 1
    assert report["results"][0]["metrics"]["ssim"]["max"] < 0.9
    visual.write("tests/test_v.py", VISUAL.replace("a dog", "a new dog"))
    finished = visual.difftest("run", "--reference", "base", "--events", "-")
    assert "2 images not in the other run, and not compared" in finished.err
    finished = visual.difftest("run", "--reference", "tests")
    assert finished.code == 2
    assert "holds no readable run" in finished.err


def test_two_tests_do_not_share_a_baseline_in_silence(visual: Any) -> None:
    visual.write("tests/test_w.py", VISUAL)
    finished = visual.difftest("baseline", "save")
    assert finished.code == 2
    assert "would share its baseline" in finished.err


def test_a_quality_test_compares_with_its_reference_folder(repository: Any) -> None:
    test = """
import difftest


@difftest.test(prompts=["a cat"], metrics=["ssim"], threshold=0.9, seeds=[1]{reference})
def test_like():
    pass
"""
    repository.write("tests/test_q.py", test.format(reference=""))
    finished, report = repository.run()
    assert finished.code == 2
    assert "reference_dir" in report["collection_errors"][0]["message"]
    repository.write("tests/test_q.py", test.format(reference=', reference_dir="golden"'))
    assert repository.difftest("baseline", "save").code == 0
    finished, report = repository.run()
    assert finished.code == 0, finished.err
    assert report["results"][0]["metrics"]["ssim"]["mean"] == pytest.approx(1.0)
