"""A frozen backbone's grids of many photos, computed once and kept on disk."""

from __future__ import annotations

import hashlib
import json
import os
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm.auto import tqdm

from captum_fv.core.arrays import IntArray
from captum_fv.core.files import alone_in, reading, refuse_another, write_atomically
from captum_fv.data.identities import IdentitySet
from captum_fv.data.pairs import to_tensor
from captum_fv.models.xcos.head import fingerprint
from captum_fv.siamese.model import SiameseCosine

GRIDS, EMBEDDINGS, STATE = "grids.npy", "embeddings.npy", "grids.json"
SAVE_EVERY_S = 10.0
"""Seconds between two notes of how far it came: what an interruption costs at most."""


@dataclass(frozen=True)
class GridCache:
    """Grids, embeddings and people of M photos.

    Args:
        grids: (M, c, h, w) float16, memory-mapped.
        embeddings: (M, d) float32 of unit length.
        people: (M,) numbers of the people.
    """

    grids: npt.NDArray[np.float16]
    embeddings: npt.NDArray[np.float32]
    people: IntArray

    def __len__(self) -> int:
        return len(self.people)


@torch.no_grad()
def cache_grids(
    siamese: SiameseCosine,
    faces: IdentitySet,
    folder: Path,
    *,
    batch_size: int = 64,
    workers: int = 0,
    device: str | torch.device = "cpu",
    show_progress: bool = False,
) -> GridCache:
    """Run every photo through the backbone once; goes on where an interrupted call stopped.

    Args:
        siamese: Its backbone has `features`.
        faces: The photos.
        folder: Where grids.npy and embeddings.npy go: 2 bytes for each number of a grid. One that
            holds another model's grids, or those of other photos, is refused.
        batch_size: Photos per forward; it bounds the memory.
        workers: Processes that load photos; 0 loads them here.
        device: Where the model is.
        show_progress: Show a bar over the photos.

    Raises:
        ValueError: The folder holds grids of something else or damaged ones, another process
            writes there, a photo cannot be read, or a grid is too large for float16.
        OSError: No room for the files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with alone_in(folder):
        _fill(folder, siamese, faces, batch_size, workers, device, show_progress)
        return GridCache(*_open(folder, "r"), faces.labels)


def _fill(
    folder: Path,
    siamese: SiameseCosine,
    faces: IdentitySet,
    batch_size: int,
    workers: int,
    device: str | torch.device,
    show_progress: bool,
) -> None:
    store = _Store(folder, siamese, faces)
    loader: DataLoader[Any] = DataLoader(
        range(store.done, len(faces)),  # type: ignore[arg-type]  # any sequence will do
        batch_size,
        num_workers=workers,
        collate_fn=partial(_load, faces),
        generator=torch.Generator(),  # the loader would draw from the caller's
    )
    with tqdm(
        total=len(faces), initial=store.done, unit="photo", desc="grids", disable=not show_progress
    ) as bar:
        for images in loader:
            if isinstance(images, Exception):
                raise images
            images = images.to(device)
            store.add(siamese.grids(images).half(), siamese.embed_images(images))
            bar.update(len(images))


def _load(faces: IdentitySet, numbers: Sequence[int]) -> Tensor | Exception:
    """These photos (n, 3, H, W), or what is wrong with them.

    An error raised in a worker would come out wrapped in that worker's traceback.
    """
    try:
        return to_tensor([faces.load(i) for i in numbers])
    except (OSError, ValueError) as error:
        return error


class _Store:
    """The files in the making; `done` is how many photos they hold, also after an interruption."""

    def __init__(self, folder: Path, siamese: SiameseCosine, faces: IdentitySet) -> None:
        self.folder, self.count = folder, len(faces)
        self.made_of = {
            "model": fingerprint(siamese.backbone),
            "set": faces.name,
            "photos": len(faces),
            "people": hashlib.sha256("\n".join(faces.people).encode()).hexdigest()[:16],
        }
        self.done, self.sums = 0, [0, 0]
        if (folder / STATE).exists():
            with reading(folder):
                state = json.loads((folder / STATE).read_text())
                self.done, self.sums = int(state.pop("done")), state.pop("crc32")
            refuse_another(folder, "grids", state, self.made_of)
        self.files = _open(folder) if self.done else ()
        if self.done:
            self._check_sums()
        self.saved = time.monotonic()

    def add(self, grids: Tensor, embeddings: Tensor) -> None:
        """Write what the next photos gave; note how far this came, from time to time."""
        if not torch.isfinite(grids).all():
            raise ValueError(
                "the backbone's grids pass 65504, the largest float16; scale them in `features`"
            )
        self.files = self.files or _create(self.folder, self.count, grids, embeddings)
        end = self.done + len(grids)
        for i, values in enumerate((grids, embeddings)):
            file = self.files[i]
            file[self.done : end] = values.cpu()
            self.sums[i] = zlib.crc32(file[self.done : end], self.sums[i])
        self.done = end
        if end == self.count or time.monotonic() - self.saved >= SAVE_EVERY_S:
            for file in self.files:
                file.flush()  # before the note, which must not promise more than the disk holds
            note = json.dumps(self.made_of | {"done": end, "crc32": self.sums})
            write_atomically(self.folder / STATE, note.encode())
            self.saved = time.monotonic()

    def _check_sums(self) -> None:
        """Raise a ValueError if the files no longer hold what was written."""
        with reading(self.folder):
            for file, wanted in zip(self.files, self.sums, strict=True):
                found = 0
                for start in range(0, self.done, 1024):  # a part at a time, as memory is short
                    found = zlib.crc32(file[start : min(start + 1024, self.done)], found)
                if found != wanted:
                    raise ValueError("the grids or embeddings are not those that were written")


def _open(folder: Path, mode: Literal["r", "r+"] = "r+") -> tuple[Any, Any]:
    paths = folder / GRIDS, folder / EMBEDDINGS
    with reading(folder):
        for path in paths:
            np.load(path, "r")  # fails on a file cut short, which "r+" would fill up with zeros
        grids, embeddings = (np.load(path, mode) for path in paths)
    return grids, embeddings


def _create(folder: Path, count: int, grid: Tensor, embedding: Tensor) -> tuple[Any, Any]:
    return (
        _allocate(folder / GRIDS, np.float16, (count, *grid.shape[1:])),
        _allocate(folder / EMBEDDINGS, np.float32, (count, *embedding.shape[1:])),
    )


def _allocate(path: Path, kind: type[np.floating[Any]], shape: tuple[int, ...]) -> Any:
    """A memory-mapped file with all of its room on the disk: a full one is an error.

    Without that room, a write to the mapped memory would end the process by a bus error.
    """
    try:
        values = np.lib.format.open_memmap(path, "w+", kind, shape)
        if hasattr(os, "posix_fallocate"):
            with path.open("r+b") as file:
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
        else:
            values[:] = 0
            values.flush()
    except OSError as error:
        path.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(path)) from error
    return values
