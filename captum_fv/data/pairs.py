"""The one shape in which every data set hands over its face pairs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from captum_fv.core.arrays import BoolArray, Image
from captum_fv.core.checks import check_counts, check_tensor, check_values

T = TypeVar("T")


@dataclass(frozen=True)
class PairSet:
    """Face pairs in protocol order: pair k compares image 2k (the reference) with image 2k + 1.

    Images are loaded only when asked for, so a set of any length costs no memory.

    Args:
        name: What reports call the set.
        people: Who is in each image, 2N names; a pair is genuine if both of its names are equal.
        load: Image number in [0, 2N) -> (H, W, 3) uint8 RGB. A set pickles if this does.
        names: What each image is called, 2N; empty where they have none.
        labelled: Whether `people` says which pairs are genuine; else nobody knows.
    """

    name: str
    people: Sequence[str]
    load: Callable[[int], Image]
    names: Sequence[str] = ()
    labelled: bool = True

    def __post_init__(self) -> None:
        if isinstance(self.people, str) or not isinstance(self.people, Sequence | np.ndarray):
            raise TypeError(
                f"people: got {type(self.people).__name__}; want a list, two names for each pair"
            )
        if len(self.people) % 2:
            raise ValueError(f"people: got {len(self.people)} names; want two for each pair")

    def __len__(self) -> int:
        return len(self.people) // 2

    @property
    def genuine(self) -> BoolArray:
        """Which pairs show one person twice, (N,) bool."""
        people = np.asarray(self.people)
        return np.asarray(people[0::2] == people[1::2])

    def pair(self, k: int) -> tuple[Image, Image]:
        """Both images of pair k, (H, W, 3) uint8."""
        return self.load(2 * k), self.load(2 * k + 1)

    def tensors(self, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Images A and images B of some pairs, each (n, 3, H, W) float32 in [0, 1]."""
        chosen = check_indices(indices, len(self))
        images_a, images_b = zip(*(self.pair(k) for k in chosen), strict=True)
        return to_tensor(images_a), to_tensor(images_b)

    def batches(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """All pairs in order, at most `size` at a time."""
        return map(self.tensors, in_batches(len(self), size))

    def subset(self, indices: Sequence[int]) -> PairSet:
        """The same images and names for some of the pairs, renumbered from 0."""
        chosen = check_indices(indices, len(self), some=False)
        images = [image for k in chosen for image in (2 * k, 2 * k + 1)]
        return PairSet(
            self.name,
            [self.people[i] for i in images],
            partial(load_chosen, self.load, images),
            [self.names[i] for i in images] if self.names else (),
            self.labelled,
        )


def load_chosen(load: Callable[[T], Image], chosen: Sequence[T], i: int) -> Image:
    """What is loaded as number i of some; a function that other processes can be given."""
    return load(chosen[i])


def check_photo(image: object, name: str = "image") -> None:
    """Raise unless this is a photo, (H, W, 3) uint8, with pixels."""
    if not isinstance(image, np.ndarray):
        raise TypeError(f"{name}: got {type(image).__name__}; want an array (H, W, 3) of uint8")
    if image.dtype != np.uint8 or image.shape[2:] != (3,) or 0 in image.shape:
        raise ValueError(
            f"{name}: got {image.dtype} of shape {image.shape}; want uint8 (H, W, 3), RGB"
        )


def in_batches(count: int, size: int) -> Iterator[range]:
    """The numbers from 0 to below `count` in order, at most `size` at a time."""
    check_counts(size=size)
    for start in range(0, count, size):
        yield range(start, min(start + size, count))


def check_indices(indices: Sequence[int], count: int, some: bool = True) -> list[int]:
    """The numbers of some of `count` pairs, at least of one if `some`; else a ValueError."""
    chosen = np.asarray(indices)
    if chosen.size == 0 and not some:
        return []
    whole = chosen.ndim == 1 and chosen.dtype.kind in "iu" and chosen.size
    if not whole or chosen.min() < 0 or chosen.max() >= count:
        raise ValueError(f"indices: got {indices!r}; want numbers of pairs from 0 to {count - 1}")
    return [int(k) for k in chosen]


def to_tensor(images: Sequence[Image]) -> Tensor:
    """(H, W, 3) uint8 photos -> (n, 3, H, W) float32 in [0, 1]."""
    if not isinstance(images, Sequence | np.ndarray) or not len(images):
        raise ValueError(f"images: got {type(images).__name__}, want one photo or more in a list")
    for k, image in enumerate(images):
        check_photo(image, f"image {k}")
        if image.shape != images[0].shape:
            raise ValueError(
                f"image {k} is {image.shape} and image 0 is {images[0].shape}; want one size for "
                "all, as align_face gives"
            )
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).contiguous().float() / 255


def to_image(tensor: Tensor) -> Image:
    """(3, H, W) in [0, 1] -> (H, W, 3) uint8, rounded and clipped."""
    check_tensor("tensor", tensor, "a tensor (3, H, W)")
    check_values("tensor", tensor)
    if tensor.ndim != 3 or 0 in tensor.shape:
        raise ValueError(f"tensor: got shape {tuple(tensor.shape)}; want one photo, (3, H, W)")
    scaled = (tensor.detach().cpu().float() * 255).round().clamp(0, 255)
    return scaled.byte().permute(1, 2, 0).contiguous().numpy()
