"""xFace's own confidence in a decision: a curve through the shares of a histogram."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from captum_fv.core.arrays import FloatArray
from captum_fv.core.checks import as_number
from captum_fv.metrics.rates import Values, scores_by_class

BINS = 2000
"""Of cosine distances, in [0, 2]."""


@dataclass(frozen=True)
class HistogramConfidence:
    r"""xFace's confidence: the share of genuine pairs at a distance, by a fitted curve.

    .. math:: y(d) = \frac{a}{1 + \exp(-k (d - d_0))} + b, \qquad d = 1 - s

    Args:
        a, centre, steepness, b: The curve's parameters; the centre is a distance.

    It is a posterior at the share of genuine pairs that the data set happened to have, and knows no
    interval: a likelihood ratio (`Calibration`) says what the photos add, whatever that share.
    """

    a: float
    centre: float
    steepness: float
    b: float

    def genuine_share(self, score: float) -> float:
        """y at the distance of a score: about 1 for the same person."""
        distance = np.array([1 - as_number("score", score)])
        return float(_curve(distance, self.a, self.centre, self.steepness, self.b)[0])

    def __call__(self, score: float) -> float:
        """The confidence in either decision, max(y, 1 - y): about 0.5 to 1."""
        share = self.genuine_share(score)
        return max(share, 1 - share)


def xface_confidence(scores: Values, genuine: Values) -> HistogramConfidence:
    """Fit xFace's confidence on pairs of whom it is known who they show.

    Cosine distances are counted in 2,000 bins; a bin without pairs has the share 1 left of the
    threshold at which most pairs are decided rightly, and 0 right of it.

    Args:
        scores: Cosines of the pairs, (N,).
        genuine: Which pairs show one person twice, (N,).

    Raises:
        ValueError: Pairs of one class, NaN, scores outside [-1, 1], or a curve that does not fit.

    Reference:
        Knoche, Teepe, Hörmann, Rigoll: Explainable Model-Agnostic Similarity and Confidence in Face
            Verification, WACV Workshops 2023.

    >>> confidence = xface_confidence([0.1, 0.2, 0.7, 0.8], [False, False, True, True])
    >>> round(confidence(0.75), 2), round(confidence.genuine_share(0.15), 2)
    (1.0, 0.0)
    """
    from scipy.optimize import curve_fit

    impostor, own = (1 - values for values in scores_by_class(scores, genuine))
    lowest, highest = min(impostor.min(), own.min()), max(impostor.max(), own.max())
    if lowest < -1e-6 or highest > 2 + 1e-6:
        raise ValueError(f"scores: from {1 - highest:g} to {1 - lowest:g}; want cosines in [-1, 1]")
    counts = [
        np.histogram(np.clip(distances, 0, 2), BINS, (0, 2))[0] for distances in (impostor, own)
    ]
    both = counts[0] + counts[1]
    middles = (np.arange(BINS) + 0.5) * 2 / BINS
    threshold = _most_accurate(impostor, own)
    shares = np.where(both > 0, counts[1] / np.maximum(both, 1), middles <= threshold)
    start = shares.max(), threshold, -20.0, shares.min()
    try:
        fitted, _ = curve_fit(_curve, middles, shares, start, method="dogbox")
    except RuntimeError as error:
        raise ValueError(f"scores: xFace's curve does not fit them ({error})") from error
    return HistogramConfidence(*fitted.tolist())


def _curve(distance: FloatArray, a: float, centre: float, steepness: float, b: float) -> FloatArray:
    return a * (1 + np.tanh(steepness * (distance - centre) / 2)) / 2 + b  # without overflow


def _most_accurate(impostor: FloatArray, own: FloatArray) -> float:
    """The distance up to which a pair must match for most decisions to be right."""
    distances = np.unique(np.concatenate([impostor, own]))
    right = np.searchsorted(np.sort(own), distances, "right") + len(impostor)
    right -= np.searchsorted(np.sort(impostor), distances, "right")
    return float(distances[np.argmax(right)])
