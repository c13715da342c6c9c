"""Curves of deletion and insertion, and the areas under them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from captum_fv.core.arrays import BoolArray, FloatArray
from captum_fv.core.checks import check_choice
from captum_fv.metrics.bootstrap import Interval, mean_interval

Population = Literal["genuine", "impostor", "all"]
Curve = Literal["deletion", "insertion"]
Reading = Literal["score", "match", "accuracy"]

AREA_TITLES: dict[tuple[Population, Curve], str] = {
    ("genuine", "deletion"): "genuine deletion (low is good)",
    ("genuine", "insertion"): "genuine insertion (high is good)",
    ("impostor", "deletion"): "impostor deletion (high is good)",
    ("impostor", "insertion"): "impostor insertion (low is good)",
}
"""Population and curve -> what tables call the area under its mean score."""


@dataclass(frozen=True)
class DeletionInsertionResult:
    """Scores of one population's pairs while image A loses what its map points at, or gains it.

    Args:
        deletion: (T + 1, N); row t after the share t / T of all positions was removed.
        insertion: (T + 1, N); row t after that share was put into an empty image.
        population: On "genuine" pairs the most similar positions went first: a good map has a low
            deletion and a high insertion curve. On "impostor" pairs the most dissimilar went
            first: a good map has a high deletion and a low insertion curve. In "all", the most
            similar went first on every pair.
        threshold: A pair matches iff score >= threshold.
        genuine: Which of the pairs are genuine, (N,) bool.
    """

    deletion: FloatArray
    insertion: FloatArray
    population: Population
    threshold: float
    genuine: BoolArray

    @property
    def fractions(self) -> FloatArray:
        """Shares of removed or inserted positions, (T + 1,) from 0 to 1."""
        return np.linspace(0, 1, len(self.deletion))

    def means(self, curve: Curve, of: Reading = "score") -> FloatArray:
        """What the pairs come to at every step, (T + 1,).

        Args:
            curve: "deletion" or "insertion".
            of: The mean "score", or the share of pairs that "match", or whose decision is right
                ("accuracy").
        """
        return np.asarray(self._values(curve, of).mean(1))

    def auc(self, curve: Curve, of: Reading = "score", confidence: float = 0.95) -> Interval:
        """Area under a curve over shares from 0 to 1, with a bootstrap interval over pairs.

        Args:
            curve, of: As in `means`.
            confidence: Of the interval.
        """
        return mean_interval(self._pair_auc(curve, of), confidence)

    def difference_to(
        self,
        other: DeletionInsertionResult,
        curve: Curve,
        of: Reading = "score",
        confidence: float = 0.95,
    ) -> Interval:
        """This area minus another map's on the same pairs, with a paired bootstrap interval.

        Raises:
            ValueError: The results are not over the same pairs.
        """
        if (
            self.population != other.population
            or self.threshold != other.threshold
            or self.deletion.shape != other.deletion.shape
            or not np.allclose(self.deletion[0], other.deletion[0], atol=1e-4)
        ):
            raise ValueError("the two results are not over the same pairs and threshold")
        mine, theirs = (run._pair_auc(curve, of) for run in (self, other))
        return mean_interval(mine - theirs, confidence)

    def _pair_auc(self, curve: Curve, of: Reading) -> FloatArray:
        from scipy.integrate import trapezoid

        values = self._values(curve, of)
        return np.asarray(trapezoid(values, axis=0) / (len(values) - 1))

    def _values(self, curve: Curve, of: Reading) -> FloatArray:
        check_choice("curve", curve, get_args(Curve))
        check_choice("of", of, get_args(Reading))
        scores: FloatArray = getattr(self, curve)
        if of == "score":
            return scores
        match = scores >= self.threshold
        return np.asarray(match if of == "match" else match == self.genuine, dtype=np.float64)
