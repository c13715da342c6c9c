"""Which controls a method fails to beat: a DPR figure means nothing without them."""

from __future__ import annotations

from collections.abc import Mapping

from captum_fv.metrics.dpr_result import DPRResult, Rate

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

    >>> import numpy as np
    >>> scores = np.array([[1.0, -1.0], [1.0, -1.0], [-1.0, 1.0]])
    >>> slow = DPRResult(scores, scores[-1], np.array([False, True]), 0.0)
    >>> fast = DPRResult(scores[[0, 2, 2]], scores[-1], np.array([False, True]), 0.0)
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
