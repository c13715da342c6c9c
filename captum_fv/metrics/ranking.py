"""The order in which the positions of a map go, found once for all that is asked of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from captum_fv.core.arrays import BoolArray, FloatArray, IntArray
from captum_fv.metrics.positions import cell_numbers, is_constant


@dataclass(frozen=True)
class Ranking:
    """The positions of N maps, the lowest value first.

    Equal values go in one fixed random order, the same for all maps: that of torch.randperm(P) with
    seed 0. In row-major order a map that is constant somewhere would work down the face there, and
    be better or worse than chance by where the face is.

    Args:
        order: The positions, (N, P).
        rises: Whether each has a higher value than the one before it, (N, P); the first does.
    """

    order: IntArray
    rises: BoolArray

    @classmethod
    def of(cls, values: FloatArray) -> Ranking:
        """Rank the values of P positions, (N, P)."""
        # NumPy sorts several times as fast as PyTorch, but equal values in any order; where there
        # are some, a second sort mends that. Its keys are place + P * (how many distinct values are
        # lower): runs of equal values stay where they are, places ascend within each, and the key
        # modulo P is the place.
        count = values.shape[1]
        order = values.argsort(axis=1)
        ranked = np.take_along_axis(values, order, axis=1)
        rises = np.ones(values.shape, dtype=bool)
        rises[:, 1:] = ranked[:, 1:] != ranked[:, :-1]
        if not rises.all():
            scattered = torch.randperm(count, generator=torch.Generator().manual_seed(0)).numpy()
            places = scattered.argsort()
            order = np.sort(places[order] + rises.cumsum(axis=1) * count, axis=1)
            order = scattered[order % count]
        return cls(order, rises)

    def rows(self, chosen: BoolArray) -> Ranking:
        """Those of some of the maps."""
        return Ranking(self.order[chosen], self.rises[chosen])

    @cached_property
    def last(self) -> IntArray:
        """Of each rank, the last one with an equal value, (N, P) from 0 on."""
        if self.rises.all():
            return self._ranks
        ends = np.ones_like(self.rises)
        ends[:, :-1] = self.rises[:, 1:]
        never = self.rises.shape[1]
        backwards = np.where(ends, self._ranks, never)[:, ::-1]
        return np.minimum.accumulate(backwards, axis=1)[:, ::-1]

    @cached_property
    def first(self) -> IntArray:
        """Of each rank, the first one with an equal value, (N, P) from 0 on."""
        if self.rises.all():
            return self._ranks
        return np.maximum.accumulate(np.where(self.rises, self._ranks, 0), axis=1)

    @property
    def _ranks(self) -> IntArray:
        return np.broadcast_to(np.arange(self.rises.shape[1]), self.rises.shape)

    def tied_share(self) -> FloatArray:
        """The share of positions (or cells) whose value another one has too, (N,) in [0, 1].

        Chance ranks them, and not the map: 0 if all values differ.
        """
        alone = self.rises.copy()
        alone[:, :-1] &= self.rises[:, 1:]
        return np.asarray((~alone).mean(axis=1))


def rank_maps(values: Tensor, match: Tensor, cells: tuple[int, int] | None = None) -> Ranking:
    """In which order a decision has the positions go: after a match, the HIGHEST first.

    Args:
        values: Map value of each position, (N, H, W) float64, on the CPU.
        match: Whose highest values go first, (N,) bool; the others' lowest do.
        cells: Rank the cells of a (rows, columns) grid by their means, in place of positions.
    """
    signed = torch.where(match.cpu()[:, None, None], -values, values).flatten(1)
    if cells is not None:
        signed = _cell_means(signed, cell_numbers("cells", cells, values.shape[1:]))
    return Ranking.of(signed.numpy())


def tied_shares(values: Tensor, ranking: Ranking) -> FloatArray:
    """`Ranking.tied_share` of maps (N, H, W); 1 in a map that `is_constant`, up to rounding."""
    return np.where(is_constant(values).cpu().numpy(), 1.0, ranking.tied_share())


def _cell_means(values: Tensor, cell: Tensor) -> Tensor:
    """Means (N, cells) of values (N, P) in the cells of their positions, (P,)."""
    # Means, since the cells of a grid that does not divide the image are unequal. They are taken
    # from the lowest value on: equal values then have exactly that mean, whatever their number,
    # where a rounded sum would rank cells of different sizes.
    numbers = cell.bincount()
    low = values.new_full((len(values), len(numbers)), torch.inf)
    low.scatter_reduce_(1, cell.expand_as(values), values, "amin")
    above = torch.zeros_like(low).index_add_(1, cell, values - low[:, cell])
    return low + above / numbers
