"""Patch localisation: does the map of A point at the patches, whose places are known?"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from scipy.stats import rankdata
from torch import Tensor

from captum_fv.metrics.error_rates import Values, as_labels
from captum_fv.metrics.positions import position_values

Array = npt.NDArray[np.float64]


class PatchLocalisation(NamedTuple):
    """How well each pair's map finds its patches, each (N,) in [0, 1]."""

    auroc: Array
    average_precision: Array


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
    if mask.dtype != torch.bool or mask.ndim != 4 or mask.shape[1] != 1 or 0 in mask.shape:
        raise ValueError(
            f"mask: got {mask.dtype} {tuple(mask.shape)}; want torch.bool (N, 1, H, W)"
        )
    channels = attributions.shape[1] if attributions.ndim == 4 else 1
    values = position_values(attributions, mask.expand(-1, channels, -1, -1)).flatten(1)
    sign = np.where(as_labels(match, len(mask), "match"), 1.0, -1.0)[:, None]
    return _localise(sign * values.cpu().numpy(), mask.flatten(1).cpu().numpy())


def _localise(values: Array, patched: npt.NDArray[np.bool_]) -> PatchLocalisation:
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
