"""Pairs whose image A has patches: as a set that makes them when asked, and some at once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache, partial

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from captum_fv.core.arrays import BoolArray, Image, IntArray
from captum_fv.data.mean_face import MeanFaces
from captum_fv.data.pairs import (
    PairSet,
    check_indices,
    check_photo,
    in_batches,
    load_chosen,
    to_tensor,
)
from captum_fv.data.patches import PatchPlaces, apply_patches, patch_mask, patch_places


@dataclass(frozen=True)
class PatchedPairs:
    """Pairs (patched A, B) with the original A and the true patch mask, made when asked for.

    Args:
        clean: The pairs without patches.
        places: Where the patches of each pair lie.
        patched: Pair number -> patched A, (H, W, 3) uint8; drawn, or read from files.
    """

    clean: PairSet
    places: PatchPlaces
    patched: Callable[[int], Image]

    def __len__(self) -> int:
        return len(self.clean)

    @property
    def genuine(self) -> BoolArray:
        """Which pairs show one person twice, (N,) bool."""
        return self.clean.genuine

    def original(self, k: int) -> Image:
        """Image A of pair k before it was patched."""
        return self.clean.load(2 * k)

    def partner(self, k: int) -> Image:
        """Image B of pair k, which has no patches."""
        return self.clean.load(2 * k + 1)

    def mask(self, k: int) -> BoolArray:
        """Which pixels of patched A lie in a patch, (H, W) bool."""
        places = self.places
        return patch_mask(places.rows[k], places.columns[k], places.size, places.patch)

    def tensors(self, indices: Sequence[int]) -> tuple[Tensor, Tensor, Tensor]:
        """Patched A, original A and B of some pairs, each (n, 3, H, W) float32 in [0, 1]."""
        chosen = check_indices(indices, len(self))
        images = [(self.patched(k), self.original(k), self.partner(k)) for k in chosen]
        patched_a, original_a, img_b = (to_tensor(side) for side in zip(*images, strict=True))
        return patched_a, original_a, img_b

    def masks(self, indices: Sequence[int]) -> Tensor:
        """The patch masks of some pairs, (n, 1, H, W) bool."""
        masks = [self.mask(k) for k in check_indices(indices, len(self))]
        return torch.from_numpy(np.stack(masks)).unsqueeze(1)

    def batch(self, indices: Sequence[int]) -> PairBatch:
        """`tensors` and `masks` of some pairs, with their numbers and labels."""
        indices = check_indices(indices, len(self))
        numbers, genuine = np.asarray(indices, np.int64), self.clean.subset(indices).genuine
        tensors = self.tensors(indices)
        return PairBatch(numbers, genuine, *tensors, self.masks(indices), self.mean_faces)

    def mean_faces(self, batch: PairBatch) -> Tensor | None:
        """For each pair of a batch the mean face of other people, (n, 3, H, W) in [0, 1].

        None in a set of fewer than three people, where nobody may be left.
        """
        if not self._means.serves_all:
            return None
        people = self.clean.people
        pairs = [{people[2 * k], people[2 * k + 1]} for k in batch.numbers]
        return torch.stack([self._means.without(both) for both in pairs])

    @cached_property
    def _means(self) -> MeanFaces:
        return MeanFaces(self.clean)

    def batches(self, size: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """`tensors` of all pairs in order, at most `size` pairs at a time."""
        return map(self.tensors, in_batches(len(self), size))

    def subset(self, indices: Sequence[int]) -> PatchedPairs:
        """Some of the pairs with the patches they have here, renumbered from 0."""
        chosen = check_indices(indices, len(self), some=False)
        return PatchedPairs(
            self.clean.subset(chosen),
            self.places.subset(chosen),
            partial(load_chosen, self.patched, chosen),
        )


def no_faces(batch: PairBatch) -> None:
    """No mean faces."""


@dataclass(frozen=True)
class PairBatch:
    """Patched pairs of one set.

    Args:
        numbers: (n,) the pairs' numbers in their set.
        genuine: (n,) bool.
        patched_a, original_a, img_b: (n, C, H, W).
        mask: Where A was patched, (n, 1, H, W) bool.
        mean_faces: A batch -> for each pair the mean of other people's faces, (n, C, H, W); None if
            there is none.
    """

    numbers: IntArray
    genuine: BoolArray
    patched_a: Tensor
    original_a: Tensor
    img_b: Tensor
    mask: Tensor
    mean_faces: Callable[[PairBatch], Tensor | None] = no_faces

    @property
    def reference(self) -> Tensor | None:
        """Somebody else's face for each pair, (n, C, H, W), made when asked for."""
        return self.mean_faces(self)

    def __len__(self) -> int:
        return len(self.numbers)

    @classmethod
    def joined(cls, parts: Sequence[PairBatch]) -> PairBatch:
        """The pairs of all parts, one after the other."""
        if len(parts) == 1:
            return parts[0]
        return cls(
            np.concatenate([part.numbers for part in parts]),
            np.concatenate([part.genuine for part in parts]),
            torch.cat([part.patched_a for part in parts]),
            torch.cat([part.original_a for part in parts]),
            torch.cat([part.img_b for part in parts]),
            torch.cat([part.mask for part in parts]),
            parts[0].mean_faces,
        )

    def rows(self, chosen: Sequence[int] | npt.NDArray[np.intp]) -> PairBatch:
        """Some of the pairs."""
        index = np.asarray(chosen, dtype=np.intp)
        where = torch.from_numpy(index).to(self.patched_a.device)
        tensors = self._each(lambda tensor: tensor[where])
        return PairBatch(self.numbers[index], self.genuine[index], *tensors, self.mean_faces)

    def split(self, size: int) -> list[PairBatch]:
        """The pairs in order, at most `size` at a time."""
        return [self.rows(chosen) for chosen in in_batches(len(self), size)]

    def to(self, device: str | torch.device) -> PairBatch:
        """The same pairs on a device."""
        tensors = self._each(lambda tensor: tensor.to(device))
        return PairBatch(self.numbers, self.genuine, *tensors, self.mean_faces)

    def image_hashes(self) -> npt.NDArray[np.str_]:
        """A sha256 of each pair's three images, (n,) of 64 hexadecimal digits."""
        sides = (self.patched_a, self.original_a, self.img_b)
        triples = zip(*(images.cpu().numpy() for images in sides), strict=True)
        contents = (b"".join(image.tobytes() for image in triple) for triple in triples)
        return np.array([hashlib.sha256(content).hexdigest() for content in contents])

    def _each(self, change: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        images = change(self.patched_a), change(self.original_a), change(self.img_b)
        return *images, change(self.mask)


def patch_pairs(pairs: PairSet, seed: int = 3, count: int = 27, patch: int = 16) -> PatchedPairs:
    """Patch-LFW over any pairs of images of one size: `patch_places` applied on the fly.

    A subset of the result keeps its patches; patching a subset draws anew.
    """
    if not isinstance(pairs, PairSet):
        raise TypeError(f"pairs: got {type(pairs).__name__}; want a PairSet")
    if not len(pairs):
        raise ValueError(f"{pairs.name}: no pairs to patch")
    recent = _Recent(pairs.load)
    first = recent(0)
    check_photo(first, f"{pairs.name}: image 0")
    pairs = replace(pairs, load=recent)
    height, width = first.shape[:2]
    places = patch_places(pairs.people, seed, (height, width), count, patch)

    return PatchedPairs(pairs, places, partial(_lay_patches, pairs, places))


def _lay_patches(pairs: PairSet, places: PatchPlaces, k: int) -> Image:
    image, donor = pairs.load(2 * k), pairs.load(int(places.donors[k]))
    if image.shape[:2] != places.size:
        raise ValueError(
            f"{pairs.name}: image {2 * k} is {image.shape[0]}x{image.shape[1]}, image 0 is "
            f"{places.size[0]}x{places.size[1]}; want one size for all"
        )
    return apply_patches(image, donor, places.rows[k], places.columns[k], places.patch)


class _Recent:
    """Loads images, and keeps a few: A and its donor are asked for as they are and for patched A.

    Other processes are given the loader and keep images of their own.
    """

    def __init__(self, load: Callable[[int], Image]) -> None:
        self._load = load
        self._kept = lru_cache(maxsize=4)(load)

    def __call__(self, i: int) -> Image:
        return np.array(self._kept(i))

    def __reduce__(self) -> tuple[type[_Recent], tuple[Callable[[int], Image]]]:
        return _Recent, (self._load,)
