"""What likelihood ratios cost whoever believes them: Cllr, and the least that any could."""

from __future__ import annotations

import numpy as np

from captum_fv.core.arrays import FloatArray
from captum_fv.metrics.rates import Values, scores_by_class


def cllr(log10_lrs: Values, genuine: Values) -> float:
    r"""The cost of likelihood ratios, in bits: 0 is perfect, 1 what "I do not know" costs.

    .. math:: C_{llr} = \tfrac12 \big( \mathrm{mean}_{gen} \log_2 (1 + 1 / LR)
                        + \mathrm{mean}_{imp} \log_2 (1 + LR) \big)

    Args:
        log10_lrs: Base-10 logarithms of the likelihood ratios, (N,).
        genuine: Which pairs are genuine, (N,) bool.

    Raises:
        ValueError: Numbers and labels that do not fit, or pairs of one class.

    Reference:
        Brümmer, du Preez: Application-Independent Evaluation of Speaker Detection, Computer Speech
            and Language 2006.

    >>> cllr([0.0, 0.0], [True, False])
    1.0
    """
    impostor, own = (np.log(10) * values for values in scores_by_class(log10_lrs, genuine))
    bits = np.logaddexp(0, -own).mean() + np.logaddexp(0, impostor).mean()
    return float(bits / 2 / np.log(2))


def cllr_min(scores: Values, genuine: Values) -> float:
    """The least Cllr that any rising function of these scores has: what calibration cannot mend.

    Args, errors: As `cllr`; scores of any scale, higher for the same person.

    >>> cllr_min([0.1, 0.8, 0.2, 0.9], [False, False, True, True])
    0.5
    """
    impostor, own = scores_by_class(scores, genuine)
    levels, posteriors = pav_posteriors(scores, genuine)
    at_own, at_impostor = (
        posteriors[np.searchsorted(levels, values)] for values in (own, impostor)
    )
    return float((np.log2(1 / at_own).mean() + np.log2(1 / (1 - at_impostor)).mean()) / 2)


def pav_posteriors(scores: Values, genuine: Values) -> tuple[FloatArray, FloatArray]:
    """The rising posteriors of "same person" that fit best, by pooling adjacent violators.

    Args:
        scores, genuine: As `cllr_min`.

    Returns:
        The scores that occur, ascending, and the posterior at each, in [0, 1]. Both classes weigh
        the same, so the odds of a posterior are a likelihood ratio.
    """
    from scipy.optimize import isotonic_regression

    impostor, own = scores_by_class(scores, genuine)
    levels = np.unique(np.concatenate([impostor, own]))
    shares = [
        np.bincount(np.searchsorted(levels, values), minlength=len(levels)) / len(values)
        for values in (impostor, own)
    ]
    weights = shares[0] + shares[1]
    fitted = isotonic_regression(shares[1] / weights, weights=weights).x
    return levels, np.clip(fitted, 0, 1)
