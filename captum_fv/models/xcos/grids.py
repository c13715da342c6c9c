"""A frozen backbone's grids of many photos, computed once and kept on disk."""

from __future__ import annotations

import hashlib
import json
import time
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
from captum_fv.core.files import reading, write_atomically
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
        ValueError: The folder holds grids of something else or damaged ones, a photo cannot be
            read, or a grid is too large for float16.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names = hashlib.sha256("\n".join(faces.people).encode()).hexdigest()[:16]
    made_of = {
        "model": fingerprint(siamese.backbone),
        "set": faces.name,
        "photos": len(faces),
        "people": names,
    }
    done = _done(folder, made_of)
    grids: Any = None
    embeddings: Any = None
    if done:
        grids, embeddings = _open(folder)
    loader: DataLoader[Any] = DataLoader(
        range(done, len(faces)),  # type: ignore[arg-type]  # any sequence will do
        batch_size,
        num_workers=workers,
        collate_fn=partial(_load, faces),
        generator=torch.Generator(),  # the loader would draw from the caller's
    )
    with tqdm(
        total=len(faces), initial=done, unit="photo", desc="grids", disable=not show_progress
    ) as bar:
        saved = time.monotonic()
        for images in loader:
            if isinstance(images, Exception):
                raise images
            images = images.to(device)
            grid, embedding = siamese.grids(images).half(), siamese.embed_images(images)
            if not torch.isfinite(grid).all():
                raise ValueError(
                    "the backbone's grids pass 65504, the largest float16; scale them in `features`"
                )
            if grids is None:
                grids, embeddings = _create(folder, len(faces), grid, embedding)
            end = done + len(images)
            grids[done:end], embeddings[done:end] = grid.cpu(), embedding.cpu()
            done = end
            if time.monotonic() - saved >= SAVE_EVERY_S or done == len(faces):
                grids.flush()
                embeddings.flush()
                write_atomically(folder / STATE, json.dumps(made_of | {"done": done}).encode())
                saved = time.monotonic()
            bar.update(len(images))
    return GridCache(*_open(folder, "r"), faces.labels)


def _load(faces: IdentitySet, numbers: Sequence[int]) -> Tensor | Exception:
    """These photos (n, 3, H, W), or what is wrong with them.

    An error raised in a worker would come out wrapped in that worker's traceback.
    """
    try:
        return to_tensor([faces.load(i) for i in numbers])
    except (OSError, ValueError) as error:
        return error


def _done(folder: Path, made_of: dict[str, Any]) -> int:
    """How many photos an earlier call has done."""
    path = folder / STATE
    if not path.exists():
        return 0
    with reading(folder):
        state = json.loads(path.read_text())
        done = int(state.pop("done"))
    different = [name for name in made_of if state.get(name) != made_of[name]]
    if different:
        name = different[0]
        raise ValueError(
            f"{folder} holds grids with {name} {state.get(name)!r}, and this is "
            f"{made_of[name]!r}; choose another folder, or remove that one"
        )
    return done


def _open(folder: Path, mode: Literal["r", "r+"] = "r+") -> tuple[Any, Any]:
    paths = folder / GRIDS, folder / EMBEDDINGS
    with reading(folder):
        for path in paths:
            np.load(path, "r")  # fails on a file cut short, which "r+" would fill up with zeros
        grids, embeddings = (np.load(path, mode) for path in paths)
    return grids, embeddings


def _create(folder: Path, count: int, grid: Tensor, embedding: Tensor) -> tuple[Any, Any]:
    create = np.lib.format.open_memmap
    return (
        create(folder / GRIDS, "w+", np.float16, (count, *grid.shape[1:])),
        create(folder / EMBEDDINGS, "w+", np.float32, (count, *embedding.shape[1:])),
    )
