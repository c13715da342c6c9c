"""Scores of pairs while image A turns into another image, position by position."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from captum_fv.checks import ask_scores
from captum_fv.siamese import PartnerView, SiameseCosine, cosine

ForwardFunc = Callable[[Tensor, Tensor], Tensor]
ScoreInPlace = Callable[[Tensor, Tensor], Tensor]
"""Images (n, C, H, W) and the numbers (n,) of the pairs whose A they replace -> scores (n,)."""


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
    narrow = torch.int16 if steps <= torch.iinfo(torch.int16).max else torch.int64
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
    turning = _places_by_step(turns.flatten(), steps)
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
            batch = torch.cat(parts) if len(parts) > 1 else parts[0]
            scores[step, row] = score(batch.reshape(-1, *start.shape[1:]), row)
    for t in range(1, steps + 1):
        scores[t] = torch.where(changed[t], scores[t], scores[t - 1])
    return scores.cpu()


def _places_by_step(turns: Tensor, steps: int) -> tuple[Tensor, ...]:
    """For each step from 0 on, the indices into `turns` where it stands."""
    return torch.split(turns.argsort(stable=True), turns.bincount(minlength=steps + 1).tolist())
