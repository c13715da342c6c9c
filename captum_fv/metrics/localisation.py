"""Does the map of A point at the patches, whose places are known, and with the right sign?"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from captum_fv.core.arrays import BoolArray, FloatArray
from captum_fv.core.checks import check_tensor
from captum_fv.metrics.positions import position_values
from captum_fv.metrics.rates import Values, as_labels


class PatchLocalisation(NamedTuple):
    """How well each pair's map finds its patches, each (N,) in [0, 1]."""

    auroc: FloatArray
    average_precision: FloatArray


def patch_localisation(attributions: Tensor, mask: Tensor, match: Values) -> PatchLocalisation:
    r"""Ranks all positions by the map and asks how many of the first ones lie in a patch.

    After a match the patches should be the most similar places, so high values count as "patch";
    after a non-match the most dissimilar, so low ones do. With P patched positions,

    .. math:: AUROC = \frac{\sum_{i \in patch} r_i - P(P + 1)/2}{P \, (HW - P)}, \qquad
              AP = \frac{1}{P} \sum_{i \in patch} precision(i)

    where r is the rank, equal values sharing their mean rank, and precision(i) the share of patched
    positions among those that rank no lower than i. By chance AUROC is 0.5, and AP the share of
    patched positions (0.41 in Patch-LFW).

    Args:
        attributions: Map of patched A, (N or 1, C, H, W); channels are averaged.
        mask: Where A was patched, (N, 1, H, W) bool.
        match: Whether the patched pair matches, (N,) bool.

    Raises:
        ValueError: Shapes that do not fit, NaN in a map, a mask that covers nothing or everything.

    >>> mask = torch.tensor([[[[True, False, False, False]]]])
    >>> patch_localisation(torch.tensor([[[[0.5, 0.9, 0.1, 0.0]]]]), mask, [True])
    PatchLocalisation(auroc=array([0.66666667]), average_precision=array([0.5]))
    """
    values = _values_in(attributions, mask=mask)
    sign = np.where(as_labels(match, len(mask), "match"), 1.0, -1.0)[:, None]
    return _localise(sign * values, mask.flatten(1).cpu().numpy())


def patch_polarity(attributions: Tensor, similar: Tensor, dissimilar: Tensor) -> FloatArray:
    r"""Ranks patches that speak for "same person" against patches that speak against it.

    Both kinds lie in the same image, so neither their borders nor the middle of the face nor the
    decision tells them apart: only the sign of what they say does.

    .. math:: AUROC = P(map_i > map_j) + P(map_i = map_j) / 2, \quad
              i \in similar, \; j \in dissimilar

    Args:
        attributions: Map of patched A, (N or 1, C, H, W); channels are averaged.
        similar: Where A shows another photo of B's person, (N, 1, H, W) bool.
        dissimilar: Where A shows somebody else, (N, 1, H, W) bool.

    Returns:
        (N,) in [0, 1]; 0.5 is chance.

    Raises:
        ValueError: Shapes that do not fit, NaN in a map, masks that overlap or are empty.

    >>> similar = torch.tensor([[[[True, False, False, False]]]])
    >>> dissimilar = torch.tensor([[[[False, True, True, False]]]])
    >>> patch_polarity(torch.tensor([[[[0.5, 0.9, 0.1, 7.0]]]]), similar, dissimilar)
    array([0.5])
    """
    from scipy.stats import rankdata

    values = _values_in(attributions, similar=similar, dissimilar=dissimilar)
    higher, lower = (mask.flatten(1).cpu().numpy() for mask in (similar, dissimilar))
    if (higher & lower).any() or not (higher.any(1) & lower.any(1)).all():
        raise ValueError("similar and dissimilar: want both in every pair, and no position in both")
    ranks = rankdata(np.where(higher | lower, values, np.nan), axis=1, nan_policy="omit")
    count = higher.sum(1)
    return np.asarray(
        (np.where(higher, ranks, 0).sum(1) - count * (count + 1) / 2) / count / lower.sum(1)
    )


def _values_in(attributions: Tensor, **masks: Tensor) -> FloatArray:
    """Map values (N, H*W) of the images that masks (N, 1, H, W) belong to."""
    first = next(iter(masks.values()))
    for name, mask in masks.items():
        check_tensor(name, mask, "torch.bool (N, 1, H, W)")
        alike = mask.shape == first.shape and mask.dtype == torch.bool
        if not alike or mask.ndim != 4 or mask.shape[1] != 1 or 0 in mask.shape:
            raise ValueError(
                f"{name}: got {mask.dtype} {tuple(mask.shape)}; want torch.bool (N, 1, H, W)"
            )
    channels = max(attributions.shape[1], 1) if np.ndim(attributions) == 4 else 1
    values = position_values(attributions, first.expand(-1, channels, -1, -1))
    return np.asarray(values.flatten(1).cpu())


def _localise(values: FloatArray, patched: BoolArray) -> PatchLocalisation:
    from scipy.stats import rankdata

    count, positions = values.shape
    number = patched.sum(1)
    if not ((number > 0) & (number < positions)).all():
        k = int(np.flatnonzero((number == 0) | (number == positions))[0])
        raise ValueError(
            f"mask: that of pair {k} covers {number[k]} of {positions} positions; want some in it "
            "and some outside"
        )
    ranks = rankdata(values, axis=1)
    auroc = ((ranks * patched).sum(1) - number * (number + 1) / 2) / number / (positions - number)
    # How many positions rank no lower, and how many of those are patched.
    passed = rankdata(-values, method="max", axis=1).astype(np.int64)
    found = np.zeros((count, positions + 1))
    rows = np.broadcast_to(np.arange(count)[:, None], passed.shape)
    np.add.at(found, (rows[patched], passed[patched]), 1)
    precision = np.take_along_axis(found.cumsum(1), passed, axis=1) / passed
    return PatchLocalisation(auroc, (precision * patched).sum(1) / number)
