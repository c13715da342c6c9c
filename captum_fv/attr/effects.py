"""What each region of a face adds to its embedding, by least squares over the masks."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from captum_fv.attr.bank import OcclusionBank, as_partners
from captum_fv.attr.links import Interactions, Weights
from captum_fv.attr.regions import Regions
from captum_fv.metrics.interactions import HiddenCells, interaction_share

HELD_OUT = 32
"""Masks of either image that are not fitted; R2 is over all pairs of them."""

ENDS = 2
"""Rows before the drawn masks: the photo whole, and wholly hidden."""


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
        weights: "banzhaf", the best fit of the drawn masks; "adds_up", the best of those of which
            the base is the embedding of the face wholly hidden, and all rows sum to that of the
            whole photo.
        counts: How often each drawn mask counts, (masks,): a bootstrap's draw. None: once.
    """
    counts = None if counts is None else counts.to(side.design)
    return side[ENDS:-HELD_OUT].effects(counts, side[:ENDS] if weights == "adds_up" else None)


def fit_interactions(
    sides: tuple[HiddenCells, HiddenCells],
    regions: tuple[Regions, Regions],
    keep: float,
    weights: Weights,
) -> Interactions:
    """The effects of a pair by the masks that are fitted, and R2 by those that are not."""
    a, b = sides
    effects = effect_vectors(a, weights) @ effect_vectors(b, weights).T
    drawn, held_out = slice(ENDS, -HELD_OUT), slice(-HELD_OUT, None)
    share = interaction_share((a[drawn], b[drawn]), (a[held_out], b[held_out]), effects=effects)
    return Interactions(
        effects=effects.cpu().numpy(),
        score=float(a.seen[0] @ b.seen[0]),
        r2=share.interactions,
        r2_additive=share.additive,
        regions=regions,
        keep=keep,
        weights=weights,
    )


def main_effects(bank: OcclusionBank, regions: Regions, partners: Tensor) -> Tensor:
    """What each region adds beside partners who are seen whole, shared out among its pixels.

    Args:
        bank: Of an image whose masks hide whole regions.
        regions: Those.
        partners: Vectors (d,) or (P, d).

    Returns:
        (H, W), or (P, H, W).
    """
    kept = regions.kept(bank.hidden)
    # The face wholly hidden is no draw: so far from all others, it would outweigh dozens of them.
    drawn = slice(0 if kept[0].any() else 1, None)
    effects = HiddenCells(kept, bank.embeddings)[drawn].effects()[1:]
    partners = as_partners(partners, bank.clean)
    values = (partners.cpu().double() @ effects.T).reshape(-1, len(regions)).numpy()
    maps = torch.from_numpy(np.stack([regions.spread(value) for value in values]))
    return maps.to(partners).reshape(*partners.shape[:-1], *bank.hidden.shape[1:])
