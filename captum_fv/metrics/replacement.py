"""Image A turns into another image in the order of a map: when each position turns, and the scores.

The core of DPR, of deletion and insertion, and of the least replacement that flips a decision.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from captum_fv.core.checks import check_tensor
from captum_fv.core.vectors import cosine
from captum_fv.core.waiting import sent
from captum_fv.metrics.positions import cell_numbers
from captum_fv.metrics.ranking import Ranking, rank_maps
from captum_fv.siamese.batch_size import FEW
from captum_fv.siamese.model import SiameseCosine
from captum_fv.siamese.scoring import ask_scores

ForwardFunc = Callable[[Tensor, Tensor], Tensor]
ScoreInPlace = Callable[[Tensor, Tensor], Tensor]
"""Images (n, C, H, W) and the numbers (n,) of the pairs whose A they replace -> scores (n,)."""


def ranked_together(count: int, steps: int, batch_size: int) -> list[slice]:
    """The rows of so many pairs, cut into groups whose steps fill whole batches.

    While a GPU works on one group the next is ranked. Of the first it has to wait for the ranks, so
    that is the smallest.

    >>> ranked_together(60, steps=20, batch_size=256)
    [slice(0, 10, None), slice(10, 35, None), slice(35, 60, None)]
    """
    batches = -(-FEW * steps // batch_size)  # for no fewer than these pairs
    size = batches * batch_size // steps
    return [slice(max(0, end - size), end) for end in range(count, 0, -size)][::-1]


def replacement_steps(
    values: Tensor,
    match: Tensor,
    steps: int,
    cells: tuple[int, int] | None = None,
    strata: Tensor | None = None,
) -> Tensor:
    """The first step at which each position is replaced, (N, H, W) in [1, steps], on the CPU.

    At step t exactly round(P * t / steps) of P positions (or cells, or positions of a stratum) are
    replaced; equal values go in one fixed random order, as `Ranking` says.

    Args:
        values: Map value of each position, (N, H, W) float64.
        match: Whose HIGHEST values go first, (N,) bool; the others' lowest do.
        steps, cells, strata: As in `decision_patch_replacement`.

    Raises:
        ValueError: Cells or strata that do not fit the map, or both.
    """
    ranking = rank_maps(values, match, cells)
    return turning_steps(ranking, steps, values.shape[1:], cells, strata)


def turning_steps(
    ranking: Ranking,
    steps: int,
    size: Sequence[int],
    cells: tuple[int, int] | None = None,
    strata: Tensor | None = None,
) -> Tensor:
    """`replacement_steps` of positions, or of cells, that are ranked already; size is (H, W)."""
    if cells is not None and strata is not None:
        raise ValueError("cells and strata: got both; want one of them")
    order = torch.from_numpy(ranking.order)
    sizes = [order.shape[1]]
    if strata is not None:
        check_tensor("strata", strata, "a tensor of integers (H, W)")
        if strata.shape != torch.Size(size) or strata.is_floating_point():
            raise ValueError(
                f"strata: got {strata.dtype} {tuple(strata.shape)}; want the integer number of "
                f"each position's stratum, {tuple(size)}, as face_rings{tuple(size)} gives"
            )
        # A stable sort by stratum keeps the order of values within each: from here on `order` lists
        # stratum after stratum, each of the same size in every row, and each has ranks of its own.
        strata = strata.flatten().cpu()
        order = order.gather(1, strata[order].argsort(dim=1, stable=True))
        sizes = torch.unique(strata, return_counts=True)[1].tolist()
    step_of_rank = torch.cat([_step_of_rank(count, steps) for count in sizes])
    turning = torch.empty_like(order).scatter_(1, order, step_of_rank.expand_as(order))
    if cells is not None:
        turning = turning[:, cell_numbers("cells", cells, size)]
    return turning.reshape(-1, *size)


def _step_of_rank(size: int, steps: int) -> Tensor:
    """The first t by which more than `rank` of the positions are replaced, for every rank."""
    replaced = torch.tensor([round(size * t / steps) for t in range(steps + 1)])
    return torch.bucketize(torch.arange(size), replaced, right=True)


def score_and_hold_partners(
    forward_func: ForwardFunc, pair: tuple[Tensor, Tensor]
) -> tuple[Tensor, ScoreInPlace]:
    """Scores (N,) of the pairs, and a function that scores other images in the place of A.

    The scores of the pairs are float64 on the CPU, for not every device knows double precision;
    those of the function stay where they are computed. A SiameseCosine embeds B only here.

    Raises:
        TypeError: No function.
        ValueError: What it gives are no scores (N,), or not finite; the returned one raises too.
    """
    if isinstance(forward_func, SiameseCosine):
        embed_a, partner = forward_func.embed(*pair)
        first = cosine(embed_a, partner)

        def score_in_place(images: Tensor, rows: Tensor) -> Tensor:
            embeddings = forward_func.embed_images(images)
            return cosine(embeddings, partner[sent(rows, partner.device)])
    else:
        first, partner = ask_scores(forward_func, *pair), pair[1]

        def score_in_place(images: Tensor, rows: Tensor) -> Tensor:
            return ask_scores(forward_func, images, partner[sent(rows, partner.device)])

    return first.cpu().double(), score_in_place


def differing(start: Tensor, end: Tensor) -> Tensor:
    """Which positions of the images differ, (N, H, W) bool on the CPU."""
    return (start != end).any(1).cpu()


def replacing(
    score: ScoreInPlace,
    first: Tensor,
    start: Tensor,
    end: Tensor,
    differs: Tensor,
    step_of: Tensor,
    steps: int,
    batch_size: int,
    last: Tensor | None = None,
    rows: slice = slice(None),
) -> Callable[[], Tensor]:
    """Begin to score the images after each step; what it returns waits for all of them.

    Only images that a step has changed are scored again, at most `batch_size` at a time, in batches
    of nearly one size: an image of a small last one would cost a GPU more. Until the scores,
    (steps + 1, n) float64 on the CPU, are asked for, a GPU works by itself.

    Args:
        score: Of images in the place of A.
        first: Scores (N,) of the start, on the CPU.
        start, end: Images A before the first step and after the last, (N, C, H, W).
        differs: Where the two differ, as `differing` gives it.
        step_of: The step at which each position turns, (n, H, W) in [1, steps], on the CPU.
        steps: As in `decision_patch_replacement`.
        batch_size: Images per forward.
        last: Scores (N,) of the end where they are known, so that it is not scored once more.
        rows: Which n of the N pairs.
    """
    first, start, end, differs = first[rows], start[rows], end[rows], differs[rows]
    narrow = torch.int16 if steps <= torch.iinfo(torch.int16).max else torch.int64  # sorts faster
    turns = torch.where(differs, step_of, 0).to(narrow)  # 0: looks the same
    changed = torch.zeros(steps + 1, len(start), dtype=torch.bool)
    changed.T.scatter_(1, turns.flatten(1).long(), True)
    changed[0] = False
    scores = first.repeat(steps + 1, 1)
    known = torch.zeros_like(changed)
    if last is not None:
        # From the step at which the last position that differs has turned, the image is the end.
        final = turns.amax((1, 2))
        known = changed & (torch.arange(steps + 1)[:, None] == final)
        scores = torch.where(known, last[rows], scores)
    # One copy of the images serves all jobs, which come step after step: whenever a row is read for
    # step t, all of its positions up to step t have turned, and none of a later one has.
    turned, size = turns.flatten(), turns[0].numel()
    order = sent(turned.argsort(stable=True), start.device)
    channels = size * torch.arange(start.shape[1], device=start.device)
    # Where all channels of each position are among the numbers of all images, (n H W, C).
    where = (order // size * start[0].numel() + order % size)[:, None] + channels
    sizes = turned.bincount(minlength=steps + 1).tolist()
    turning = torch.split(where, sizes)  # those that turn at each step
    images, after = start.clone(memory_format=torch.contiguous_format), end.flatten()
    numbers, reached = images.view(-1), 0
    wanted, found = (changed & ~known).nonzero(), []
    batches = -(-len(wanted) // batch_size)
    for jobs in torch.tensor_split(wanted, batches) if batches else ():
        step, row = jobs.unbind(1)
        batch, filled = images.new_empty(len(jobs), *images.shape[1:]), 0
        for t, count in Counter(step.tolist()).items():
            if t > reached:  # else an earlier batch has turned them
                now = turning[t].flatten()
                numbers.index_copy_(0, now, after.index_select(0, now))
                reached = t
            these = slice(filled, filled + count)
            torch.index_select(images, 0, sent(row[these], images.device), out=batch[these])
            filled += count
        found.append(score(batch, row + (rows.start or 0)))

    def finish() -> Tensor:
        if found:
            scores[wanted[:, 0], wanted[:, 1]] = torch.cat(found).cpu().double()
        # A step that changed nothing leaves the score of the step before.
        for t in range(1, steps + 1):
            scores[t] = torch.where(changed[t], scores[t], scores[t - 1])
        return scores

    return finish
