"""A stand-in of A1111's web UI, and a repository whose tests run on it as a user would run them."""

from __future__ import annotations

import base64
import io
import json
import os
import shutil
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import difftest

PACKAGES = str(Path(difftest.__file__).parents[1])


class WebUi:
    """`/sdapi/v1`, its images of one colour by the seed. Words of a prompt make it fail or hang."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.running: str | None = None
        #: Of requests that hang, when the test ends.
        self.over = threading.Event()
        ui = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                ui.asked.append((self.path, {}))
                answers: dict[str, Any] = {
                    "/sdapi/v1/options": {"sd_model_checkpoint": "base"},
                    "/sdapi/v1/schedulers": [],
                    "/sdapi/v1/progress": {"current_task": ui.running},
                }
                found = answers.get(self.path.split("?")[0])
                self.answer(404 if found is None else 200, found)

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                ui.asked.append((self.path, body))
                if self.path != "/sdapi/v1/txt2img":
                    self.answer(200, {})
                    return
                prompt = body["prompt"]
                if "busy" in prompt and ui.count("/sdapi/v1/txt2img", prompt) == 1:
                    self.answer(503, {"detail": "busy"}, **{"retry-after": "0"})
                elif "forbidden" in prompt:
                    self.answer(422, {"detail": "a word that is not allowed"})
                elif "endless" in prompt:
                    ui.running = body["force_task_id"]
                    ui.over.wait(60)
                else:
                    if "slow" in prompt:
                        time.sleep(0.5)
                    info = json.dumps({"infotexts": [f"{prompt}\nSeed: {body['seed']}"]})
                    self.answer(200, {"images": [picture(body["seed"])], "info": info})

            def answer(self, status: int, body: Any, **headers: str) -> None:
                content = json.dumps(body).encode()
                self.send_response(status)
                headers = {"content-type": "application/json", **headers}
                for name, value in {**headers, "content-length": str(len(content))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def count(self, path: str, prompt: str | None = None) -> int:
        asked = [body for seen, body in self.asked if seen.split("?")[0] == path]
        return len([body for body in asked if prompt is None or body.get("prompt") == prompt])

    def close(self) -> None:
        self.over.set()
        self.server.shutdown()
        self.server.server_close()


def colour(seed: int) -> tuple[int, int, int]:
    return (seed % 256, 90, 200)


def picture(seed: int) -> str:
    file = io.BytesIO()
    Image.new("RGB", (32, 32), colour(seed)).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


class Repository:
    def __init__(self, root: Path, url: str) -> None:
        self.root, self.url = root, url

    def write_test(self, prompts: list[str], seeds: list[int]) -> None:
        file = self.root / "tests/test_pictures.py"
        file.parent.mkdir(exist_ok=True)
        text = f"""
            import difftest


            @difftest.metric("brightness", range=(0.0, 1.0))
            def brightness(array):
                return float(array.mean()) / 255


            @difftest.test(prompts={prompts!r}, metrics=["brightness"], threshold=0.0, seeds={seeds!r})
            def test_pictures():
                pass
            """
        file.write_text(textwrap.dedent(text))

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        shutil.rmtree(self.root / "run", ignore_errors=True)
        environment = {**os.environ, "PYTHONPATH": PACKAGES}
        for name in ("DIFFTEST_API_KEY", "FAL_KEY"):
            environment.pop(name, None)
        return subprocess.Popen(
            [sys.executable, "-m", "difftest", "run", "--run-dir", "run", *arguments],
            cwd=self.root,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str) -> tuple[int, str, list[dict[str, Any]]]:
        """Exit code, standard error and events of a run on the stand-in."""
        process = self.start("--generator", "a1111", "--endpoint", self.url, *arguments)
        _, err = process.communicate(timeout=60)
        return process.returncode, err, self.events()

    def events(self) -> list[dict[str, Any]]:
        file = self.root / "run/events.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


@pytest.fixture
def ui() -> Iterator[WebUi]:
    ui = WebUi()
    yield ui
    ui.close()


@pytest.fixture
def repository(tmp_path: Path, ui: WebUi) -> Repository:
    return Repository(tmp_path, ui.url)


@pytest.fixture(name="colour")
def _colour() -> Callable[[int], tuple[int, int, int]]:
    return colour
