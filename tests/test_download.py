"""Downloads against a server of our own: the right file whole, or nothing."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest

from captum_fv.models import download_checkpoint, from_hub

CONTENT = bytes(range(256)) * 12_000  # three reads long
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Handler(BaseHTTPRequestHandler):
    requests = 0

    def do_HEAD(self) -> None:
        """What the Hub's client asks first."""
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.send_header("ETag", '"etag"')
        self.send_header("X-Repo-Commit", "0" * 40)
        self.end_headers()

    def do_GET(self) -> None:
        Handler.requests += 1
        if self.path.startswith("/missing"):
            self.send_error(404)
            return
        self.send_response(200)
        if not self.path.startswith("/unsized"):
            self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT[: len(CONTENT) // 2 if self.path.startswith("/broken") else None])

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("kind", ["sized", "unsized"])
def test_the_right_file_comes_once(kind: str, address: str, tmp_path: Path) -> None:
    url = f"{address}/{kind}/my%20weights.pt?download=1"
    path = download_checkpoint(url, SHA256.upper(), tmp_path / "new")
    assert path == tmp_path / "new" / "my weights.pt"
    assert path.read_bytes() == CONTENT
    assert list(path.parent.iterdir()) == [path]
    before = Handler.requests
    assert download_checkpoint(url, SHA256, tmp_path / "new") == path
    assert Handler.requests == before


def test_a_wrong_file_on_disk_is_replaced(address: str, tmp_path: Path) -> None:
    (tmp_path / "weights.pt").write_bytes(b"old")
    path = download_checkpoint(f"{address}/weights.pt", SHA256, tmp_path)
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("kind", "sha256", "error", "message"),
    [
        ("sized", "0" * 64, ValueError, f"its sha256 is {SHA256}, not 0000"),
        ("missing", SHA256, OSError, "not downloaded .*404"),
        ("broken", SHA256, ConnectionError, "broke off after 1536000 of 3072000 bytes"),
    ],
)
def test_nothing_stays_of_a_failure(
    kind: str, sha256: str, error: type[Exception], message: str, address: str, tmp_path: Path
) -> None:
    (tmp_path / "weights.pt").write_bytes(b"old")
    with pytest.raises(error, match=message):
        download_checkpoint(f"{address}/{kind}/weights.pt", sha256, tmp_path)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]


def test_nobody_answers(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="not downloaded"):
        download_checkpoint("http://127.0.0.1:9/weights.pt", SHA256, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("url", ["file:///etc/hosts", "weights.pt", "http://127.0.0.1/"])
def test_what_is_no_address(url: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="want an http"):
        download_checkpoint(url, SHA256, tmp_path)


@pytest.mark.parametrize("sha256", ["", "abc", "g" * 64])
def test_no_hash_no_download(sha256: str, address: str, tmp_path: Path) -> None:
    before = Handler.requests
    with pytest.raises(ValueError, match="want the 64 hexadecimal digits"):
        download_checkpoint(f"{address}/weights.pt", sha256, tmp_path)
    assert Handler.requests == before


def test_from_hub_verifies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "weights.pt").write_bytes(CONTENT)
    asked = []

    def hf_hub_download(repo_id: str, filename: str, revision: str | None) -> str:
        asked.append((repo_id, filename, revision))
        return str(tmp_path / filename)

    hub = SimpleNamespace(hf_hub_download=hf_hub_download)
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    assert from_hub("owner/name", "weights.pt", SHA256) == tmp_path / "weights.pt"
    from_hub("owner/name", "weights.pt", SHA256, revision="v1.2")
    assert asked == [("owner/name", "weights.pt", None), ("owner/name", "weights.pt", "v1.2")]
    with pytest.raises(ValueError, match=r"owner/name/weights\.pt: its sha256"):
        from_hub("owner/name", "weights.pt", "0" * 64)


@pytest.mark.extended
def test_from_hub_with_the_hubs_own_client(address: str, tmp_path: Path) -> None:
    pytest.importorskip("huggingface_hub", reason="needs the extra hub")
    right, wrong = (
        f"print(from_hub('owner/name', 'weights.pt', '{sha256}'))" for sha256 in (SHA256, "0" * 64)
    )
    # In a process of its own, for the client reads its settings once, when it is imported.
    done = subprocess.run(
        [sys.executable, "-c", f"from captum_fv.models import from_hub; {right}; {wrong}"],
        env=os.environ | {"HF_ENDPOINT": address, "HF_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    path = Path(done.stdout.strip())
    assert path.is_relative_to(tmp_path)
    assert path.read_bytes() == CONTENT
    assert f"owner/name/weights.pt: its sha256 is {SHA256}, not 0000" in done.stderr


def test_from_hub_says_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ImportError, match="pip install huggingface_hub"):
        from_hub("owner/name", "weights.pt", SHA256)
