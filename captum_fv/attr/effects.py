"""What each region of a face adds to its embedding, by least squares over the masks."""

from __future__ import annotations

import torch
from torch import Tensor

from captum_fv.attr.links import Interactions, Weights
from captum_fv.attr.regions import Regions
from captum_fv.metrics.interactions import HiddenCells, interaction_share, r_squared

HELD_OUT = 32
"""Masks of either image that are not fitted; R2 is over all pairs of them."""

ENDS = 2
"""Rows before the drawn masks: the photo whole, and wholly hidden."""

ANCHOR = 1e4
"""Weight of the whole photo and of the wholly hidden one where effects are to add up."""


def drawn_masks(regions: int, masks: int, keep: float, seed: int) -> Tensor:
    """Which regions are kept, bool (2 + masks + held out, K): all, none, then by chance."""
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.rand(masks + HELD_OUT, regions, generator=generator) < keep
    ends = torch.tensor([True, False])[:, None].expand(ENDS, regions)
    return torch.cat([ends, drawn])


def effect_vectors(side: HiddenCells, weights: Weights, counts: Tensor | None = None) -> Tensor:
    """The base and what each region adds to the embedding, (K + 1, d) float64.

    The inner product with a partner's embedding is what the region adds to the score against it.

    Args:
        side: A face under `drawn_masks`.
        weights: "banzhaf", all drawn masks alike; "adds_up", the two ends weigh `ANCHOR`, so that
            all rows sum to the embedding of the whole photo within 1e-3 or so.
        counts: How often each drawn mask counts, (masks,): a bootstrap's draw. None: once.
    """
    fitted = side[:-HELD_OUT]
    drawn = len(fitted.masks) - ENDS
    ends = fitted.design.new_full((ENDS,), ANCHOR if weights == "adds_up" else 0.0)
    counts = torch.ones(drawn) if counts is None else counts
    return fitted.fit(fitted.seen, torch.cat([ends, counts.to(ends)]))


def fit_interactions(
    sides: tuple[HiddenCells, HiddenCells],
    regions: tuple[Regions, Regions],
    keep: float,
    weights: Weights,
) -> Interactions:
    """The effects of a pair by the masks that are fitted, and R2 by those that are not."""
    a, b = sides
    held_a, held_b = a[-HELD_OUT:], b[-HELD_OUT:]
    drawn = slice(ENDS, -HELD_OUT)
    effects = effect_vectors(a, weights) @ effect_vectors(b, weights).T
    predicted = held_a.design @ effects @ held_b.design.T
    return Interactions(
        effects=effects.cpu().numpy(),
        score=float(a.seen[0] @ b.seen[0]),
        r2=r_squared(held_a.seen @ held_b.seen.T, predicted),
        r2_additive=interaction_share((a[drawn], b[drawn]), (held_a, held_b)).additive,
        regions=regions,
        keep=keep,
        weights=weights,
    )
