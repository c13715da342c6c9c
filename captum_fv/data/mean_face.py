"""Somebody else's face: the mean of many people's aligned photos, without some of them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from captum_fv.core.arrays import IntArray
from captum_fv.core.checks import check_counts
from captum_fv.data.images import photos_in, read_image
from captum_fv.data.pairs import PairSet, to_tensor


def reference_face(pairs: PairSet, leave_out: Collection[str] = (), at_most: int = 400) -> Tensor:
    """The mean of aligned photos, (1, 3, H, W) in [0, 1]: a face that is nobody's.

    Args:
        pairs: Where the photos come from.
        leave_out: People who are not to be in it, as those of the pair that is explained.
        at_most: So many photos are read, spread evenly over the set.

    Raises:
        ValueError: Nobody is left, or photos of several sizes.
    """
    return MeanFaces(pairs, at_most).without(leave_out)[None]


def read_reference_face(path: str | Path, size: tuple[int, int], at_most: int = 400) -> Tensor:
    """A reference face from files, (1, 3, H, W) in [0, 1].

    Args:
        path: A picture of the face; or a folder of aligned photos of other people than those that
            are explained, whose mean is taken, folders in it included.
        size: (H, W) of all of them.
        at_most: So many photos are read, spread evenly over the folder.

    Raises:
        ValueError: A folder without photos, a file that is no photo or of another size.
    """
    path = Path(path)
    if not path.is_dir():
        return to_tensor([read_image(path, size)])
    photos = photos_in(path)
    numbers = np.linspace(0, len(photos) - 1, min(len(photos), at_most)).round().astype(int)
    return to_tensor([read_image(photos[i], size) for i in numbers]).mean(0, keepdim=True)


@dataclass(frozen=True)
class MeanFaces:
    """Mean faces of one set, each without some of its people; photos are read once, when asked for.

    Args:
        pairs: Where the photos come from.
        at_most: So many photos are read, spread evenly over the set; kept as bytes.
    """

    pairs: PairSet
    at_most: int = 400

    def __post_init__(self) -> None:
        check_counts(at_most=self.at_most)

    @cached_property
    def _numbers(self) -> IntArray:
        images = 2 * len(self.pairs)
        return np.linspace(0, images - 1, min(images, self.at_most)).round().astype(np.int64)

    @cached_property
    def _photos(self) -> npt.NDArray[np.uint8]:
        photos = [self.pairs.load(int(i)) for i in self._numbers]
        if len({photo.shape for photo in photos}) > 1:
            raise ValueError(f"{self.pairs.name}: photos of several sizes have no mean; align them")
        return np.stack(photos)

    @cached_property
    def _total(self) -> npt.NDArray[np.float64]:
        return np.asarray(self._photos.sum(0, dtype=np.float64))

    @property
    def serves_all(self) -> bool:
        """Whether somebody is left whichever two people are taken out."""
        return len({self.pairs.people[i] for i in self._numbers}) > 2

    def without(self, leave_out: Collection[str]) -> Tensor:
        """The mean of the photos that show nobody of these, (3, H, W) float32 in [0, 1].

        Raises:
            ValueError: Nobody is left.
        """
        out = np.array([self.pairs.people[i] in leave_out for i in self._numbers])
        if out.all():
            raise ValueError(f"{self.pairs.name}: nobody is left for a mean face; want more people")
        # The photos of few people, taken from the sum of all, in place of a sum over all the rest.
        rest = self._total - self._photos[out].sum(0, dtype=np.float64)
        mean = torch.from_numpy(rest / (255 * (~out).sum()))
        return mean.permute(2, 0, 1).contiguous().float()
