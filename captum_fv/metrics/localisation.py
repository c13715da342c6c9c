"""Does the map of A point at the patches, whose places are known, and with the right sign?"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from captum_fv.core.arrays import BoolArray, FloatArray
from captum_fv.core.checks import check_tensor
from captum_fv.metrics.positions import position_values
from captum_fv.metrics.ranking import Ranking
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
    signed = np.where(as_labels(match, len(mask), "match")[:, None], -values, values)
    return localised(Ranking.of(signed), mask)


def localised(ranking: Ranking, mask: Tensor) -> PatchLocalisation:
    """`patch_localisation` of positions that are ranked already, the likeliest patch first."""
    patched = np.take_along_axis(mask.flatten(1).cpu().numpy(), ranking.order, axis=1)
    number, positions = patched.sum(1), patched.shape[1]
    unfit = np.flatnonzero((number == 0) | (number == positions))
    if len(unfit):
        raise ValueError(
            f"mask: that of pair {unfit[0]} covers {number[unfit[0]]} of {positions} positions; "
            "want some in it and some outside"
        )
    # Equal values come in together, so precision counts all positions up to the last of them.
    reached = np.take_along_axis(patched.cumsum(axis=1), ranking.last, axis=1)
    precision = reached / (ranking.last + 1)
    # Mann-Whitney: of each patched position how many others rank lower, equal ones by half; less
    # those that the patched have among themselves.
    lower = positions - (ranking.first + ranking.last) / 2
    wins = (lower * patched).sum(1) - number * (number + 1) / 2
    auroc = wins / number / (positions - number)
    return PatchLocalisation(auroc, (precision * patched).sum(1) / number)


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
    values = _values_in(attributions, similar=similar, dissimilar=dissimilar)
    higher, lower = (mask.flatten(1).cpu().numpy() for mask in (similar, dissimilar))
    if (higher & lower).any() or not (higher.any(1) & lower.any(1)).all():
        raise ValueError("similar and dissimilar: want both in every pair, and no position in both")
    return _auroc(values, higher, lower)


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
    return np.asarray(values.flatten(1))


def _auroc(values: FloatArray, higher: BoolArray, lower: BoolArray) -> FloatArray:
    """How often a value of the first kind is above one of the second, (N,); a tie counts half."""
    # Positions of neither kind come last, where they change nobody's rank. Less the ranks that the
    # first kind has among itself, the sum of its ranks counts the others below it (Mann-Whitney).
    from scipy.stats import rankdata

    ranks = rankdata(np.where(higher | lower, values, np.inf), axis=1)
    count = higher.sum(1)
    wins = (ranks * higher).sum(1) - count * (count + 1) / 2
    return np.asarray(wins / count / lower.sum(1))
