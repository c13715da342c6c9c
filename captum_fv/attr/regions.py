"""Cells of a grid or named regions of a face, which are hidden and kept as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from captum_fv.core.arrays import FloatArray, IntArray
from captum_fv.metrics.positions import cell_numbers


@dataclass(frozen=True, eq=False)
class Regions:
    """Which region each pixel of a face belongs to.

    Args:
        labels: The number of each pixel's region from 0, (H, W), integers; -1 for pixels of none,
            which are never hidden. Any face parser's label map will do.
        names: What the regions are called, in the order of their numbers.

    Raises:
        ValueError: Labels that are no such map, a region without pixels, or names that do not fit.

    >>> face = Regions(np.array([[0, 0], [1, -1]]), ("brow", "mouth"))
    >>> face.spread(np.array([4.0, 3.0])).tolist()
    [[2.0, 2.0], [3.0, 0.0]]
    """

    labels: IntArray
    names: Sequence[str]

    def __post_init__(self) -> None:
        labels = np.asarray(self.labels)
        if labels.ndim != 2 or not np.issubdtype(labels.dtype, np.integer):
            raise ValueError(
                f"labels: got {labels.dtype} of shape {labels.shape}; want integers (H, W)"
            )
        found, count = set(np.unique(labels).tolist()) - {-1}, len(self.names)
        if not count or found != set(range(count)):
            raise ValueError(
                f"labels: hold {sorted(found)} for {count} names; want 0 to {count - 1}, each at "
                "one pixel or more, and -1 for pixels of no region"
            )
        object.__setattr__(self, "labels", labels.astype(np.int64))
        object.__setattr__(self, "names", tuple(self.names))

    def __len__(self) -> int:
        return len(self.names)

    def centres(self) -> FloatArray:
        """Mean row and column of each region's pixels, (K, 2)."""
        places = [np.argwhere(self.labels == k).mean(0) for k in range(len(self))]
        return np.array(places, dtype=np.float64)

    def spread(self, values: FloatArray) -> FloatArray:
        """Each region's value shared out among its pixels, (H, W); 0 at pixels of no region."""
        sizes = np.bincount(self.labels[self.labels >= 0], minlength=len(self))
        shared = np.append(values / sizes, 0.0)
        spread: FloatArray = shared[self.labels]  # -1 is the last, the 0
        return spread

    def hide(self, image: Tensor, fill: Tensor, masks: Tensor) -> Tensor:
        """An image (C, H, W) with the fill in place of regions: (n, C, H, W).

        Args:
            image, fill: What shows where regions are kept, and where not, (C, H, W).
            masks: Which regions are kept, (n, K) bool.
        """
        return torch.where(self.hidden(masks)[:, None], fill, image)

    def hidden(self, masks: Tensor) -> Tensor:
        """Which pixels are hidden where masks (n, K) bool keep regions, (n, H, W) bool."""
        never = torch.zeros_like(masks[:, :1])
        labels = torch.from_numpy(self.labels).to(masks.device)
        return torch.cat([~masks, never], 1)[:, labels]  # -1 is the last, which is never hidden

    def kept(self, hidden: Tensor) -> Tensor:
        """Which regions are kept, (n, K) bool, where pixels (n, H, W) are hidden: the way back.

        Raises:
            ValueError: Pixels that are no whole regions.
        """
        first = [int(np.flatnonzero(self.labels == k)[0]) for k in range(len(self))]
        kept = ~hidden.bool().flatten(1)[:, first]
        if hidden.dtype != torch.bool or not torch.equal(self.hidden(kept), hidden):
            raise ValueError(
                f"masks hide parts of the {len(self)} regions; want each of them hidden as a whole"
            )
        return kept


def grid_regions(size: tuple[int, int], grid: tuple[int, int]) -> Regions:
    """The cells of a grid, row-major, as DPR replaces them: "r1c1" is the upper left one.

    Args:
        size: (H, W) in pixels.
        grid: Rows and columns.

    Raises:
        ValueError: More rows or columns than pixels.

    >>> grid_regions((2, 4), (1, 2)).labels.tolist()
    [[0, 0, 1, 1], [0, 0, 1, 1]]
    """
    labels = cell_numbers("grid", grid, size).reshape(size).numpy()
    rows, columns = grid
    names = [f"r{i + 1}c{j + 1}" for i in range(rows) for j in range(columns)]
    return Regions(labels, names)


def of_both(regions: Regions | tuple[Regions, Regions] | None) -> tuple[Regions, Regions] | None:
    """Regions of A and of B, given once for both or as a tuple; None if there are none.

    Raises:
        TypeError: Something else.
    """
    if regions is None:
        return None
    sides = (regions, regions) if isinstance(regions, Regions) else tuple(regions)
    if len(sides) != 2 or not all(isinstance(side, Regions) for side in sides):
        raise TypeError(
            f"regions: got {regions!r}; want Regions(labels, names), or a tuple of two, of A and B"
        )
    return sides[0], sides[1]


def regions_for(
    size: tuple[int, int], grid: tuple[int, int], regions: tuple[Regions, Regions] | None
) -> tuple[Regions, Regions]:
    """The regions of A and of B for images of a size, which named ones must have; else a grid's.

    Raises:
        ValueError: Regions of another size.
    """
    if regions is None:
        cells = grid_regions(size, grid)
        return cells, cells
    for side in regions:
        if side.labels.shape != size:
            raise ValueError(
                f"regions: labels are {side.labels.shape} for images {size}; want one for each "
                "pixel"
            )
    return regions
