"""The recipe of Patch-LFW (Huber et al., xSSAB, Sec. 4.2): patches of another face on image A.

They push a genuine pair towards non-match and an impostor pair towards match, and where they lie is
known: a ground truth for explanations. This draws the places and lays the patches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from captum_fv.core.arrays import BoolArray, Image, IntArray
from captum_fv.core.checks import check_counts, check_seed, check_size
from captum_fv.data.pairs import check_photo


@dataclass(frozen=True)
class PatchPlaces:
    """Where the patches of each pair lie and whose they are.

    A patch covers rows [row - patch, row) and columns [column, column + patch): the published
    recipe draws the bottom edge and the left edge.

    Args:
        rows: Bottom edges (exclusive), (N, count) integers in [patch, H].
        columns: Left edges, (N, count) integers in [0, W - patch].
        donors: Number of the image that gave the patches, (N,); counted in the set the places were
            drawn for, also after `subset`.
        size: (H, W) of the images.
        patch: Side of a patch in pixels.
        seed: What the places were drawn with; None if they were not drawn here.
    """

    rows: IntArray
    columns: IntArray
    donors: IntArray
    size: tuple[int, int] = (112, 112)
    patch: int = 16
    seed: int | None = None

    def __len__(self) -> int:
        return len(self.donors)

    def subset(self, indices: Sequence[int]) -> PatchPlaces:
        """The places of some of the pairs."""
        chosen = np.asarray(indices, dtype=np.int64)
        return replace(
            self, rows=self.rows[chosen], columns=self.columns[chosen], donors=self.donors[chosen]
        )


def patch_places(
    people: Sequence[str],
    seed: int = 3,
    size: tuple[int, int] = (112, 112),
    count: int = 27,
    patch: int = 16,
) -> PatchPlaces:
    """Draws the patches of every pair as the published recipe does, bit for bit with the defaults.

    An impostor pair's donor is its own second image; a genuine pair's is any image of the set
    that shows somebody else. The two kinds are drawn apart, each from a fresh generator.

    Args:
        people: Who is in each image, 2N names in pair order.
        seed: Of a private generator; the global one is left alone.
        size: (H, W) of the images.
        count: Patches per pair; they may overlap.
        patch: Side of a patch in pixels, less than both H and W.

    >>> places = patch_places(["ann", "ann", "ann", "bob"])
    >>> places.rows.shape, places.donors.tolist()
    ((2, 27), [3, 3])
    """
    check_size("size", size)
    check_counts(count=count, patch=patch)
    check_seed(seed)
    height, width = size
    if patch >= min(size):
        raise ValueError(
            f"patch: got {patch}; want 1 to {min(size) - 1} on {height}x{width} images"
        )
    if isinstance(people, str) or np.ndim(people) != 1 or len(people) % 2:
        raise ValueError(f"people: got {people!r}; want a list, two names for each pair")
    numbers: dict[str, int] = {}
    persons = np.array([numbers.setdefault(person, len(numbers)) for person in people], np.int64)
    others = _OtherImages(persons)
    persons = persons.reshape(-1, 2)
    genuine = persons[:, 0] == persons[:, 1]
    rows = np.empty((len(persons), count), dtype=np.int64)
    columns = np.empty_like(rows)
    donors = 2 * np.arange(len(persons)) + 1
    for kind in (True, False):
        rng = np.random.RandomState(seed)
        for k in np.flatnonzero(genuine == kind).tolist():
            # The published draws in their order: left edges, bottom edges, and then the donor.
            columns[k] = rng.randint(0, width - patch, count)
            rows[k] = rng.randint(patch, height, count)
            if kind:
                person = int(persons[k, 0])
                if not others.count(person):
                    raise ValueError(
                        f"pair {k}: no patches for {people[2 * k]!r}, who is the only person in "
                        "the set; want at least two people"
                    )
                donors[k] = others.get(person, rng.randint(others.count(person)))
    return PatchPlaces(rows, columns, donors, size, patch, seed)


class _OtherImages:
    """The images that do not show a person, ascending, without a list of them for each person.

    Args:
        persons: Who is in each image, numbered from 0, (2N,).
    """

    def __init__(self, persons: IntArray) -> None:
        self._images = np.argsort(persons, kind="stable")  # one person's after the other's
        counts = np.bincount(persons)
        self._ends = counts.cumsum()
        self._starts = self._ends - counts
        # Of each image, how many of other people stand before it.
        rank = np.arange(len(persons)) - np.repeat(self._starts, counts)
        self._others_before = self._images - rank

    def count(self, person: int) -> int:
        """How many images show somebody else."""
        return int(len(self._images) - self._ends[person] + self._starts[person])

    def get(self, person: int, index: int) -> int:
        """The image with this index among them: it stands behind some of the person's own."""
        own = self._others_before[self._starts[person] : self._ends[person]]
        return index + int(np.searchsorted(own, index, side="right"))


def patch_mask(
    rows: IntArray, columns: IntArray, size: tuple[int, int] = (112, 112), patch: int = 16
) -> BoolArray:
    """Which pixels lie in a patch of one pair, (H, W) bool.

    >>> patch_mask(np.array([2]), np.array([1]), size=(3, 3), patch=2).astype(int).tolist()
    [[0, 1, 1], [0, 1, 1], [0, 0, 0]]
    """
    check_size("size", size)
    check_counts(patch=patch)
    rows, columns = np.asarray(rows), np.asarray(columns)
    integers = rows.dtype.kind in "iu" and columns.dtype.kind in "iu"
    if not integers or rows.ndim != 1 or rows.shape != columns.shape or not rows.size:
        raise ValueError(
            f"rows and columns: got {rows.dtype} {rows.shape} and {columns.dtype} {columns.shape}; "
            "want an integer of each for each patch"
        )
    height, width = size
    low, high, left, right = rows.min(), rows.max(), columns.min(), columns.max()
    if not (patch <= low and high <= height and left >= 0 and right <= width - patch):
        raise ValueError(
            f"patches of {patch} pixels on {height}x{width}: want bottom edges in "
            f"[{patch}, {height}] and left edges in [0, {width - patch}], got "
            f"[{low}, {high}] and [{left}, {right}]"
        )
    mask = np.zeros(size, dtype=np.bool_)
    for row, column in zip(rows, columns, strict=True):
        mask[row - patch : row, column : column + patch] = True
    return mask


def apply_patches(
    image: Image, donor: Image, rows: IntArray, columns: IntArray, patch: int = 16
) -> Image:
    """The image with patches from the same places of the donor, (H, W, 3) uint8."""
    check_photo(image)
    check_photo(donor, "donor")
    if image.shape != donor.shape:
        raise ValueError(
            f"want a donor as large as the image, got {donor.shape} for {image.shape}; "
            "align all faces to one size first"
        )
    mask = patch_mask(rows, columns, image.shape[:2], patch)
    return np.where(mask[..., None], donor, image)
