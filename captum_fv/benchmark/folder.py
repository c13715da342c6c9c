"""A run's folder: its settings, the chunks measured so far, and the tables of all of them."""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import filelock
import numpy as np

from captum_fv.benchmark import columns
from captum_fv.benchmark.columns import Table
from captum_fv.benchmark.results import CONFIG, read_config
from captum_fv.core.files import refuse_another, write_atomically

CHUNKS, LOCK = "chunks", ".lock"
KEPT = ("command", "tables")
"""Entries of the config that stay as they were at the run's begin."""
FREE = (*KEPT, "images_sha256")
"""Entries of the config that do not tell one run from another."""


class RunFolder:
    """One run's files, each whole or not there, whenever the process ends.

    A chunk is one .npz file with a hash over its columns, its name and the run's settings: a
    damaged one, one of another run, or one under another's name is as good as none.

    Args:
        path: The folder; it is made if it is not there.
        settings: What tells this run from others; the run's config.json.
    """

    def __init__(self, path: str | Path, settings: Mapping[str, Any]) -> None:
        self.path = Path(path)
        self.settings = json.loads(json.dumps(settings, sort_keys=True))  # as it is read back
        fixed = json.dumps(_telling(self.settings), sort_keys=True)
        self._identity = sha256(fixed.encode()).hexdigest()
        self._lock = filelock.FileLock(self.path / LOCK, timeout=0)

    def open(self) -> RunFolder:
        """Take the folder for this run: begin it, or go on with what is there of it.

        Raises:
            ValueError: Another run uses the folder, or it holds a run with other settings, or other
                files.
        """
        if self.path.exists() and not self.path.is_dir():
            raise ValueError(f"{self.path} is a file; want a new or empty folder, or a run's")
        self.path.mkdir(parents=True, exist_ok=True)
        self._refuse_others()
        try:
            self._lock.acquire()
        except filelock.Timeout as error:
            raise ValueError(
                f"{self.path}: another process is writing a run there; wait for it, or choose "
                "another folder"
            ) from error
        try:
            self._check_settings()
            (self.path / CHUNKS).mkdir(exist_ok=True)
        except BaseException:
            self._lock.release()
            raise
        return self

    def close(self) -> None:
        """Let others have the folder."""
        self._lock.release()

    def _refuse_others(self) -> None:
        """Raise a ValueError for a folder of other things, before anything is written there."""
        names = {file.name for file in self.path.iterdir() if file.suffix != ".partial"}
        others = sorted(names - {LOCK, CHUNKS})
        if others and CONFIG not in others:
            raise ValueError(
                f"{self.path} holds {others[0]} and no run; want a new or empty folder, or a run's"
            )

    def _check_settings(self) -> None:
        if not (self.path / CONFIG).is_file():
            self.write_config({})
            return
        before = read_config(self.path)
        self.settings |= {name: before[name] for name in KEPT if name in before}
        refuse_another(self.path, "a run", _telling(before), _telling(self.settings))
        if self.settings["tables"] == "parquet" and not columns.has_parquet():
            raise ValueError(
                f"{self.path} was begun with pyarrow; to go on, pip install 'captum_fv[parquet]'"
            )

    def write_config(self, results: Mapping[str, Any]) -> None:
        """Write config.json: the settings, and what only the run itself could tell."""
        text = json.dumps(self.settings | dict(results), indent=2, sort_keys=True)
        write_atomically(self.path / CONFIG, f"{text}\n".encode())

    def write_table(self, name: str, table: Table) -> None:
        """Write a table of the whole run, as Parquet if pyarrow was installed at its begin."""
        suffix = self.settings["tables"]
        encode = columns.parquet_bytes if suffix == "parquet" else columns.npz_bytes
        write_atomically(self.path / f"{name}.{suffix}", encode(table))

    def write_chunk(self, name: str, table: Table) -> None:
        """Keep what was measured of a chunk."""
        digest = np.array(self._digest(name, table))
        content = columns.npz_bytes({**table, "digest": digest})
        write_atomically(self._chunk_path(name), content)

    def read_chunk(self, name: str) -> Table | None:
        """A chunk measured before; None if there is none, or, with a warning, a damaged one."""
        path = self._chunk_path(name)
        if not path.is_file():
            return None
        content = path.read_bytes()
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as stored:
                table = dict(stored)
            whole = str(table.pop("digest")) == self._digest(name, table)
        except Exception:  # a damaged archive fails anywhere in zipfile, zlib, NumPy or its headers
            whole = False
        if not whole:
            warnings.warn(f"{path} is damaged; its pairs are measured again", stacklevel=2)
            return None
        return table

    def need_chunk(self, name: str) -> Table:
        """A chunk measured before.

        Raises:
            ValueError: It is gone.
        """
        if (table := self.read_chunk(name)) is None:
            raise ValueError(f"{self.path}: {name} is gone; the same command mends it")
        return table

    def _chunk_path(self, name: str) -> Path:
        return self.path / CHUNKS / f"{name}.npz"

    def _digest(self, name: str, table: Table) -> str:
        return columns.sha256({**table, "chunk": np.array([self._identity, name])})


def _telling(config: Mapping[str, Any]) -> dict[str, Any]:
    """The entries that tell one run from another."""
    return {name: value for name, value in config.items() if name not in FREE}
