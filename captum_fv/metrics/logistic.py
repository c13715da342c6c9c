"""Logistic regression of a decision on one score, at equal priors, that never runs to infinity."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from captum_fv.core.arrays import BoolArray, FloatArray

_STEPS = 100
_SMALL = 1e-10


class Line(NamedTuple):
    """log10 LR = intercept + slope * score."""

    intercept: float
    slope: float

    def at(self, scores: FloatArray) -> FloatArray:
        """log10 LR of scores (N,)."""
        return self.intercept + self.slope * scores


def fit_line(scores: FloatArray, genuine: BoolArray, counts: FloatArray | None = None) -> Line:
    r"""The line of log likelihood ratios, by logistic regression with both classes at weight 1/2.

    A pair of class c is given the target :math:`(n_c + 1) / (n_c + 2)` for its own class in place
    of 1: as if one pair more of each class had come out either way. So few pairs give weak ratios,
    and those that no threshold confuses give finite ones.

    Args:
        scores: (N,), finite.
        genuine: Which pairs are genuine, (N,), of both classes.
        counts: How often each pair counts, (N,), 0 or more; None: once.

    Raises:
        ValueError: All scores are equal.

    Reference:
        Platt: Probabilistic Outputs for Support Vector Machines, 1999 (the targets); Morrison,
            Poh: Avoiding Overstating the Strength of Forensic Evidence: Shrunk Likelihood Ratios,
            Science & Justice 2018.
    """
    counts = np.ones(len(scores)) if counts is None else counts
    centre, spread = scores.mean(), scores.std()
    if not spread > 0:
        raise ValueError(f"scores: all {len(scores)} are {centre:g}; want scores that differ")
    weights, targets = np.empty(len(scores)), np.empty(len(scores))
    for of_class, sign in ((genuine, 1), (~genuine, -1)):
        number = counts[of_class].sum()
        weights[of_class] = counts[of_class] / (2 * number)
        targets[of_class] = 0.5 + sign * (0.5 - 1 / (number + 2))
    design = np.stack([np.ones(len(scores)), (scores - centre) / spread])
    line = _newton(design, weights, targets)
    slope = line[1] / spread
    return Line(float((line[0] - slope * centre) / np.log(10)), float(slope / np.log(10)))


def _newton(design: FloatArray, weights: FloatArray, targets: FloatArray) -> FloatArray:
    """The minimum of sum w (log(1 + e^z) - t z) over z = line @ design, by damped Newton steps."""

    def loss(line: FloatArray) -> float:
        z = line @ design
        return float(weights @ (np.logaddexp(0, z) - targets * z))

    line, now = np.zeros(2), np.log(2)
    for _ in range(_STEPS):
        p = (1 + np.tanh(line @ design / 2)) / 2  # the logistic function, without overflow
        gradient = design @ (weights * (p - targets))
        hessian = (design * (weights * p * (1 - p))) @ design.T
        step = np.linalg.lstsq(hessian, gradient, rcond=None)[0]
        # Halved until the loss falls: it is convex, so it does unless this is the minimum.
        while (after := loss(line - step)) > now and np.abs(step).max() > _SMALL:
            step = step / 2
        if np.abs(step).max() <= _SMALL:
            break
        line, now = line - step, after
    return line
