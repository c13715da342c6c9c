"""Figures as the cells of tables."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from captum_fv.metrics import DPRResult, Interval
from captum_fv.metrics.bootstrap import percentile_interval, resampled_means
from captum_fv.metrics.dpr_result import Rate
from captum_fv.report.text_table import Cell


def ratio(run: DPRResult, baseline: DPRResult, rate: Rate = "mean") -> Cell:
    """One run's AUC over another's, or a dash where too few pairs err."""
    try:
        return run.relative_to(baseline, rate)
    except ValueError:
        return "-"


def text(interval: Interval) -> str:
    """An interval with three decimals."""
    return f"{interval.value:.3f} [{interval.low:.3f}, {interval.high:.3f}]"


def mean_text(values: npt.NDArray[np.float64]) -> str:
    """A mean over pairs with its interval."""
    return text(percentile_interval(float(values.mean()), resampled_means(values)))
