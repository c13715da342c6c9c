"""Fetching checkpoints: whole, with the expected content, or not at all."""

from __future__ import annotations

import hashlib
import importlib
import re
import tempfile
import urllib.error
import urllib.request
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

import torch
from tqdm import tqdm

_CHUNK = 1 << 20
_TIMEOUT_S = 30


def download_checkpoint(url: str, sha256: str, folder: str | Path | None = None) -> Path:
    """Download a checkpoint, unless it is there already, and verify it.

    The file appears under its name only when it is whole and has the expected hash; nothing of it
    is read or run.

    Args:
        url: An http or https address that ends in the file's name.
        sha256: The file's SHA-256, 64 hexadecimal digits.
        folder: Where it goes; the checkpoints of `torch.hub` by default.

    Returns:
        The file.

    Raises:
        ValueError: The address or the hash is none, or the content has another hash.
        OSError: The server or the connection fails.
    """
    sha256 = _checked(sha256)
    address = urlsplit(url)
    name = PurePosixPath(unquote(address.path)).name
    if address.scheme not in ("http", "https") or not name:
        raise ValueError(f"url: got {url!r}; want an http(s) address that ends in a file's name")
    folder = Path(torch.hub.get_dir()) / "checkpoints" if folder is None else Path(folder)
    path = folder / name
    if path.exists() and sha256_of(path) == sha256:
        return path
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=f".{name}.") as temporary:
        part = Path(temporary) / name
        _fetch(url, part)
        _verify(part, sha256, url)
        part.replace(path)
    return path


def from_hub(repo_id: str, filename: str, sha256: str, revision: str | None = None) -> Path:
    """Download one file from the Hugging Face Hub and verify it.

    Args:
        repo_id: "owner/name".
        filename: The file's path in that repository.
        sha256: The file's SHA-256, 64 hexadecimal digits.
        revision: A branch, a tag or a commit; the newest state of the main branch if not given.

    Returns:
        The file, in the Hub's own cache.

    Raises:
        ImportError: huggingface_hub is not installed.
        ValueError: The content has another hash.
        OSError: The Hub has no such file, or cannot be reached.
    """
    sha256 = _checked(sha256)
    try:
        hub = importlib.import_module("huggingface_hub")
    except ImportError as error:
        raise ImportError(
            "from_hub needs huggingface_hub; write pip install huggingface_hub"
        ) from error
    path = Path(hub.hf_hub_download(repo_id, filename, revision=revision))
    _verify(path, sha256, f"{repo_id}/{filename}")
    return path


def _fetch(url: str, part: Path) -> None:
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as response, part.open("wb") as file:
            length = int(response.headers.get("Content-Length") or 0)
            with tqdm(total=length or None, unit="B", unit_scale=True, leave=False) as bar:
                while chunk := response.read(_CHUNK):
                    file.write(chunk)
                    bar.update(len(chunk))
                received = bar.n
    except urllib.error.URLError as error:
        raise OSError(f"{url}: not downloaded ({error}); check the address") from error
    if length and received != length:
        raise ConnectionError(f"{url}: broke off after {received} of {length} bytes; try again")


def _checked(sha256: str) -> str:
    if not re.fullmatch(r"[0-9a-fA-F]{64}", sha256):
        raise ValueError(
            f"sha256: got {sha256!r}; want the 64 hexadecimal digits that the authors give, or "
            "those that `sha256sum` prints for a copy that you trust"
        )
    return sha256.lower()


def _verify(path: Path, sha256: str, origin: str) -> None:
    actual = sha256_of(path)
    if actual != sha256:
        raise ValueError(f"{origin}: its sha256 is {actual}, not {sha256}: not the expected file")


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's content, 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
