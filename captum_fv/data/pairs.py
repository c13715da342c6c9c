"""The one shape in which every data set hands over its face pairs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Image = npt.NDArray[np.uint8]
"""One photo: (H, W, 3) uint8, RGB."""


@dataclass(frozen=True)
class PairSet:
    """Face pairs in protocol order: pair k compares image 2k (the reference) with image 2k + 1.

    Images are loaded only when asked for, so a set of any length costs no memory.

    Args:
        name: What reports call the set.
        people: Who is in each image, 2N names; a pair is genuine if both of its names are equal.
        load: Image number in [0, 2N) -> (H, W, 3) uint8 RGB.
    """

    name: str
    people: Sequence[str]
    load: Callable[[int], Image]

    def __post_init__(self) -> None:
        if len(self.people) % 2:
            raise ValueError(f"people: got {len(self.people)} names; want two for each pair")

    def __len__(self) -> int:
        return len(self.people) // 2

    @property
    def genuine(self) -> npt.NDArray[np.bool_]:
        """Which pairs show one person twice, (N,) bool."""
        people = np.asarray(self.people)
        return np.asarray(people[0::2] == people[1::2])

    def pair(self, k: int) -> tuple[Image, Image]:
        """Both images of pair k, (H, W, 3) uint8."""
        return self.load(2 * k), self.load(2 * k + 1)

    def tensors(self, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Images A and images B of some pairs, each (n, 3, H, W) float32 in [0, 1]."""
        images_a, images_b = zip(*(self.pair(k) for k in indices), strict=True)
        return to_tensor(images_a), to_tensor(images_b)

    def batches(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """All pairs in order, at most `size` at a time."""
        for start in range(0, len(self), size):
            yield self.tensors(range(start, min(start + size, len(self))))

    def subset(self, indices: Sequence[int]) -> PairSet:
        """The same images and names for some of the pairs, renumbered from 0."""
        images = [image for k in indices for image in (2 * k, 2 * k + 1)]
        return PairSet(self.name, [self.people[i] for i in images], lambda i: self.load(images[i]))


def to_tensor(images: Sequence[Image]) -> Tensor:
    """(H, W, 3) uint8 photos -> (n, 3, H, W) float32 in [0, 1]."""
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).contiguous().float() / 255


def to_image(tensor: Tensor) -> Image:
    """(3, H, W) in [0, 1] -> (H, W, 3) uint8, rounded and clipped."""
    scaled = (tensor.detach().cpu().float() * 255).round().clamp(0, 255)
    return scaled.byte().permute(1, 2, 0).contiguous().numpy()
