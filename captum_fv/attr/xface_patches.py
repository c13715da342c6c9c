"""Where occlusion puts its patches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import torch
from torch import Tensor

from captum_fv.attr.smoothing import gaussian_blur
from captum_fv.core.checks import check_choice, is_count

Shape = Literal["square", "circle"]


@dataclass(frozen=True)
class PatchGrid:
    """The places of one patch size p, row-major; a patch covers p + 1 pixels each way.

    Only where they begin is stored: masks are drawn for the few patches that are asked for.

    Args:
        size: p, in pixels.
        shape: "square", or "circle" for the disc that fits into that square.
        image_size: (H, W).
        tops, lefts: Top rows and left columns, each an ascending tensor; every top goes with every
            left.
    """

    size: int
    shape: Shape
    image_size: tuple[int, int]
    tops: Tensor
    lefts: Tensor

    def __len__(self) -> int:
        return len(self.tops) * len(self.lefts)

    @cached_property
    def corners(self) -> Tensor:
        """Top row and left column of each patch, (n, 2)."""
        return torch.cartesian_prod(self.tops, self.lefts)

    def masks(self, count: int) -> Iterator[Tensor]:
        """All masks in order, `count` at a time: bool (n, H, W), True under the patch."""
        for corners in torch.split(self.corners, count):
            down, across = (
                self._offsets(starts, length)
                for starts, length in zip(corners.unbind(1), self.image_size, strict=True)
            )
            if self.shape == "circle":
                squares = (down - self.size / 2) ** 2, (across - self.size / 2) ** 2
                yield squares[0][:, :, None] + squares[1][:, None] <= ((self.size + 1) / 2) ** 2
            else:
                yield self._within(down)[:, :, None] & self._within(across)[:, None]

    def cover(self, image: Tensor, fill: Tensor, count: int) -> Iterator[Tensor]:
        """The image (C, H, W) with each patch filled, in order, `count` at a time: (n, C, H, W).

        Args:
            image: What is covered.
            fill: What shows under the patches, broadcastable to the image.
            count: How many are made at once; they last until the next ones are asked for.
        """
        if self.shape == "circle" or image.is_cuda:  # where a thousand launches take longer
            for masks in self.masks(count):
                yield torch.where(masks[:, None], fill, image)
            return
        fill = fill.expand_as(image)
        covered = image.repeat(min(count, len(self)), 1, 1, 1)
        for corners in torch.split(self.corners, count):
            patches = [
                (..., slice(top, top + self.size + 1), slice(left, left + self.size + 1))
                for top, left in corners.tolist()
            ]
            # Several times faster than masks over whole images, for most of each stays.
            for one, patch in zip(covered, patches, strict=False):
                one[patch] = fill[patch]
            yield covered[: len(patches)]
            for one, patch in zip(covered, patches, strict=False):
                one[patch] = image[patch]

    def spread(self, weights: Tensor) -> Tensor:
        """Sum over patches of weight times mask: (m, n) -> (m, H, W)."""
        if self.shape == "square":  # whose mask is the product of its rows and of its columns
            down, across = (
                self._within(self._offsets(starts, length)).to(weights)
                for starts, length in zip((self.tops, self.lefts), self.image_size, strict=True)
            )
            by_corner = weights.reshape(len(weights), len(down), len(across))
            return torch.einsum("mij,ih,jw->mhw", by_corner, down, across)
        total = weights.new_zeros(len(weights), *self.image_size)
        for part, masks in zip(torch.split(weights, 64, dim=1), self.masks(64), strict=True):
            total += torch.einsum("mk,khw->mhw", part, masks.to(weights))
        return total

    @staticmethod
    def _offsets(starts: Tensor, length: int) -> Tensor:
        """How far so many rows, or columns, are from where each patch begins, (n, length)."""
        return torch.arange(length, device=starts.device) - starts[:, None]

    def _within(self, offsets: Tensor) -> Tensor:
        return (offsets >= 0) & (offsets <= self.size)


@dataclass(frozen=True)
class PatchPlan:
    """Where patches go, for images of any size.

    Corners are 0, stride, 2 stride, ... strictly below H - p, as published; `cover_edges` adds one
    that touches the last row or column wherever they are missed.

    Args:
        patch_sizes: The sizes p, in pixels.
        stride: Pixels from patch to patch: one number, or one for each size.
        shape: "square" or "circle".
        cover_edges: Cover the last rows and columns too.

    Raises:
        ValueError: Numbers that are not whole and positive, too many or too few, or no such shape.

    >>> [len(grid) for grid in PatchPlan((7, 14, 28), 5).grids(torch.zeros(3, 112, 112))]
    [441, 400, 289]
    """

    patch_sizes: Sequence[int]
    stride: int | Sequence[int]
    shape: Shape = "square"
    cover_edges: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.patch_sizes, Sequence):
            raise TypeError(f"patch_sizes: got {self.patch_sizes!r}; want several, as (7, 14)")
        for name, values in (("patch_sizes", self.patch_sizes), ("stride", self.strides)):
            if not values or not all(map(is_count, values)):
                raise ValueError(f"{name}: got {values}; want whole numbers of 1 or more")
        if len(self.strides) != len(self.patch_sizes):
            raise ValueError(
                f"stride: got {self.stride} for patch_sizes {self.patch_sizes}; want one number, "
                "or one for each size"
            )
        check_choice("shape", self.shape, get_args(Shape))

    @property
    def strides(self) -> Sequence[int]:
        """The stride of each patch size."""
        if isinstance(self.stride, Sequence):
            return self.stride
        return [self.stride] * len(self.patch_sizes)

    def grids(self, image: Tensor) -> list[PatchGrid]:
        """One grid per patch size, for images like this one, (..., H, W).

        Raises:
            ValueError: A patch does not fit into the image.
        """
        height, width = image.shape[-2:]
        grids = []
        for size, stride in zip(self.patch_sizes, self.strides, strict=True):
            if size >= min(height, width):
                raise ValueError(
                    f"patch_sizes: a patch of {size} covers {size + 1} pixels each way and does "
                    f"not fit into {height}x{width}; want patches below {min(height, width)}"
                )
            axes = []
            for last in (height - size - 1, width - size - 1):
                starts = torch.arange(0, last + 1, stride, device=image.device)
                if self.cover_edges and last % stride:
                    starts = torch.cat([starts, starts.new_full((1,), last)])
                axes.append(starts)
            grids.append(PatchGrid(size, self.shape, (height, width), *axes))
        return grids


def masks_of(grids: Sequence[PatchGrid]) -> Tensor:
    """The masks of all patches of all sizes, bool (M, H, W)."""
    return torch.cat([masks for grid in grids for masks in grid.masks(64)])


def maps_of_falls(
    grids: Sequence[PatchGrid], falls: Sequence[Tensor], normalise_coverage: bool
) -> Tensor:
    """The maps, (m, H, W), of how far m scores fall with each patch, (m, n) for each size."""
    maps = []
    for grid, weights in zip(grids, falls, strict=True):
        spread = grid.spread(weights) / grid.size**2
        if normalise_coverage:
            spread /= grid.spread(torch.ones_like(weights)).clamp(min=1)
        else:
            spread /= len(grid)
        maps.append(gaussian_blur(spread[None])[0])
    return torch.stack(maps).mean(0)
