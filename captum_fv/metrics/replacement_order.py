"""The order in which positions are replaced: over the whole image, by cells, or within strata."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from captum_fv.checks import all_finite, check_counts, check_dense


def replacement_steps(
    values: Tensor,
    match: Tensor,
    steps: int,
    cells: tuple[int, int] | None = None,
    strata: Tensor | None = None,
) -> Tensor:
    """The first step at which each position is replaced, (N, H, W) in [1, steps].

    Args:
        values: Map value of each position, (N, H, W).
        match: Whose HIGHEST values go first, (N,) bool; the others' lowest do.
        steps, cells, strata: As in `decision_patch_replacement`.

    Raises:
        ValueError: Cells or strata that do not fit the map, or both.
    """
    size = values.shape[1:]
    values = torch.where(match[:, None, None], -values, values).flatten(1).double()
    if cells is not None:
        if strata is not None:
            raise ValueError("cells and strata: got both; want one of them")
        cell = _cell_of_position(size, cells, values.device)
        count = cells[0] * cells[1]
        sums = torch.zeros(len(values), count, dtype=values.dtype, device=values.device)
        sums.index_add_(1, cell, values)
        return _steps(sums / cell.bincount(minlength=count), steps)[:, cell].reshape(-1, *size)
    if strata is not None:
        check_strata(strata, size)
        strata = strata.to(values.device).flatten()
    return _steps(values, steps, strata).reshape(-1, *size)


def _cell_of_position(
    size: tuple[int, ...], cells: tuple[int, int], device: torch.device
) -> Tensor:
    """The number of each position's cell, (H*W,)."""
    height, width = size
    if not isinstance(cells, tuple | list) or len(cells) != 2:
        raise ValueError(f"cells: got {cells!r}; want (rows, columns) of a grid")
    rows, columns = cells
    check_counts(rows=rows, columns=columns)
    if rows > height or columns > width:
        raise ValueError(
            f"cells: got {cells}; want at least one pixel for each of {height}x{width}"
        )
    row = torch.arange(height, device=device) * rows // height
    column = torch.arange(width, device=device) * columns // width
    return (row[:, None] * columns + column).flatten()


def _steps(values: Tensor, steps: int, strata: Tensor | None = None) -> Tensor:
    """Steps (N, P) of values (N, P) that go in ascending order; strata are (P,)."""
    count = values.shape[1]
    if strata is None:
        order = _ascending(values)
        sizes = [count]
    else:
        # Equal values go in one fixed random order. In row-major order a map that is constant in a
        # ring would work down the face, which is no worse and no better than chance only by luck.
        scattered = torch.randperm(count, generator=torch.Generator().manual_seed(0))
        scattered = scattered.to(values.device)
        order = scattered[_ascending(values[:, scattered])]
        order = order.gather(1, strata[order].argsort(dim=1, stable=True))
        sizes = torch.unique(strata, return_counts=True)[1].tolist()
    step_of_rank = torch.cat([_step_of_rank(size, steps) for size in sizes]).to(values.device)
    return torch.empty_like(order).scatter_(1, order, step_of_rank.expand_as(order))


def _ascending(values: Tensor) -> Tensor:
    """Positions (N, P) from the lowest value to the highest, equal ones in row-major order."""
    if values.device.type != "cpu":
        return values.argsort(dim=1, stable=True)
    # NumPy sorts several times as fast, but equal values in any order; a second sort mends that.
    ranks = values.numpy().argsort(axis=1)
    ranked = np.take_along_axis(values.numpy(), ranks, axis=1)
    ranks[:, 1:] += (ranked[:, 1:] != ranked[:, :-1]).cumsum(axis=1) * ranks.shape[1]
    ranks.sort(axis=1)
    return torch.from_numpy(ranks % ranks.shape[1])


def _step_of_rank(size: int, steps: int) -> Tensor:
    """The first t by which more than `rank` of the positions are replaced, for every rank."""
    replaced = torch.tensor([round(size * t / steps) for t in range(steps + 1)])
    return torch.bucketize(torch.arange(size), replaced, right=True)


def check_strata(strata: Tensor, size: tuple[int, ...]) -> None:
    """Raise for strata that are no integer map of an image of (H, W)."""
    if not isinstance(strata, Tensor):
        raise TypeError(f"strata: got {type(strata).__name__}; want a tensor of integers (H, W)")
    check_dense("strata", strata)
    if strata.shape != torch.Size(size) or strata.is_floating_point() or strata.is_complex():
        raise ValueError(
            f"strata: got {strata.dtype} {tuple(strata.shape)}; want the integer number of each "
            f"position's stratum, {tuple(size)}, as face_rings{tuple(size)} gives"
        )


def equal_strata(prior: Tensor, count: int = 16) -> Tensor:
    """Cuts the positions into strata of nearly equal prior, each with as many positions.

    Args:
        prior: What is known of a position without the pair: a distance, or a mean map; (H, W).
        count: How many strata; positions of equal prior stay together.

    Returns:
        The number of each position's stratum, (H, W) integers, ascending with the prior.

    >>> equal_strata(torch.tensor([[3.0, 1.0], [2.0, 9.0]]), count=2).tolist()
    [[1, 0], [0, 1]]
    """
    if not isinstance(prior, Tensor):
        raise TypeError(f"prior: got {type(prior).__name__}; want a tensor (H, W)")
    check_dense("prior", prior)
    if prior.ndim != 2 or prior.is_complex() or not all_finite(prior):
        raise ValueError(
            f"prior: got {prior.dtype} of shape {tuple(prior.shape)}; want finite values (H, W)"
        )
    check_counts(count=count)
    if count > prior.numel():
        raise ValueError(
            f"count: got {count} strata for {prior.numel()} positions; want 1 to {prior.numel()}"
        )
    values = prior.detach().double().flatten()
    below = torch.searchsorted(values.sort().values, values)
    return (below * count // prior.numel()).reshape(prior.shape)


def face_rings(
    height: int = 112,
    width: int = 112,
    count: int = 16,
    centre: tuple[float, float] = (62 / 112, 56 / 112),
) -> Tensor:
    """Rings round the centre of an aligned face, each with as many positions.

    Args:
        height, width: Of the image.
        count: How many rings.
        centre: (row, column) as shares of height and width; the default is that of `CentrePrior`.

    Returns:
        The number of each position's ring, (H, W) integers, from the centre outwards.

    >>> face_rings(5, 5, count=3, centre=(0.4, 0.4))[2].tolist()
    [1, 0, 0, 0, 1]
    """
    check_counts(height=height, width=width)
    if not isinstance(centre, tuple | list) or len(centre) != 2:
        raise ValueError(f"centre: got {centre!r}; want (row, column) as shares")
    rows = torch.arange(height, dtype=torch.float64) - centre[0] * height
    columns = torch.arange(width, dtype=torch.float64) - centre[1] * width
    return equal_strata(rows[:, None] ** 2 + columns**2, count)
