"""Files that are whole or not there."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file that is whole or as it was before, whenever the process ends."""
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException as error:
        partial.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:  # as when a disk is full
            error.filename = str(path)
        raise


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Whatever a damaged file or folder raises within becomes an error that says what to do.

    Raises:
        ValueError: Anything went wrong.
    """
    try:
        yield
    except Exception as error:  # a damaged file fails anywhere on the way
        raise ValueError(
            f"{path}: cannot be read ({type(error).__name__}: {error}); remove it to start anew"
        ) from error


def save_atomically(state: dict[str, Any], path: Path) -> None:
    """`torch.save` of a checkpoint, likewise."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_atomically(path, buffer.getvalue())
