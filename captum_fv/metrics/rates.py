"""Error rates of verification: FMR, FNMR, the EER and its threshold, the DET curve."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from torch import Tensor

from captum_fv.core.arrays import BoolArray, FloatArray
from captum_fv.core.checks import as_number

Values = Tensor | npt.ArrayLike

FEW_PAIRS = 50
"""With fewer pairs of a class, thresholds and rates are coarse: one error is 2 % and more."""


class DetCurve(NamedTuple):
    """FMR and FNMR at every threshold that changes one of them, each (M,)."""

    thresholds: FloatArray
    fmr: FloatArray
    fnmr: FloatArray


class ErrorRates(NamedTuple):
    """Both error rates at one threshold, each in [0, 1]."""

    fmr: float
    fnmr: float


def error_rates(scores: Values, genuine: Values, threshold: float) -> ErrorRates:
    """False match and false non-match rate at a threshold; a pair matches iff score >= threshold.

    Args:
        scores: (N,) similarity scores.
        genuine: (N,) bool, whether a pair shows one person twice.
        threshold: The decision threshold.

    Raises:
        ValueError: Scores and labels that do not fit, or an error rate of no pairs.

    >>> error_rates([0.1, 0.4, 0.3, 0.9], [False, False, True, True], threshold=0.35)
    ErrorRates(fmr=0.5, fnmr=0.5)
    """
    return ErrorRates(fmr(scores, genuine, threshold), fnmr(scores, genuine, threshold))


def fmr(scores: Values, genuine: Values, threshold: float) -> float:
    """False match rate: the share of impostor pairs with score >= threshold."""
    impostor_scores, _ = scores_by_class(scores, genuine)
    return float(np.mean(impostor_scores >= as_number("threshold", threshold)))


def fnmr(scores: Values, genuine: Values, threshold: float) -> float:
    """False non-match rate: the share of genuine pairs with score < threshold."""
    _, genuine_scores = scores_by_class(scores, genuine)
    return float(np.mean(genuine_scores < as_number("threshold", threshold)))


def det_curve(scores: Values, genuine: Values) -> DetCurve:
    """FMR and FNMR with every observed score as the threshold, ascending."""
    impostor_scores, genuine_scores = scores_by_class(scores, genuine)
    thresholds, false_matches, false_non_matches = _error_counts(impostor_scores, genuine_scores)
    return DetCurve(
        thresholds, false_matches / len(impostor_scores), false_non_matches / len(genuine_scores)
    )


def eer_threshold(scores: Values, genuine: Values) -> float:
    """The observed score that minimises `|FMR - FNMR|` as threshold; the lowest if several do.

    Where all genuine pairs score above all impostor pairs, no threshold between them makes an
    error, and it is the middle of the gap: few pairs say little, and at the lowest genuine score
    the next genuine pair might well fail.

    >>> eer_threshold([0.1, 0.4, 0.3, 0.9], [False, False, True, True])
    0.4
    >>> eer_threshold([0.0, 0.25, 0.75, 0.9], [False, False, True, True])
    0.5
    """
    impostor_scores, genuine_scores = scores_by_class(scores, genuine)
    highest, lowest = impostor_scores.max(), genuine_scores.min()
    if highest < lowest:
        middle = highest / 2 + lowest / 2  # their sum or difference could overflow
        return float(middle if middle > highest else lowest)  # nothing lies between neighbours
    thresholds, false_matches, false_non_matches = _error_counts(impostor_scores, genuine_scores)
    # |FMR - FNMR| times both numbers of pairs is a whole number. The difference of two rounded
    # rates would break ties by chance; these counts cross-multiplied are exact.
    gaps = np.abs(false_matches * len(genuine_scores) - false_non_matches * len(impostor_scores))
    return float(thresholds[np.argmin(gaps)])


def fmr_threshold(scores: FloatArray, genuine: BoolArray, fmr: float) -> float:
    """The lowest threshold at which no larger share of the impostor pairs matches.

    Just above the highest impostor score that may no longer match, in the scores' own precision.

    >>> round(fmr_threshold(np.array([0.1, 0.2, 0.3, 0.9]), np.array([0, 0, 0, 1]) > 0, 0.34), 3)
    0.2
    """
    impostors = np.sort(scores[~genuine])[::-1]
    allowed = int(fmr * len(impostors) + 1e-9)  # 0.29 * 100 is below 29
    return float(np.nextafter(impostors[allowed], impostors.dtype.type(np.inf)))


def fmr_rules(impostor: int, fmr: float) -> tuple[str, str]:
    """What so many impostor pairs allow to say of an FMR, in words: the rules of 3 and of 30.

    Without an error among n independent trials the error rate is below 3 / n (95 % sure); 30 errors
    give it to 30 % either way (90 % sure).

    Reference:
        ISO/IEC 19795-1.

    >>> print(*fmr_rules(1200, 0.001), sep="\\n")
    rule of 3: no false match among 1,200 impostor pairs would show an FMR below 0.0025, not 0.001
    rule of 30: they measure an FMR of 0.025 and above to 30 %; 0.001 takes 30,000 of them
    """
    least, measured = 3 / impostor, 30 / impostor
    pairs = f"no false match among {impostor:,} impostor pairs would show"
    short = f", not {fmr:g}" if fmr < least else ""
    shown = f"an FMR below {least:.2g}{short}" if least < 1 else "nothing of the FMR"
    rates = f"an FMR of {measured:.2g} and above to 30 %" if measured < 1 else "no FMR to 30 %"
    return (
        f"rule of 3: {pairs} {shown}",
        f"rule of 30: they measure {rates}; {fmr:g} takes {30 / fmr:,.0f} of them",
    )


def equal_error_rate(scores: Values, genuine: Values) -> float:
    """The mean of FMR and FNMR at the EER threshold, in [0, 1]."""
    return float(np.mean(error_rates(scores, genuine, eer_threshold(scores, genuine))))


def warn_of_few(genuine: BoolArray) -> None:
    """Warn where a class has fewer pairs than FEW_PAIRS."""
    counts = int(genuine.sum()), int((~genuine).sum())
    if min(counts) < FEW_PAIRS:
        warnings.warn(
            f"{counts[0]} genuine and {counts[1]} impostor pairs are few, and every rate below is "
            f"rough; want {FEW_PAIRS} of each or more",
            stacklevel=2,
        )


def as_labels(genuine: Values, count: int | None = None, name: str = "genuine") -> BoolArray:
    """Labels as (N,) bool, checked against the number of pairs; errors call them `name`."""
    labels = _as_array(genuine)
    count = len(labels) if count is None and labels.ndim else count
    if labels.shape != (count,) or not np.isin(labels, (0, 1)).all():
        raise ValueError(
            f"{name}: got {labels.dtype} {labels.shape} for {count or 'all'} pairs; want (N,) of "
            "True and False"
        )
    return labels.astype(bool)


def _as_array(values: Values) -> npt.NDArray[Any]:
    if isinstance(values, Tensor):
        values = values.detach().cpu()
        values = values.double() if values.is_floating_point() else values  # NumPy has no bfloat16
    return np.asarray(values)


def as_scores(scores: Values) -> FloatArray:
    """Scores as (N,) float64, if they are finite numbers."""
    values = _as_array(scores)
    if values.dtype.kind not in "biuf" or values.ndim != 1 or not np.isfinite(values).all():
        raise ValueError(
            f"scores: got {values.dtype} of shape {values.shape}; want finite numbers (N,)"
        )
    return values.astype(np.float64)


def scores_by_class(scores: Values, genuine: Values) -> tuple[FloatArray, FloatArray]:
    """Scores of the impostor pairs and of the genuine pairs, checked."""
    values = as_scores(scores)
    labels = as_labels(genuine, len(values))
    if labels.all() or not labels.any():
        raise ValueError(
            f"got {labels.sum()} genuine and {(~labels).sum()} impostor pairs; want both, since "
            "FMR is a share of impostor pairs and FNMR of genuine ones"
        )
    return values[~labels], values[labels]


def _error_counts(
    impostor_scores: FloatArray, genuine_scores: FloatArray
) -> tuple[FloatArray, npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """All scores as thresholds, ascending, and the false (non-)matches at each, (M,)."""
    thresholds = np.unique(np.concatenate([impostor_scores, genuine_scores]))
    # searchsorted counts the scores strictly below a threshold: those at it match.
    impostors_below, genuine_below = (
        np.searchsorted(np.sort(scores), thresholds) for scores in (impostor_scores, genuine_scores)
    )
    return thresholds, len(impostor_scores) - impostors_below, genuine_below
