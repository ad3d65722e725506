"""Starts and stops the processes of the main job, each by the ids of those started here."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from tests.house.github import GitHub

ROOT = Path(__file__).resolve().parents[2]
REPOSITORY = Path(__file__).resolve().parent / "repository"
STAND_IN = ROOT / "tests" / "github"

Found = TypeVar("Found")


class HouseError(Exception):
    """A part of the house did not come up, or did not answer in time."""


def wait_for(what: str, look: Callable[[], Found | None], timeout_s: float = 120) -> Found:
    """Looks until there is something to see. The error names what was waited for."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        found = look()
        if found:
            return found
        time.sleep(0.1)
    raise HouseError(f"waited {timeout_s:.0f} s in vain for {what}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Process:
    """A child with its log in a file. Its standard output is watched for the line that says ready."""

    def __init__(self, name: str, command: list[str], log: Path, env: dict[str, str]) -> None:
        self.name, self.log = name, log
        self.lines: list[str] = []
        with log.open("ab") as errors:
            self.child = subprocess.Popen(
                command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=errors, text=True
            )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.child.stdout is not None
        with self.log.open("a") as log:
            for line in self.child.stdout:
                self.lines.append(line)
                log.write(line)
                log.flush()

    def ready(self, timeout_s: float = 60) -> dict[str, Any]:
        """The first line that says `ready`, as JSON."""

        def look() -> dict[str, Any] | None:
            for line in list(self.lines):
                if line.startswith("{"):
                    said: dict[str, Any] = json.loads(line)
                    if said.get("ready"):
                        return said
            if self.child.poll() is not None:
                raise HouseError(f"{self.name} ended at once:\n{self.log.read_text()[-3000:]}")
            return None

        return wait_for(f"{self.name} to be ready; its log is {self.log}", look, timeout_s)

    @property
    def alive(self) -> bool:
        return self.child.poll() is None

    def kill(self) -> None:
        """kill -9: nothing is finished, nothing is said."""
        self.child.send_signal(signal.SIGKILL)
        self.child.wait()

    def stop(self, timeout_s: float = 20) -> int:
        """SIGTERM, as an operator stops it; SIGKILL where that does not help."""
        if self.alive:
            self.child.terminate()
            try:
                self.child.wait(timeout_s)
            except subprocess.TimeoutExpired:
                self.kill()
        self._reader.join(5)
        return self.child.returncode


class House:
    """GitHub's stand-in, the App and one runner in a folder of their own.

    >>> with House(folder) as house:
    ...     house.github.create_repository("acme/imagegen", REPOSITORY)
    """

    def __init__(self, folder: Path, database_url: str | None = None) -> None:
        self.folder = folder.resolve()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.data = self.folder / "app"
        self.data.mkdir(exist_ok=True)
        self.database_url = database_url or f"sqlite://{self.data / 'difftest.db'}"
        self._processes: list[Process] = []
        self._app_port = free_port()
        self.app_url = f"http://127.0.0.1:{self._app_port}"

    def __enter__(self) -> House:
        try:
            self._start_github()
            self.app = self.start_app()
            token = self._difftest("app", "token", "house", *self._storage())
            self.runner_token = token.strip().splitlines()[-1]
            self.runner = self.start_runner()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        for process in reversed(self._processes):
            process.stop()

    def _spawn(self, name: str, command: list[str], env: dict[str, str] | None = None) -> Process:
        # Only what a program needs: the house must not depend on the caller's shell.
        kept = {k: os.environ[k] for k in ("PATH", "HOME", "LANG", "TMPDIR") if k in os.environ}
        process = Process(name, command, self.folder / f"{name}.log", {**kept, **(env or {})})
        self._processes.append(process)
        return process

    def _start_github(self) -> None:
        node = subprocess.run(
            [str(STAND_IN / "node.sh")], check=True, capture_output=True, text=True
        ).stdout.strip()
        made = subprocess.run(
            [node, str(STAND_IN / "seed.mjs"), "--out", str(self.folder / "seed")],
            check=True,
            capture_output=True,
            text=True,
        )
        self.seed: dict[str, Any] = json.loads(made.stdout)
        command = [
            *(node, str(STAND_IN / "stand-in.mjs"), "--seed", self.seed["seed"]),
            *("--git-root", str(self.folder / "git")),
        ]
        process = self._spawn("github", command)
        self.github = GitHub(process.ready()["url"])

    def _storage(self) -> list[str]:
        return ["--database-url", self.database_url, "--data-dir", str(self.data)]

    def _difftest(self, *args: str) -> str:
        command = [sys.executable, "-m", "difftest", *args]
        done = subprocess.run(
            command, check=False, cwd=ROOT, capture_output=True, text=True, timeout=60
        )
        if done.returncode != 0:
            raise HouseError(f"difftest {' '.join(args)}: {done.stderr}")
        return done.stdout

    def start_app(self, env: dict[str, str] | None = None) -> Process:
        """Starts the App, on the port it had before where it had one, and points GitHub to it."""
        command = [
            *(sys.executable, "-m", "difftest", "app"),
            *("--listen", f"127.0.0.1:{self._app_port}", "--public-url", self.app_url),
            *self._storage(),
            *("--github-url", self.github.url),
            *("--app-id", str(self.seed["app_id"])),
            *("--private-key-file", self.seed["private_key"]),
            *("--webhook-secret-file", self.seed["webhook_secret"]),
        ]
        self.app = self._spawn("app", command, env)
        self.app.ready()
        self.github.call("POST", "/hook", {"url": f"{self.app_url}/webhook"})
        return self.app

    def start_runner(self, env: dict[str, str] | None = None) -> Process:
        command = [
            *(sys.executable, "-m", "difftest", "runner", "--url", self.app_url),
            *("--name", "house", "--label", "cpu"),
            *("--work-dir", str(self.folder / "runner")),
            # Where there is no sandbox the job still runs, and says so in its report.
            "--allow-unsandboxed",
        ]
        self.runner = self._spawn(
            "runner", command, {"DIFFTEST_RUNNER_TOKEN": self.runner_token, **(env or {})}
        )
        return self.runner

    def running(self, repo: str, head: str) -> None:
        """Waits until a runner works on a head."""

        def look() -> bool:
            return any(r["status"] == "in_progress" for r in self.github.check_runs(repo, head))

        wait_for(f"a check run in progress on {head[:7]} of {repo}", look)

    def concluded(self, repo: str, head: str, timeout_s: float = 240) -> dict[str, Any]:
        """The newest check run of a head, once it is completed."""

        def look() -> dict[str, Any] | None:
            for process in self._processes:
                if process in (self.app, self.runner) and not process.alive:
                    raise HouseError(
                        f"{process.name} ended by itself:\n{process.log.read_text()[-3000:]}"
                    )
            runs = self.github.check_runs(repo, head)
            newest = max(runs, key=lambda run: run["id"], default=None)
            return newest if newest and newest["status"] == "completed" else None

        return wait_for(f"a completed check run on {head[:7]} of {repo}", look, timeout_s)

    def comment_of(self, repo: str, number: int, containing: str) -> dict[str, Any]:
        """The one comment of a pull request, once it says what it should."""

        def look() -> dict[str, Any] | None:
            comments = self.github.comments(repo, number)
            assert len(comments) <= 1, f"{len(comments)} comments on #{number}"
            return comments[0] if comments and containing in comments[0]["body"] else None

        return wait_for(f"the comment on {repo}#{number} to say {containing!r}", look, 60)

    def fetch(self, url: str) -> bytes:
        with urllib.request.urlopen(url, timeout=30) as answer:
            body: bytes = answer.read()
        return body
