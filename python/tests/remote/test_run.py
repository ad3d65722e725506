"""`difftest run` on a back end over HTTP, end to end."""

from __future__ import annotations

import signal
import time
from typing import Any

from PIL import Image

TXT2IMG = "/sdapi/v1/txt2img"


def of(events: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [event for event in events if event["event"] == kind]


def test_images_costs_and_retries_reach_the_results(repository: Any, ui: Any, colour: Any) -> None:
    repository.write_test(["a cat", "a busy street"], [1, 2])
    code, err, events = repository.run("--option", "price_per_image=0.01", "--jobs", "3")
    assert code == 0, err
    started = of(events, "run_started")[0]
    assert (started["generator"], started["environment"]["device"]) == ("a1111", "remote")
    cells = of(events, "cell_generated")
    assert len(cells) == 4
    for cell in cells:
        image = Image.open(repository.root / "run" / cell["image"]["path"])
        assert image.convert("RGB").getpixel((5, 5)) == colour(cell["seed"])
        assert cell["cost_usd"] == 0.01
    assert sorted(cell.get("retries", 0) for cell in cells if "busy" in cell["prompt"]) == [0, 1]
    assert ui.count(TXT2IMG) == 5


def test_a_refused_image_is_one_cell_s_failure(repository: Any, ui: Any) -> None:
    repository.write_test(["a cat", "a forbidden word"], [1])
    code, _, events = repository.run()
    assert code != 0
    assert [cell["prompt"] for cell in of(events, "cell_generated")] == ["a cat"]
    failed = of(events, "cell_failed")
    assert [cell["prompt"] for cell in failed] == ["a forbidden word"]
    assert "answered 422: a word that is not allowed" in failed[0]["reason"]
    assert ui.count(TXT2IMG, "a forbidden word") == 1


def test_an_image_past_its_time_ends_here_and_there(repository: Any, ui: Any) -> None:
    repository.write_test(["an endless night", "a cat"], [1])
    code, _, events = repository.run("--image-timeout", "1s")
    assert code != 0
    failed = of(events, "cell_failed")
    assert [cell["prompt"] for cell in failed] == ["an endless night"]
    assert len(of(events, "cell_generated")) == 1
    assert ui.count("/sdapi/v1/interrupt") == 1


def test_ctrl_c_ends_the_wait_and_the_server_s_work(repository: Any, ui: Any) -> None:
    repository.write_test(["an endless night"], [1])
    process = repository.start("--generator", "a1111", "--endpoint", ui.url)
    for _ in range(300):
        if ui.running:
            break
        time.sleep(0.1)
    assert ui.running, "the image was never asked for"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert ui.count("/sdapi/v1/interrupt") == 1


def test_what_cannot_begin_says_why_and_asks_nothing(repository: Any, ui: Any) -> None:
    repository.write_test(["a cat"], [1])
    code, err, _ = repository.run("--option", "alow_private=true")
    assert (code, "did you mean `allow_private`?" in err) == (2, True), err
    code, err, _ = repository.run("--recipe", "denoise=0.5")
    assert (code, "`denoise`" in err) == (2, True), err
    process = repository.start("--generator", "api", "--provider", "fal", "--model", "fal-ai/flux")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "DIFFTEST_API_KEY or FAL_KEY" in err
    assert ui.count(TXT2IMG) == 0


def test_a_key_is_nowhere_in_what_a_run_leaves_behind(repository: Any, ui: Any) -> None:
    repository.write_test(["a cat", "a forbidden word"], [1])
    process = repository.start(
        *("--generator", "a1111", "--endpoint", ui.url, "--api-key", "me:s3cret-pass"),
        *("--output", "results.json", "--html", "report.html", "--markdown", "report.md"),
    )
    out, err = process.communicate(timeout=60)
    written = [file for file in repository.root.rglob("*") if file.is_file()]
    assert {"results.json", "report.html", "events.jsonl"} <= {file.name for file in written}
    for text in (out, err, *(file.read_bytes().decode(errors="replace") for file in written)):
        assert "s3cret" not in text
