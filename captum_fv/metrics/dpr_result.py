"""What a DPR run gives: two error curves, the areas under them, and how sure they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal

import numpy as np

from captum_fv.core.arrays import BoolArray, FloatArray, IntArray
from captum_fv.core.notebook import data_frame, html_table
from captum_fv.metrics.bootstrap import (
    Interval,
    mean_interval,
    percentile_interval,
    resampled_means,
    resampled_shares,
)
from captum_fv.metrics.rates import eer_threshold

Rate = Literal["fmr", "fnmr", "mean"]

ThresholdRule = Callable[[FloatArray, BoolArray], float]
"""Scores (N,) and which pairs are genuine, (N,) -> the threshold."""

FEW_ERRORS = 20
"""With fewer pairs in error a bootstrap alone is too sure, and draws from two pairs more."""


@dataclass(frozen=True)
class DPRResult:
    """Scores of all pairs at every step of decision-based patch replacement, and their errors.

    Args:
        scores: (T, N); row t after the share `fractions[t]` of all positions went back.
        repaired_scores: (N,), after all positions went back: the scores of the original pairs.
        genuine: (N,) bool.
        threshold: A pair matches iff score >= threshold.
        tied: (N,) in [0, 1], the share of a map's positions (or cells) whose value another one has
            too: chance ranks them. 1 is a constant map. None if it is not known.
        threshold_rule: How the threshold was found on these very pairs before the perturbation,
            from their `repaired_scores` and `genuine`, as `eer_threshold` does. Intervals then find
            it anew in each resample, since it is as uncertain as what it decides. None: they take
            it as known.
    """

    scores: FloatArray
    repaired_scores: FloatArray
    genuine: BoolArray
    threshold: float
    tied: FloatArray | None = None
    threshold_rule: ThresholdRule | None = None

    def __post_init__(self) -> None:
        shapes = [np.shape(values) for values in (self.scores, self.repaired_scores, self.genuine)]
        if len(shapes[0]) != 2 or shapes[1:] != [shapes[0][1:]] * 2:
            raise ValueError(
                f"scores, repaired_scores and genuine: got {shapes}; want (T, N), (N,) and (N,)"
            )
        if not (np.isfinite(self.scores).all() and np.isfinite(self.repaired_scores).all()):
            raise ValueError("scores: hold NaN or infinite values")
        if self.genuine.all() or not self.genuine.any():
            raise ValueError(
                f"got {self.genuine.sum()} genuine and {(~self.genuine).sum()} impostor pairs; "
                "DPR wants both, since it follows FMR and FNMR"
            )
        if self.threshold_rule is not None:
            found = self.threshold_rule(self.repaired_scores, self.genuine)
            changed = (self.repaired_scores >= found) != (self.repaired_scores >= self.threshold)
            # Scores computed twice may differ by rounding, and take their neighbour's place.
            if changed.sum() > 2:
                raise ValueError(
                    f"threshold_rule: got the threshold {self.threshold:.4g}, and the rule gives "
                    f"{found:.4g} for these pairs; leave it out for a threshold from elsewhere"
                )

    def __repr__(self) -> str:
        return (
            f"DPRResult({self.scores.shape[1]} pairs, {len(self.scores)} steps, threshold "
            f"{self.threshold:.4g}: FMR area {self.fmr_auc:.2f}, FNMR area {self.fnmr_auc:.2f})"
        )

    def _repr_html_(self) -> str:
        rows = [
            [f"{100 * share:.0f} %", f"{fmr:.3f}", f"{fnmr:.3f}"]
            for share, fmr, fnmr in zip(self.fractions, self.fmr, self.fnmr, strict=True)
        ]
        return html_table(repr(self), ["replaced", "FMR", "FNMR"], rows)

    def to_pandas(self) -> Any:
        """The curves as a pandas.DataFrame: `replaced`, `fmr` and `fnmr` at every step.

        Raises:
            ImportError: pandas is missing.
        """
        return data_frame({"replaced": self.fractions, "fmr": self.fmr, "fnmr": self.fnmr})

    def on(self, rows: IntArray) -> DPRResult:
        """The same of some of the pairs, of both kinds, by their rows.

        On fewer pairs the threshold, which all of them gave, is taken as known.
        """
        return replace(
            self,
            scores=self.scores[:, rows],
            repaired_scores=self.repaired_scores[rows],
            genuine=self.genuine[rows],
            tied=None if self.tied is None else self.tied[rows],
            threshold_rule=self.threshold_rule if len(rows) == len(self.genuine) else None,
        )

    def at(self, threshold: float) -> DPRResult:
        """The same scores decided at another threshold, taken as known."""
        return replace(self, threshold=threshold, threshold_rule=None)

    def errors(self, rate: Rate = "mean") -> int:
        """How many pairs of a rate's population are in error at any step; of "mean" the fewer."""
        wrong = self.pair_auc > 0
        counts = {"fmr": int(wrong[~self.genuine].sum()), "fnmr": int(wrong[self.genuine].sum())}
        return counts[rate] if rate != "mean" else min(counts.values())

    @property
    def fractions(self) -> FloatArray:
        """Shares of replaced positions, (T,): 0, 0.05, ... 0.95 with 20 steps."""
        return np.arange(len(self.scores)) / len(self.scores)

    @property
    def fmr(self) -> FloatArray:
        """False match rate at every step, (T,) in [0, 1]."""
        return np.asarray(self._errors(self.scores)[:, ~self.genuine].mean(1))

    @property
    def fnmr(self) -> FloatArray:
        """False non-match rate at every step, (T,) in [0, 1]."""
        return np.asarray(self._errors(self.scores)[:, self.genuine].mean(1))

    @property
    def fmr_auc(self) -> float:
        """Area under the FMR curve on the scale of the paper's Table 2, in [0, T - 1]."""
        return float(self.pair_auc[~self.genuine].mean())

    @property
    def fnmr_auc(self) -> float:
        """Area under the FNMR curve, likewise; of both, lower is better."""
        return float(self.pair_auc[self.genuine].mean())

    @property
    def fmr_auc_normalised(self) -> float:
        """Area under the FMR curve from 0 to 100 % replaced, in [0, 1]."""
        return float(self._pair_auc_normalised[~self.genuine].mean())

    @property
    def fnmr_auc_normalised(self) -> float:
        """Area under the FNMR curve from 0 to 100 % replaced, in [0, 1]."""
        return float(self._pair_auc_normalised[self.genuine].mean())

    @property
    def pair_auc(self) -> FloatArray:
        """Each pair's area by trapezoids of unit width, (N,) in [0, T - 1]; the mean is the AUC."""
        # An area by trapezoids is linear in the curve, and the curve is a mean over pairs: so pairs
        # have areas of their own, which a bootstrap can draw.
        return self._area(self.scores)

    @property
    def misled(self) -> BoolArray:
        """Which pairs are decided wrongly before anything went back, (N,)."""
        return np.asarray((self.scores[0] >= self.threshold) != self.genuine)

    @property
    def pair_movement(self) -> FloatArray:
        """How far each pair's score moves to the right side, a mean over the curve, (N,).

        In cosines, from nothing to all replaced; higher is better. Where a perturbation makes
        hardly an error the areas have nothing to show, and this has.
        """
        from scipy.integrate import trapezoid

        moved = np.vstack([self.scores, self.repaired_scores]) - self.scores[0]
        towards = np.where(self.genuine, 1, -1)
        return np.asarray(trapezoid(towards * moved, axis=0) / len(self.scores))

    def movement(self, other: DPRResult | None = None, confidence: float = 0.95) -> Interval:
        """The mean of `pair_movement`, or what it is above another method's, with an interval.

        Raises:
            ValueError: Results over different pairs, thresholds or steps.
        """
        if other is None:
            return mean_interval(self.pair_movement, confidence)
        _check_alike(self, other)
        return mean_interval(self.pair_movement - other.pair_movement, confidence)

    @property
    def _pair_auc_normalised(self) -> FloatArray:
        return self._area(np.vstack([self.scores, self.repaired_scores])) / len(self.scores)

    def _area(self, scores: FloatArray) -> FloatArray:
        from scipy.integrate import trapezoid

        return np.asarray(trapezoid(self._errors(scores), axis=0))

    def _errors(self, scores: FloatArray) -> FloatArray:
        return np.asarray((scores >= self.threshold) != self.genuine, dtype=np.float64)

    def auc_interval(self, rate: Rate = "mean", confidence: float = 0.95) -> Interval:
        """The AUC of one rate, or the mean of both, with a bootstrap interval over pairs.

        Where fewer than 20 pairs are in error, each resample is drawn from two pairs more, one in
        error throughout and one never: the interval holds the true area about as often as it says
        (`benchmarks/dpr/coverage.py`), where without them it did one time in ten. So have ratios
        and differences, whose two pairs are one method's errors each.
        """
        return _interval([self], lambda auc: auc, rate, confidence)

    def relative_to(
        self, baseline: DPRResult, rate: Rate = "mean", confidence: float = 0.95
    ) -> Interval:
        """The AUC over a baseline's (RND) on the same pairs, with a paired bootstrap interval.

        The ratio is the only figure that compares across models. "mean" is the mean of both ratios.

        Raises:
            ValueError: The runs differ in pairs or threshold, or the baseline makes no errors.
        """
        return _interval([self, baseline], _ratio, rate, confidence)

    def difference_to(
        self, other: DPRResult, rate: Rate = "mean", confidence: float = 0.95
    ) -> Interval:
        """This AUC minus another method's on the same pairs, with a paired bootstrap interval.

        An interval below zero says that this method is better.
        """
        return _interval([self, other], np.subtract, rate, confidence)


def _ratio(auc: FloatArray, baseline: FloatArray) -> FloatArray:
    if not baseline.min() > 0:
        raise ValueError(
            "the baseline makes no errors on these pairs (or on a resample of them), so there is "
            "nothing to compare with; take more pairs, or harder patches"
        )
    return np.asarray(auc / baseline)


def _check_alike(first: DPRResult, other: DPRResult) -> None:
    """Raise a ValueError for runs that cannot be compared pair by pair."""
    if (
        not np.array_equal(first.genuine, other.genuine)
        or first.threshold != other.threshold
        or len(first.scores) != len(other.scores)
    ):
        raise ValueError("the two runs are not over the same pairs, threshold and steps")


def _interval(
    results: list[DPRResult], figure: Callable[..., FloatArray], rate: Rate, confidence: float
) -> Interval:
    """A figure computed from each method's AUC, and its interval over pairs."""
    first, *others = results
    for other in others:
        _check_alike(first, other)
    populations = {"fmr": [False], "fnmr": [True], "mean": [False, True]}
    if rate not in populations:
        raise ValueError(f"rate: got {rate!r}; want one of {list(populations)}")
    # The populations are drawn apart, as how many pairs are genuine is not chance but the protocol.
    # All results share a population's draws, so that ratios and differences are paired.
    values, resampled = [], []
    for seed, genuine in enumerate(populations[rate]):
        auc = np.stack([result.pair_auc[first.genuine == genuine] for result in results])
        values.append(figure(*auc.mean(-1)))
        compares = len(results) == 1 or first is not results[1]
        added = _added_pairs(auc, len(first.scores) - 1, compares)
        if first.threshold_rule is not None:
            means = _refitted_means(results, genuine, added)
        else:
            means = resampled_means(np.hstack([auc, added]), seed=seed)
        resampled.append(figure(*means.T))
    value = float(np.mean(values))
    _, low, high = percentile_interval(value, np.mean(resampled, axis=0), confidence)
    return Interval(value, min(low, value), max(high, value))


def _added_pairs(auc: FloatArray, most: int, compares: bool) -> FloatArray:
    """What a bootstrap draws from besides areas (R, n): nothing, or two pairs if errors are few.

    Without an error every resample is without one, and the interval would be [0, 0]. One pair in
    error throughout (and one never) makes it the rule of three: 3 / n of the largest area. Two runs
    have a pair each that is wrong in it alone, unless they are equal pair by pair.
    """
    few = min((auc > 0).sum(-1).min(), (auc < most).sum(-1).min()) < FEW_ERRORS
    equal = len(auc) > 1 and auc.any() and bool((auc == auc[0]).all())
    return most * np.eye(2)[: len(auc), : 2 if few and compares and not equal else 0]


def _refitted_means(results: list[DPRResult], genuine: bool, added: FloatArray) -> FloatArray:
    """Mean areas (resamples, R) of one population, each at the threshold of its resample."""
    first = results[0]
    own = first.genuine == genuine
    shares = resampled_shares(int(own.sum()) + added.shape[1], seed=int(genuine))
    thresholds = _resampled_thresholds(
        first.threshold_rule or eer_threshold,
        first.threshold,
        np.asarray(first.repaired_scores, dtype=np.float64).tobytes(),
        first.genuine.tobytes(),
        genuine,
        added.shape[1],
    )
    means = np.empty((len(shares), len(results)))
    for threshold in np.unique(thresholds):  # observed scores: they come again and again
        rows = thresholds == threshold
        auc = [result.at(threshold).pair_auc[own] for result in results]
        means[rows] = shares[rows] @ np.hstack([auc, added]).T
    return means


@lru_cache(maxsize=8)  # all methods on the same pairs ask for the same
def _resampled_thresholds(
    rule: ThresholdRule, known: float, scores: bytes, genuine: bytes, population: bool, added: int
) -> FloatArray:
    """The rule's threshold in each resample, (resamples,)."""
    values, labels = np.frombuffer(scores), np.frombuffer(genuine, dtype=bool)
    thresholds = []
    drawn = np.zeros(len(labels), dtype=np.intp)
    drawn_of = {}
    for kind in (population, not population):
        own = int((labels == kind).sum())
        count = own + added * (kind == population)
        shares = resampled_shares(count, seed=int(kind))
        drawn_of[kind] = (shares[:, :own] * count).round().astype(np.intp)
    for mine, theirs in zip(drawn_of[population], drawn_of[not population], strict=True):
        drawn[labels == population], drawn[labels != population] = mine, theirs
        pairs = np.repeat(np.arange(len(labels)), drawn)
        # All draws of very few may be of the added pairs.
        thresholds.append(rule(values[pairs], labels[pairs]) if mine.any() else known)
    return np.array(thresholds)
