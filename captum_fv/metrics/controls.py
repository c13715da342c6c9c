"""What a method must beat: maps that explain nothing, and the maps of other pairs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from torch import Tensor

from captum_fv.core.arrays import BoolArray
from captum_fv.metrics.dpr_result import DPRResult, Rate
from captum_fv.metrics.rates import as_labels

CONTROLS = ("rnd", "centre", "sensitivity", "difference")
"""Maps that explain nothing: chance, a fixed place, a gradient without polarity, no model."""


def unbeaten_controls(
    name: str,
    runs: Mapping[str, DPRResult],
    rate: Rate = "mean",
    confidence: float = 0.95,
) -> list[str]:
    """The controls among the runs that a method does not beat.

    It beats a control if the paired interval of its AUC minus the control's is below zero.

    Args:
        name: Which run is the method's. A control is compared with the other controls.
        runs: Method's name -> its DPR, all on the same pairs.
        rate: "fmr", "fnmr", or the mean of both AUCs.
        confidence: Of the interval.

    Raises:
        ValueError: No run of this name, or runs over different pairs.

    >>> scores = np.tile([[1.0, -1.0], [1.0, -1.0], [-1.0, 1.0]], 25)
    >>> genuine = np.tile([False, True], 25)
    >>> slow = DPRResult(scores, scores[-1], genuine, 0.0)
    >>> fast = DPRResult(scores[[0, 2, 2]], scores[-1], genuine, 0.0)
    >>> unbeaten_controls("mine", {"mine": fast, "rnd": slow, "centre": fast})
    ['centre']
    """
    if name not in runs:
        raise ValueError(f"name: got {name!r}; want one of the runs, {', '.join(runs)}")
    return [
        control
        for control in CONTROLS
        if control in runs
        and control != name
        and not runs[name].difference_to(runs[control], rate, confidence).high < 0
    ]


def deal_to_others(match: Tensor | BoolArray, seed: int = 0) -> npt.NDArray[np.intp]:
    """For each pair the number of another pair with the same decision, each used once.

    DPR with the maps so dealt is the exact null of "this map explains this pair": a map that is the
    same for all pairs, or for all with one decision, loses nothing by it.

    Args:
        match: The decision on each pair, (N,) bool.
        seed: Of the deal.

    Raises:
        ValueError: A decision that only one pair has.

    >>> deal_to_others(np.array([True, False, True, False])).tolist()
    [2, 3, 0, 1]
    """
    labels = as_labels(match, name="match")
    rng = np.random.default_rng(seed)
    others = np.empty(len(labels), dtype=np.intp)
    for decision in (True, False):
        pairs = rng.permutation(np.flatnonzero(labels == decision))
        if len(pairs) == 1:
            raise ValueError(
                f"match: only pair {pairs[0]} is {decision}; want two or more of each decision"
            )
        others[pairs] = np.roll(pairs, 1)
    return others
