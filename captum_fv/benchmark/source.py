"""Where a benchmark's pairs come from, in chunks that any process can load by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from captum_fv.benchmark import columns
from captum_fv.data.pairs import in_batches
from captum_fv.data.patched_pairs import PairBatch, PatchedPairs, no_faces

Item = Sequence[Any]
"""Patched A, original A and B, each (n, C, H, W) in [0, 1], and which pairs are genuine, (n,)."""

Wanted = Callable[[int], bool]
"""Whether the chunk of this number, of pairs that are measured together, is wanted."""


PIECE = 8
"""Pairs that a worker loads at once, so that all have a part in each chunk."""


@dataclass(frozen=True)
class PatchedSource:
    """PatchedPairs, `chunk_size` at a time, loaded by `workers` processes ahead of the model."""

    patched: PatchedPairs
    chunk_size: int
    workers: int = 0

    def chunks(self, wanted: Wanted = lambda number: True) -> Iterator[PairBatch | None]:
        """All chunks in order, in the place of one that nobody wants None."""
        chunks = [
            [numbers[k : k + PIECE] for k in range(0, len(numbers), PIECE)]
            for numbers in in_batches(self.count, self.chunk_size)
        ]
        are_wanted = [wanted(number) for number in range(len(chunks))]
        asked = [
            piece for pieces, yes in zip(chunks, are_wanted, strict=True) if yes for piece in pieces
        ]
        loader: DataLoader[Any] = DataLoader(
            asked,  # type: ignore[arg-type]  # any sequence will do
            batch_size=None,
            num_workers=min(self.workers, max(0, len(asked) - 1)),
            collate_fn=partial(_load, self.patched),
            generator=torch.Generator(),  # the loader would draw from the caller's
        )
        loaded = iter(loader)
        for pieces, yes in zip(chunks, are_wanted, strict=True):
            if not yes:
                yield None
                continue
            parts = []
            for _ in pieces:
                if isinstance(part := next(loaded), Exception):
                    raise part
                parts.append(part)
            yield replace(PairBatch.joined(parts), mean_faces=self.patched.mean_faces)

    @property
    def count(self) -> int:
        """How many pairs there are."""
        return len(self.patched)

    def batch(self, numbers: Sequence[int]) -> PairBatch:
        """Pairs by their numbers, which ascend."""
        return self.patched.batch(numbers)

    def identity(self) -> dict[str, Any]:
        """The set's name and length, and a hash of who is in it and where the patches lie."""
        places = self.patched.places
        people = np.frombuffer(
            "\n".join(map(str, self.patched.clean.people)).encode(), dtype=np.uint8
        )
        sizes = np.array([*places.size, places.patch])
        drawn = {"rows": places.rows, "columns": places.columns, "donors": places.donors}
        digest = columns.sha256({"people": people, "sizes": sizes, **drawn})
        return {"name": self.patched.clean.name, "pairs": self.count, "places_sha256": digest}


@dataclass(frozen=True)
class IterableSource:
    """Batches of a DataLoader or another iterable, which gives the same ones in every pass."""

    items: Iterable[Item]
    name: str
    count: None = None
    """Only a pass over them tells."""

    def chunks(self, wanted: Wanted = lambda number: True) -> Iterator[PairBatch | None]:
        """All batches in order, in the place of one that nobody wants None."""
        first = 0
        for number, item in enumerate(self.items):
            batch = replace(_as_batch(item, number, first), mean_faces=self.mean_faces)
            first += len(batch)
            yield batch if wanted(number) else None

    def batch(self, numbers: Sequence[int]) -> PairBatch:
        """Pairs by their numbers, which ascend."""
        found = []
        for batch in self.chunks():
            assert batch is not None
            found.append(batch.rows(np.flatnonzero(np.isin(batch.numbers, numbers))))
        return replace(PairBatch.joined(found), mean_faces=self.mean_faces)

    def mean_faces(self, batch: PairBatch) -> Tensor | None:
        """For each pair of a batch the mean of all photos but its own: there are no names."""
        total, count = self._sum
        if count < 2:
            return None
        own = batch.original_a.cpu().double() + batch.img_b.cpu().double()
        return ((total - own) / (2 * count - 2)).to(batch.img_b)

    @cached_property
    def _sum(self) -> tuple[Tensor, int]:
        """The sum of all photos without patches, and the number of pairs."""
        total, count = torch.zeros((), dtype=torch.float64), 0
        for _, original_a, img_b, _ in self.items:
            total = total + (original_a.cpu().double() + img_b.cpu().double()).sum(0)
            count += len(img_b)
        return total, count

    def identity(self) -> dict[str, Any]:
        """The name; the images' hashes, taken in the first pass, tell the rest."""
        return {"name": self.name}


PairSource = PatchedSource | IterableSource
"""Patched pairs in chunks; the same each time they are asked for."""


def as_source(
    pairs: PatchedPairs | Iterable[Item], chunk_size: int, name: str = "pairs", workers: int = 0
) -> PairSource:
    """A source of patched pairs, or of what a DataLoader or any other iterable gives.

    An iterator, such as a generator, is read into memory, since a run reads its pairs more than
    once.

    Args:
        pairs: PatchedPairs, or batches (patched_a, original_a, img_b, genuine).
        chunk_size: Pairs of PatchedPairs in a chunk; each batch of an iterable is one.
        name: What reports call the pairs of an iterable.
        workers: Processes that load PatchedPairs ahead; 0 loads them here.
    """
    if isinstance(pairs, PatchedPairs):
        return PatchedSource(pairs, chunk_size, workers)
    if not isinstance(pairs, Iterable):
        raise TypeError(
            f"pairs: got {type(pairs).__name__}; want PatchedPairs, as patch_pairs gives, or an "
            "iterable of (patched_a, original_a, img_b, genuine)"
        )
    return IterableSource(list(pairs) if isinstance(pairs, Iterator) else pairs, name)


def _load(patched: PatchedPairs, numbers: Sequence[int]) -> PairBatch | Exception:
    """Some pairs without the mean faces, for which all photos are read, or what is wrong with them.

    An error raised in a worker would come out wrapped in that worker's traceback.
    """
    try:
        batch = patched.batch(numbers)
    except (OSError, ValueError) as error:
        return error
    return PairBatch(**vars(batch) | {"mean_faces": no_faces})


def _as_batch(item: Item, number: int, first: int) -> PairBatch:
    if not isinstance(item, tuple | list) or len(item) != 4:
        raise ValueError(
            f"batch {number}: got {type(item).__name__}; want a tuple (patched_a, original_a, "
            "img_b, genuine)"
        )
    *images, labels = item
    for name, side in zip(("patched_a", "original_a", "img_b"), images, strict=True):
        if not isinstance(side, Tensor) or side.ndim != 4 or not side.is_floating_point():
            came = f"{side.dtype} {tuple(side.shape)}" if isinstance(side, Tensor) else type(side)
            raise ValueError(
                f"batch {number}, {name}: got {came}; want floating point (n, C, H, W)"
            )
    patched_a, original_a, img_b = images
    genuine = np.asarray(labels)
    if not patched_a.shape == original_a.shape == img_b.shape or genuine.shape != (len(img_b),):
        raise ValueError(
            f"batch {number}: got images {tuple(patched_a.shape)}, {tuple(original_a.shape)} and "
            f"{tuple(img_b.shape)} and genuine {genuine.shape}; want equal shapes and one label "
            "for each pair"
        )
    if not np.isin(genuine, (0, 1)).all():
        raise ValueError(f"batch {number}, genuine: want booleans, or 0 and 1")
    mask = (patched_a != original_a).any(1, keepdim=True)
    numbers = np.arange(first, first + len(img_b))
    return PairBatch(numbers, genuine.astype(bool), patched_a, original_a, img_b, mask)
