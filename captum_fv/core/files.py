"""Files that are whole or not there, and of the run that goes on with them."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import filelock
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
        if isinstance(error, OSError):  # else of no file, as when a disk is full, or of the partial
            error.filename = str(path)
        raise


def check_output(path: Path, *inputs: Path | None) -> None:
    """See, before the work, that a file can be written and none is lost by it; make its folder.

    Raises:
        ValueError: The file is one of `inputs`, or cannot be written there.
    """
    for given in inputs:
        if given is not None and given.exists() and path.exists() and path.samefile(given):
            raise ValueError(
                f"{path} would be written over, and it is read here; want another name"
            )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise ValueError(
            f"{path}: {error.filename} is a file; want a folder to write to"
        ) from error
    if not os.access(path.parent, os.W_OK):
        raise ValueError(f"{path}: nothing can be written to {path.parent}; want another folder")


def save_atomically(state: dict[str, Any], path: Path) -> None:
    """`torch.save` of a checkpoint, likewise."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_atomically(path, buffer.getvalue())


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


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Have a folder to oneself, against other processes.

    Raises:
        ValueError: Another process has it.
    """
    try:
        lock = filelock.FileLock(folder / ".lock", timeout=0).acquire()
    except filelock.Timeout as error:
        raise ValueError(
            f"{folder}: another process is writing there; wait for it, or choose another folder"
        ) from error
    with lock:
        yield


def refuse_another(path: Path, held: str, before: dict[str, Any], now: dict[str, Any]) -> None:
    """Raise a ValueError if what a file or folder holds was made with something else than this is.

    >>> refuse_another(Path("mine"), "a run", {"seed": 5}, {"seed": 6})
    Traceback (most recent call last):
    ...
    ValueError: mine holds a run with seed 5, and this is 6; choose another folder, or ...
    """
    if difference := _difference("", before, now):
        raise ValueError(
            f"{path} holds {held} with {difference}; choose another folder, or remove that one"
        )


def _difference(name: str, was: Any, given: Any) -> str:
    """The innermost place where two settings first differ, in words; nothing if they do not."""
    if isinstance(was, dict) and isinstance(given, dict):
        within = (
            _difference(f"{name} {key}".strip(), was.get(key), given.get(key))
            for key in given | was
        )
        return next(filter(None, within), "")
    before, now = json.dumps(was), json.dumps(given)
    return "" if before == now else f"{name} {before[:200]}, and this is {now[:200]}"
