"""Files that a run reads and writes: references, the cache, reports, and a disk that is full."""

from __future__ import annotations

import hashlib
import io
import json
import resource
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

LIKE = """
import difftest


@difftest.test(prompts=["a red circle", "A blue, Square!"], metrics=["ssim"], threshold=0.9,
               seeds=[1, 2], reference_dir="golden")
def test_like():
    pass
"""


@pytest.fixture
def like(repository: Any) -> Any:
    repository.write("tests/test_a.py", LIKE)
    (repository.root / "golden").mkdir()
    return repository


def images(repository: Any) -> dict[tuple[str, int], Image.Image]:
    """What the generator makes of each cell."""
    difftest_run, report = repository.run("--reference", "none", "--run-dir", "made")
    assert difftest_run.code == 0
    return {
        (i["prompt"], i["seed"]): Image.open(repository.root / "made" / i["path"])
        for i in report["results"][0]["images"]
    }


def sha(prompt: str) -> str:
    return hashlib.sha256(prompt.encode()).hexdigest()[:12]


def test_references_are_found_by_hash_and_seed(like: Any) -> None:
    for (prompt, seed), image in images(like).items():
        image.save(like.root / f"golden/{sha(prompt)}_seed{seed}.png")
    finished, report = like.run()
    assert finished.code == 0, finished.out
    assert report["results"][0]["metrics"]["ssim"]["min"] == pytest.approx(1.0)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(lambda prompt, number: sha(prompt), id="hash"),
        pytest.param(lambda prompt, number: prompt, id="prompt"),
        pytest.param(lambda prompt, number: ["a-red-circle", "a_blue_square"][number], id="words"),
        pytest.param(lambda prompt, number: str(number), id="number"),
        pytest.param(lambda prompt, number: f"{number:04}", id="padded number"),
    ],
)
@pytest.mark.parametrize("ending", ["png", "webp", "jpg"])
def test_references_are_found_by_other_names_and_in_other_formats(
    like: Any, name: Any, ending: str
) -> None:
    made = images(like)
    for number, prompt in enumerate(["a red circle", "A blue, Square!"]):
        options = {"lossless": True} if ending == "webp" else {}
        made[prompt, 1].save(like.root / f"golden/{name(prompt, number)}.{ending}", **options)
    _, report = like.run()
    (result,) = report["results"]
    assert result["failures"] == []
    # One reference for both seeds: those of the first are it.
    first, second = result["metrics"]["ssim"]["per_sample"][::2], result["metrics"]["ssim"]
    assert min(first) > (0.999 if ending != "jpg" else 0.8)
    assert second["sample_count"] == 4


def test_a_missing_reference_says_where_it_was_looked_for(like: Any) -> None:
    (like.root / "golden/elsewhere.png").write_bytes(b"")
    finished, report = like.run()
    assert finished.code == 1
    failures = report["results"][0]["failures"]
    assert len(failures) == 4
    reason = next(f["reason"] for f in failures if f["prompt"] == "a red circle" and f["seed"] == 2)
    for name in (f"{sha('a red circle')}_seed2.png", f"{sha('a red circle')}.png"):
        assert name in reason
    for name in ("a-red-circle.png", "0.png", "difftest baseline save"):
        assert name in reason


def test_an_ambiguous_reference_is_refused(like: Any) -> None:
    for name in ("0.png", "000.png", "1.png"):
        Image.new("RGB", (32, 32)).save(like.root / "golden" / name)
    _, report = like.run()
    (first,) = {f["reason"] for f in report["results"][0]["failures"]}
    assert "several references for this image, 0.png and 000.png" in first


@pytest.mark.parametrize("content", [b"GIF89a", b"", b"\x89PNG\r\n\x1a\nrubbish"])
def test_a_reference_that_is_no_image_is_said(like: Any, content: bytes) -> None:
    for number in (0, 1):
        (like.root / f"golden/{number}.png").write_bytes(content)
    _, report = like.run()
    for failure in report["results"][0]["failures"]:
        assert "cannot be used" in failure["reason"]


def test_a_reference_too_large_to_decode_is_refused_before_memory_is_taken(like: Any) -> None:
    buffer = io.BytesIO()
    Image.new("1", (60_000, 60_000)).save(buffer, "PNG")
    for number in (0, 1):
        (like.root / f"golden/{number}.png").write_bytes(buffer.getvalue())
    finished, report = like.run()
    assert finished.code == 1
    assert report["results"][0]["peak"]["rss_bytes"] < 500e6
    assert "cannot be used" in report["results"][0]["failures"][0]["reason"]


CACHED = """
@difftest.test(prompts=["a", "b", "c"], metrics=["brightness", "sharpness"], seeds=[1, 2])
def test_cached():
    pass
"""


def test_the_cache_saves_generation_and_changes_no_result(
    repository: Any, read_events: Any
) -> None:
    repository.write_test("tests/test_a.py", CACHED)
    finished, first = repository.run("--incremental", "--run-dir", "one")
    assert finished.code == 0
    fake = repository.root / "fake.py"
    working = fake.read_text()
    # Equal in everything that the key is made of: it would be noticed if it were called.
    fake.write_text(
        working.replace("if size", "if size").replace("size = 48", "raise Oh; size = 48")
    )
    fake.write_text(working.replace('if "broken" in prompt', "if True"))
    finished, second = repository.run("--incremental", "--run-dir", "two")
    assert finished.code == 0, finished.out
    assert first["results"][0]["metrics"] == second["results"][0]["metrics"]
    events = read_events(repository.root / "two/events.jsonl")
    generated = [e for e in events if e["event"] == "cell_generated"]
    assert [e.get("cached") for e in generated] == [True] * 6
    for event in generated:
        assert (repository.root / "two" / event["image"]["path"]).exists()
    # Any part of the key that differs makes it anew, which now fails.
    for arguments in (["--recipe", "steps=3"], ["--batch-size", "2"], []):
        if not arguments:
            fake.write_text(fake.read_text().replace('"fake-1"', '"fake-2"'))
        finished, _ = repository.run("--incremental", *arguments)
        assert finished.code == 1


def test_a_spoilt_entry_of_the_cache_is_made_again(repository: Any, read_events: Any) -> None:
    repository.write_test("tests/test_a.py", CACHED)
    repository.run("--incremental")
    for file in (repository.root / ".difftest/cache").rglob("*.png"):
        file.write_bytes(b"rubbish")
    finished, _ = repository.run("--incremental", "--run-dir", "run")
    assert finished.code == 0
    events = read_events(repository.root / "run/events.jsonl")
    assert not any(e.get("cached") for e in events)
    finished, _ = repository.run("--incremental", "--run-dir", "again")
    events = read_events(repository.root / "again/events.jsonl")
    assert sum(e.get("cached", False) for e in events) == 6


def test_every_report_is_written(repository: Any) -> None:
    repository.write_test("tests/test_a.py", CACHED.replace("seeds=[1, 2]", "seeds=[1]"))
    finished, _ = repository.run(
        "--html", "out/report.html", "--junit", "out/junit.xml", "--markdown", "out/report.md"
    )
    assert finished.code == 0, finished.err
    page = (repository.root / "out/report.html").read_text()
    assert page.count("data:image/") >= 3
    suites = ET.fromstring((repository.root / "out/junit.xml").read_text())
    assert [case.get("name") for case in suites.iter("testcase")] == ["test_cached"]
    assert (repository.root / "out/report.md").read_text()


def test_every_image_carries_its_recipe(repository: Any) -> None:
    repository.write_test(
        "tests/test_a.py",
        CACHED.replace("seeds=", 'negative_prompt="blur", seeds='),
    )
    repository.run("--run-dir", "run", "--model", "shapes")
    for file in (repository.root / "run/images").iterdir():
        text = Image.open(file).text
        exact = json.loads(text["difftest"])
        assert exact["recipe"]["prompt"] in "abc"
        assert exact["recipe"]["negative_prompt"] == "blur"
        assert "Negative prompt: blur" in text["parameters"]


def test_a_stream_that_has_no_room_ends_the_run_and_says_so(repository: Any) -> None:
    repository.write_test("tests/test_a.py", CACHED)
    finished = repository.difftest("run", "--events", "/dev/full", "--run-dir", "run")
    assert finished.code == 2
    assert "cannot write events to /dev/full: No space left on device" in finished.err
    lines = (repository.root / "run/events.jsonl").read_text().splitlines()
    assert json.loads(lines[-1])["event"] == "run_finished", "the run's own file goes on"


def test_an_image_that_has_no_room_is_a_failed_image(repository: Any) -> None:
    """A file's limit stands for a full disk: large images hit it, the stream does not."""
    repository.write_test("tests/test_a.py", CACHED.replace('"b"', '"large b"'))
    fake = repository.root / "fake.py"
    # Noise, which no encoder makes small.
    noise = "random.integers(0, 256, (size, size, 3), dtype=np.uint8)"
    text = fake.read_text().replace("size = 48", "size = 200")
    fake.write_text(
        text[: text.index("y, x =")] + f"return {noise}\n\n\ndef make():\n    return Fake()\n"
    )
    process = repository.start(
        "run", "--run-dir", "run", "--output", "results.json",
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)),
    )  # fmt: skip
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1, err
    report = json.loads((repository.root / "results.json").read_text())
    (result,) = report["results"]
    assert {f["prompt"] for f in result["failures"]} == {"large b"}
    assert "File too large" in result["failures"][0]["reason"]
    assert len(result["images"]) == 4


def test_a_run_folder_that_cannot_be_made_is_said(repository: Any) -> None:
    repository.write_test("tests/test_a.py", CACHED)
    finished = repository.difftest("run", "--run-dir", "difftest.toml/run")
    assert finished.code == 2
    assert finished.err.startswith("error: cannot make ")


def test_images_that_cannot_be_written_are_failed_images(repository: Any) -> None:
    repository.write_test(
        "tests/test_a.py",
        CACHED
        + """
import atexit, pathlib, shutil

# Something else takes the place of the folder, once the run has made it.
images = pathlib.Path("run/images")
shutil.rmtree(images)
images.write_text("")
""",
    )
    finished, report = repository.run("--run-dir", "run")
    assert finished.code == 1
    assert len(report["results"][0]["failures"]) == 6
    assert "cannot write" in report["results"][0]["failures"][0]["reason"]


def test_a_dry_run_makes_nothing(repository: Any) -> None:
    repository.write_test("tests/test_a.py", CACHED)
    finished = repository.difftest("run", "--dry-run")
    assert finished.code == 0, finished.err
    assert "6 images" in finished.out
    runs = repository.root / ".difftest/runs"
    assert not Path(runs).exists()
    repository.run()
    assert (
        "ms an image, over 6 images of earlier runs" in repository.difftest("run", "--dry-run").out
    )
