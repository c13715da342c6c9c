"""Image A turns into another image in the order of a map: when each position turns, and the scores.

The core of DPR, of deletion and insertion, and of the least replacement that flips a decision.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from captum_fv.core.arrays import FloatArray
from captum_fv.core.checks import check_tensor
from captum_fv.core.vectors import cosine
from captum_fv.metrics.positions import cell_numbers, is_constant
from captum_fv.siamese.model import PartnerView, SiameseCosine
from captum_fv.siamese.scoring import ask_scores

ForwardFunc = Callable[[Tensor, Tensor], Tensor]
ScoreInPlace = Callable[[Tensor, Tensor], Tensor]
"""Images (n, C, H, W) and the numbers (n,) of the pairs whose A they replace -> scores (n,)."""


def replacement_steps(
    values: Tensor,
    match: Tensor,
    steps: int,
    cells: tuple[int, int] | None = None,
    strata: Tensor | None = None,
) -> Tensor:
    """The first step at which each position is replaced, (N, H, W) in [1, steps].

    At step t exactly round(P * t / steps) of P positions (or cells, or positions of a stratum) are
    replaced; equal values go in one fixed random order, the same for all pairs and maps: that of
    torch.randperm(P) with seed 0. In row-major order a map that is constant somewhere would work
    down the face there, and be better or worse than chance by where the face is.

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
        cell = cell_numbers("cells", cells, size).to(values.device)
        return _steps(_cell_means(values, cell), steps)[:, cell].reshape(-1, *size)
    if strata is not None:
        check_tensor("strata", strata, "a tensor of integers (H, W)")
        if strata.shape != size or strata.is_floating_point():
            raise ValueError(
                f"strata: got {strata.dtype} {tuple(strata.shape)}; want the integer number of "
                f"each position's stratum, {tuple(size)}, as face_rings{tuple(size)} gives"
            )
        strata = strata.to(values.device).flatten()
    return _steps(values, steps, strata).reshape(-1, *size)


def tied_share(values: Tensor, cells: tuple[int, int] | None = None) -> FloatArray:
    """The share of each map's positions whose value another one has too, (N,) in [0, 1].

    Chance ranks them, and not the map: 0 if all values differ, 1 in a map that `is_constant`.

    Args:
        values: Map value of each position, (N, H, W).
        cells: Count the cells of a (rows, columns) grid and their means in place of positions.
    """
    ranked, constant = values.flatten(1).double(), is_constant(values).cpu().numpy()
    if cells is not None:
        ranked = _cell_means(
            ranked, cell_numbers("cells", cells, values.shape[1:]).to(values.device)
        )
    ranked = ranked.sort(dim=1).values
    same = ranked[:, 1:] == ranked[:, :-1]
    one, other = (F.pad(same, ends) for ends in ((0, 1), (1, 0)))
    return np.where(constant, 1.0, (one | other).double().mean(1).cpu().numpy())


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


def _steps(values: Tensor, steps: int, strata: Tensor | None = None) -> Tensor:
    """Steps (N, P) of values (N, P) that go in ascending order; strata are (P,)."""
    count = values.shape[1]
    scattered = torch.randperm(count, generator=torch.Generator().manual_seed(0))
    scattered = scattered.to(values.device)
    order = scattered[_ascending(values[:, scattered])]
    sizes = [count]
    if strata is not None:
        # A stable sort by stratum keeps the order of values within each: from here on `order` lists
        # stratum after stratum, each of the same size in every row, and each has ranks of its own.
        order = order.gather(1, strata[order].argsort(dim=1, stable=True))
        sizes = torch.unique(strata, return_counts=True)[1].tolist()
    step_of_rank = torch.cat([_step_of_rank(size, steps) for size in sizes]).to(values.device)
    return torch.empty_like(order).scatter_(1, order, step_of_rank.expand_as(order))


def _ascending(values: Tensor) -> Tensor:
    """Positions (N, P) from the lowest value to the highest, equal ones as they stand."""
    if values.device.type != "cpu":
        return values.argsort(dim=1, stable=True)
    # NumPy sorts several times as fast, but equal values in any order; a second sort mends that.
    # Its keys are position + P * (how many distinct values are lower): runs of equal values stay
    # where they are, positions ascend within each, and the key modulo P is the position.
    order = values.numpy().argsort(axis=1)
    ranked = np.take_along_axis(values.numpy(), order, axis=1)
    order[:, 1:] += (ranked[:, 1:] != ranked[:, :-1]).cumsum(axis=1) * order.shape[1]
    order.sort(axis=1)
    return torch.from_numpy(order % order.shape[1])


def _step_of_rank(size: int, steps: int) -> Tensor:
    """The first t by which more than `rank` of the positions are replaced, for every rank."""
    replaced = torch.tensor([round(size * t / steps) for t in range(steps + 1)])
    return torch.bucketize(torch.arange(size), replaced, right=True)


def score_and_hold_partners(
    forward_func: ForwardFunc, pair: tuple[Tensor, Tensor]
) -> tuple[Tensor, ScoreInPlace]:
    """Scores (N,) of the pairs, and a function that scores other images in the place of A.

    A SiameseCosine embeds B only here.

    Raises:
        TypeError: No function.
        ValueError: What it gives are no scores (N,), or not finite; the returned one raises too.
    """
    if isinstance(forward_func, SiameseCosine):
        embed_a, partner = forward_func.embed(*pair)
        first = cosine(embed_a, partner)
        score: ForwardFunc = PartnerView(forward_func)
    else:
        first, partner, score = ask_scores(forward_func, *pair), pair[1], forward_func
    return first.double(), lambda images, rows: ask_scores(score, images, partner[rows]).double()


def replaced_scores(
    score: ScoreInPlace,
    first: Tensor,
    start: Tensor,
    end: Tensor,
    step_of: Tensor,
    steps: int,
    batch_size: int,
    last: Tensor | None = None,
) -> Tensor:
    """Scores after each step, (steps + 1, N) float64 on the CPU.

    Only images that a step has changed are scored again, at most `batch_size` at a time.

    Args:
        score: Of images in the place of A.
        first: Scores (N,) of the start.
        start, end: Images A before the first step and after the last, (N, C, H, W).
        step_of: The step at which each position turns, (N, H, W) in [1, steps].
        steps, batch_size: As in `decision_patch_replacement`.
        last: Scores (N,) of the end where they are known, so that it is not scored once more.
    """
    narrow = torch.int16 if steps <= torch.iinfo(torch.int16).max else torch.int64  # sorts faster
    turns = torch.where((start != end).any(1), step_of, 0).to(narrow)  # 0: looks the same
    changed = torch.zeros(steps + 1, len(start), dtype=torch.bool, device=start.device)
    changed.T.scatter_(1, turns.flatten(1).long(), True)
    changed[0] = False
    scores = first.repeat(steps + 1, 1)
    known = torch.zeros_like(changed)
    if last is not None:
        # From the step at which the last position that differs has turned, the image is the end.
        final = turns.amax((1, 2))
        known = changed & (torch.arange(steps + 1, device=final.device)[:, None] == final)
        scores = torch.where(known, last, scores)
    # One copy of the images serves all jobs, which come step after step: whenever a row is read for
    # step t, all of its positions up to step t have turned, and none of a later one has.
    turned = turns.flatten()
    sizes = turned.bincount(minlength=steps + 1).tolist()
    turning = torch.split(turned.argsort(stable=True), sizes)  # the places that turn at each step
    images, reached, size = start.flatten(2).clone(), 0, start[0, 0].numel()
    for jobs in torch.split((changed & ~known).nonzero(), int(batch_size)):
        step, row = jobs.unbind(1)
        parts = []
        for t in sorted(set(step.tolist())):
            if t > reached:  # else an earlier batch has turned them
                image, place = turning[t] // size, turning[t] % size
                images[image, :, place] = end.flatten(2)[image, :, place]
                reached = t
            parts.append(images[row[step == t]])
        if parts:
            scores[step, row] = score(torch.cat(parts).reshape(-1, *start.shape[1:]), row)
    # A step that changed nothing leaves the score of the step before.
    for t in range(1, steps + 1):
        scores[t] = torch.where(changed[t], scores[t], scores[t - 1])
    return scores.cpu()
