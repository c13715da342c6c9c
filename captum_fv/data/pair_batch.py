"""Some patched pairs at once, with all that a method or a metric may ask of them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor


@dataclass(frozen=True)
class PairBatch:
    """Patched pairs of one set.

    Args:
        numbers: (n,) the pairs' numbers in their set.
        genuine: (n,) bool.
        patched_a, original_a, img_b: (n, C, H, W).
        mask: Where A was patched, (n, 1, H, W) bool.
    """

    numbers: npt.NDArray[np.int64]
    genuine: npt.NDArray[np.bool_]
    patched_a: Tensor
    original_a: Tensor
    img_b: Tensor
    mask: Tensor

    def __len__(self) -> int:
        return len(self.numbers)

    def rows(self, chosen: Sequence[int] | npt.NDArray[np.intp]) -> PairBatch:
        """Some of the pairs."""
        index = np.asarray(chosen, dtype=np.intp)
        where = torch.from_numpy(index).to(self.patched_a.device)
        return PairBatch(
            self.numbers[index],
            self.genuine[index],
            self.patched_a[where],
            self.original_a[where],
            self.img_b[where],
            self.mask[where],
        )

    def split(self, size: int) -> list[PairBatch]:
        """The pairs in order, at most `size` at a time."""
        return [
            self.rows(range(start, min(start + size, len(self))))
            for start in range(0, len(self), size)
        ]

    def to(self, device: str | torch.device) -> PairBatch:
        """The same pairs on a device."""
        return replace(
            self,
            patched_a=self.patched_a.to(device),
            original_a=self.original_a.to(device),
            img_b=self.img_b.to(device),
            mask=self.mask.to(device),
        )

    def image_hashes(self) -> npt.NDArray[np.str_]:
        """A sha256 of each pair's three images, (n,) of 64 hexadecimal digits."""
        hashes = []
        for images in zip(self.patched_a, self.original_a, self.img_b, strict=True):
            digest = hashlib.sha256()
            for image in images:
                digest.update(image.contiguous().cpu().numpy().tobytes())
            hashes.append(digest.hexdigest())
        return np.array(hashes)
