"""Where weights come from: found, or downloaded whole, or named."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from difftest import MetricError
from difftest.metrics import weights

PUBLISHED = b"the published weights"
DIGEST = hashlib.sha256(PUBLISHED).hexdigest()


class Server(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/gone":
            self.send_error(404)
            return
        body = b"something else" if self.path == "/changed" else PUBLISHED
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:5] if self.path == "/short" else body)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def file(url: str, prefix: str = DIGEST[:8]) -> weights.File:
    return weights.File("m", "weights.pth", url, prefix)


def test_a_file_of_the_folder_is_taken_without_a_network(weights_dir: Path) -> None:
    (weights_dir / "weights.pth").write_bytes(PUBLISHED)
    assert weights.find(file("http://127.0.0.1:1/")) == weights_dir / "weights.pth"


def test_a_file_that_torch_has_is_taken(tmp_path: Path) -> None:
    home = tmp_path / "torch" / "hub" / "checkpoints"
    home.mkdir(parents=True)
    (home / "weights.pth").write_bytes(PUBLISHED)
    assert weights.find(file("http://127.0.0.1:1/")) == home / "weights.pth"


def test_another_file_of_that_name_is_refused(weights_dir: Path) -> None:
    (weights_dir / "weights.pth").write_bytes(b"cut sh")
    with pytest.raises(
        MetricError, match=rf"is not the published weights\.pth: .* {DIGEST[:8]} was"
    ):
        weights.find(file("http://127.0.0.1:1/"))


def test_a_file_is_downloaded_once(
    address: str, weights_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    found = weights.find(file(f"{address}/weights"))
    assert (found, found.read_bytes()) == (weights_dir / "weights.pth", PUBLISHED)
    assert weights.find(file("http://127.0.0.1:1/")) == found


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("gone", "could not be downloaded (HTTPError: HTTP Error 404"),
        ("short", "could not be downloaded (OSError: 5 of 21 bytes came)"),
        ("changed", "is not the published weights.pth"),
    ],
)
def test_a_download_that_fails_leaves_nothing(
    address: str, weights_dir: Path, monkeypatch: pytest.MonkeyPatch, path: str, said: str
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    with pytest.raises(MetricError) as refused:
        weights.find(file(f"{address}/{path}"))
    assert said in str(refused.value)
    assert list(weights_dir.iterdir()) == []


def test_offline_nothing_is_asked_for(address: str, weights_dir: Path) -> None:
    with pytest.raises(MetricError) as refused:
        weights.find(file(f"{address}/weights"))
    message = str(refused.value)
    assert "m needs the weights weights.pth, which are not on this machine" in message
    assert f"download {address}/weights and put it at {weights_dir / 'weights.pth'}" in message
    assert "HF_HUB_OFFLINE is set" in message
    assert "DIFFTEST_WEIGHTS_DIR" in message


def test_the_digest_of_a_file_is_its_sha256_and_follows_its_content(tmp_path: Path) -> None:
    one, other = tmp_path / "a", tmp_path / "b"
    one.write_bytes(PUBLISHED)
    assert weights.digest([one]) == f"sha256:{DIGEST}"
    other.write_bytes(b"x")
    both = weights.digest([one, other])
    assert both == weights.digest([other, one]) != weights.digest([one])
    other.write_bytes(b"yy")
    assert weights.digest([one, other]) != both


def test_the_folder_is_the_caches_where_none_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DIFFTEST_WEIGHTS_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert weights.folder() == Path("/somewhere/difftest/weights")


def test_a_folder_of_the_repository_never_stands_in_for_a_model_of_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "repository" / "someone" / "model").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "repository")
    with pytest.raises(MetricError, match="could not be downloaded"):
        weights.find_repository(weights.Repository("m", "someone/model", ()))
    path = weights.Repository("m", "./someone/model", ())
    assert weights.find_repository(path) == Path("someone/model")
    with pytest.raises(MetricError, match=r"m needs the model in .*nowhere, which is no folder"):
        weights.find_repository(weights.Repository("m", str(tmp_path / "nowhere"), ()))


def test_a_model_of_the_hub_is_taken_from_the_folder(weights_dir: Path) -> None:
    wanted = weights.Repository("m", "someone/model", ("config.json",))
    with pytest.raises(MetricError, match=r"`hf download someone/model` .* \(config\.json\) into"):
        weights.find_repository(wanted)
    (weights_dir / "someone" / "model").mkdir(parents=True)
    assert weights.find_repository(wanted) == weights_dir / "someone" / "model"
