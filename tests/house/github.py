"""A person at the GitHub stand-in's control API."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any


class GitHub:
    """The stand-in, as its people and its operator use it. `tests/github/README.md` has the calls."""

    def __init__(self, url: str) -> None:
        self.url = url

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"{self.url}/_stand-in{path}",
            data=data,
            method=method,
            headers={"content-type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{method} {path}: {error.code} {error.read()!r}") from error

    def create_repository(self, repo: str, folder: Path) -> str:
        """Makes the repository from a folder's files; answers its first commit."""
        made = self.call("POST", "/repositories", {"repo": repo, "folder": str(folder)})
        return str(made["sha"])

    def push(
        self, repo: str, branch: str, files: dict[str, str], *, parent: str | None = None
    ) -> str:
        """Commits files to a branch, made from `parent` or the default branch; answers the commit."""
        body: dict[str, Any] = {
            "repo": repo,
            "as": "maintainer",
            "branch": branch,
            "files": files,
            "message": f"Change {', '.join(files)}",
        }
        if parent is not None:
            body["parent"] = parent
        return str(self.call("POST", "/push", body)["sha"])

    def open_pull(self, repo: str, branch: str, title: str) -> int:
        body = {"repo": repo, "as": "maintainer", "title": title, "head": branch}
        return int(self.call("POST", "/pulls", body)["number"])

    def comment(self, repo: str, number: int, text: str, *, author: str = "maintainer") -> int:
        body = {"repo": repo, "number": number, "as": author, "body": text}
        return int(self.call("POST", "/comments", body)["id"])

    def rerequest(self, repo: str, check_run: int) -> None:
        body = {"repo": repo, "as": "maintainer"}
        self.call("POST", f"/check-runs/{check_run}/rerequest", body)

    def state(self, repo: str) -> dict[str, Any]:
        state: dict[str, Any] = self.call("GET", f"/state?repo={repo}")
        return state

    def check_runs(self, repo: str, head: str) -> list[dict[str, Any]]:
        return [run for run in self.state(repo)["check_runs"] if run["head_sha"] == head]

    def comments(self, repo: str, number: int) -> list[dict[str, Any]]:
        """The comments that difftest wrote."""
        return [
            comment
            for comment in self.state(repo)["comments"]
            if comment["number"] == number and comment["body"].startswith("<!-- difftest:comment")
        ]

    def violations(self) -> list[Any]:
        found: list[Any] = self.call("GET", "/violations")
        return found
