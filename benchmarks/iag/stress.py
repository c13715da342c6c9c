"""Patched pairs on which patch borders, or the middle of the face, help no map."""

from __future__ import annotations

from dataclasses import replace

import torch

from captum_fv.attr.smoothing import smooth
from captum_fv.data import PairSet, patch_pairs
from captum_fv.data.patched_pairs import PairBatch

FEATHER, RADIUS = 3 / 112, 30 / 112
CENTRE = (62 / 112, 56 / 112)


def feathered(batch: PairBatch) -> PairBatch:
    """The same patches, fading in from their borders over some pixels: no edge gives them away."""
    inside = batch.mask.to(batch.patched_a)
    inside = smooth(inside, FEATHER * inside.shape[-2])
    # On a straight border the smoothed mask is a half.
    share = (2 * inside - 1).clamp(0, 1) * batch.mask
    return replace(batch, patched_a=batch.original_a + share * (batch.patched_a - batch.original_a))


def outer_ring(batch: PairBatch) -> PairBatch:
    """The same patches without what lies within a circle round the face's centre."""
    height, width = batch.mask.shape[-2:]
    rows = torch.arange(height) - CENTRE[0] * height
    columns = torch.arange(width) - CENTRE[1] * width
    outside = rows[:, None] ** 2 + columns**2 >= (RADIUS * height) ** 2
    return replace(
        batch,
        patched_a=torch.where(outside, batch.patched_a, batch.original_a),
        mask=batch.mask & outside,
    )


def quarter_block(pairs: PairSet, batch: PairBatch) -> PairBatch:
    """One block of a quarter of the image in place of many small patches."""
    side = batch.mask.shape[-2] // 2
    return patch_pairs(pairs, count=1, patch=side).batch(batch.numbers.tolist())


def inexact(batch: PairBatch) -> PairBatch:
    """The same patches 2 and 1 pixels off, a little duller and lighter, and with grain.

    The patches of an impostor pair are copies of B's pixels at the same place, so whatever compares
    the photos finds them. What finds only copies does not find these.
    """
    patches = torch.roll(batch.patched_a, (2, 1), (2, 3))
    grain = torch.randn(patches.shape, generator=torch.Generator().manual_seed(3))
    patches = (0.92 * patches + (8 + 3 * grain) / 255).clamp(0, 1)
    return replace(batch, patched_a=torch.where(batch.mask, patches, batch.original_a))
