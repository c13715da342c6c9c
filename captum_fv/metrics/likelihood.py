"""How strong a score is as evidence: likelihood ratios, on which data they were set, and a file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from captum_fv.core.arrays import BoolArray, FloatArray
from captum_fv.core.checks import as_number, check_counts
from captum_fv.core.files import write_atomically
from captum_fv.metrics.bootstrap import percentile_interval, person_draws
from captum_fv.metrics.cost import cllr, cllr_min
from captum_fv.metrics.evidence import Evidence, in_words
from captum_fv.metrics.logistic import Line, fit_line
from captum_fv.metrics.rates import (
    Values,
    as_labels,
    as_scores,
    fmr_rules,
    fmr_threshold,
    scores_by_class,
)

FORMAT = "captum_fv calibration 1"

RESAMPLES = 200
"""Draws of people for the interval."""


@dataclass(frozen=True)
class Calibration:
    r"""From a model's cosine to a likelihood ratio, as `fit` finds it on pairs that are known.

    .. math:: \log_{10} LR = a + b s, \qquad
              -\log_{10} n_{gen} \le \log_{10} LR \le \log_{10} n_{imp}

    The likelihood ratio says how many times more probable such a score is if both photos show one
    person than if they show two. It is no probability that they do: that depends also on all that
    is known beside the photos.

    Args:
        line: a and b, by `fit_line`.
        draws: The same of other draws of people, for intervals.
        genuine, impostor: How many pairs of either kind.
        people: How many people are in them; None if nobody knew, and pairs were drawn instead.
        threshold: The lowest cosine whose FMR on these pairs is at most `fmr`.
        fmr: The FMR that was asked for.
        false_matches, false_non_matches: Errors at the threshold.
        cllr, cllr_min: What these ratios cost on the pairs they were set on, and the least that any
            rising function of the score would: see `cllr`.
        data: What the pairs are called.
        model: What the model is called.
        model_hash: What tells the model from others; "" if nobody said.

    >>> scores, genuine = [0.1, 0.3, 0.2, 0.4, 0.3, 0.6, 0.7, 0.5], [False] * 4 + [True] * 4
    >>> calibration = Calibration.fit(scores, genuine, fmr=0.25)
    >>> found = calibration.evidence(0.9)
    >>> round(10**found.log10_lr, 3), found.capped, calibration.false_matches
    (4.0, True, 1)
    """

    line: Line
    draws: Sequence[Line]
    genuine: int
    impostor: int
    people: int | None
    threshold: float
    fmr: float
    false_matches: int
    false_non_matches: int
    cllr: float
    cllr_min: float
    data: str = "these pairs"
    model: str = "this model"
    model_hash: str = ""

    def __post_init__(self) -> None:
        for name in ("threshold", "cllr", "cllr_min"):
            as_number(name, getattr(self, name))
        _check_share("fmr", self.fmr)
        check_counts(genuine=self.genuine, impostor=self.impostor)
        if self.people is not None:
            check_counts(people=self.people)
        for name in ("false_matches", "false_non_matches"):
            if getattr(self, name) != 0:
                check_counts(**{name: getattr(self, name)})
        lines = np.array([self.line, *self.draws])
        if lines.shape != (1 + len(self.draws), 2) or len(lines) < 2:
            raise ValueError(f"draws: got {lines.shape}; want lines (intercept, slope)")
        if lines.dtype.kind not in "fi":
            raise TypeError("line, draws: want numbers")
        if not np.isfinite(lines).all() or not self.line[1] > 0:
            raise ValueError(f"line: got {self.line}; want finite numbers, and a slope above 0")
        for name in ("data", "model", "model_hash"):
            if not isinstance(getattr(self, name), str):
                raise TypeError(f"{name}: got {getattr(self, name)!r}; want text")

    @classmethod
    def fit(
        cls,
        scores: Values,
        genuine: Values,
        persons: Sequence[str] | None = None,
        *,
        fmr: float = 0.001,
        data: str = "these pairs",
        model: str = "this model",
        model_hash: str = "",
        resamples: int = RESAMPLES,
        seed: int = 0,
    ) -> Calibration:
        """Set the likelihood ratios on pairs of whom it is known who they show.

        Args:
            scores: Cosines of the pairs, (N,).
            genuine: Which pairs show one person twice, (N,).
            persons: Who is in each photo, 2N names, as `PairSet.people`; None draws pairs for the
                interval, which is too narrow where pairs share people.
            fmr: For the threshold, in (0, 1).
            data, model, model_hash: Said with every likelihood ratio.
            resamples, seed: Draws for the interval.

        Raises:
            ValueError: Pairs of one class, NaN, scores that are all equal, or lower for genuine
                pairs than for the others, as distances are; people too few to draw from.
        """
        impostor, own = scores_by_class(scores, genuine)
        values, labels = as_scores(scores), as_labels(genuine)
        _check_share("fmr", fmr)
        check_counts(resamples=resamples)
        line = fit_line(values, labels)
        if not line.slope > 0:
            raise ValueError(
                f"scores: genuine pairs have {own.mean():.3g} on average and impostor pairs "
                f"{impostor.mean():.3g}; want higher scores for the same person: if these are "
                "distances, write -scores"
            )
        _check_names(persons, labels)
        draws = []
        for counts in person_draws(persons, len(values), resamples, seed):
            if counts[labels].any() and counts[~labels].any():
                draws.append(fit_line(values, labels, counts))
        if len(draws) < resamples / 2:
            over = "pairs" if persons is None else "people"
            raise ValueError(
                f"{over}: {resamples - len(draws)} of {resamples} draws of them leave no pair of "
                f"one class; want more {over}"
            )
        threshold = fmr_threshold(values, labels, fmr)
        bounded = np.clip(line.at(values), *_limits(len(own), len(impostor)))
        return cls(
            line=line,
            draws=tuple(draws),
            genuine=len(own),
            impostor=len(impostor),
            people=None if persons is None else len(set(persons)),
            threshold=threshold,
            fmr=fmr,
            false_matches=int((impostor >= threshold).sum()),
            false_non_matches=int((own < threshold).sum()),
            cllr=cllr(bounded, labels),
            cllr_min=cllr_min(values, labels),
            data=data,
            model=model,
            model_hash=model_hash,
        )

    def log10_lrs(self, scores: Values) -> FloatArray:
        """Base-10 logarithms of the likelihood ratios of scores (N,), within the limits."""
        return self._within(self.line, as_scores(scores))

    def evidence(self, score: float) -> Evidence:
        """How strong one score is, with its interval and in words.

        Raises:
            TypeError, ValueError: Something else than one finite number.
        """
        value = np.array([as_number("score", score)])
        log10_lr = float(self._within(self.line, value)[0])
        drawn = np.concatenate([self._within(line, value) for line in self.draws])
        interval = percentile_interval(log10_lr, drawn)
        capped = log10_lr in self.limits
        ends = interval.low, interval.high
        over = "pairs" if self.people is None else "people"
        said = in_words(float(value[0]), log10_lr, ends, capped, over)
        return Evidence(
            log10_lr, ends, capped, f"{said}, among photos like those of {self.source}."
        )

    @property
    def limits(self) -> tuple[float, float]:
        """The least and the largest log10 LR that so many pairs can carry."""
        return _limits(self.genuine, self.impostor)

    @property
    def source(self) -> str:
        """On which data all this was set, in words."""
        people = "" if self.people is None else f" of {self.people:,} people"
        pairs = f"{self.genuine:,} genuine and {self.impostor:,} impostor pairs"
        return f"{self.data} ({pairs}{people})"

    def __str__(self) -> str:
        least, most = self.limits
        errors = (
            f"{self.false_matches:,} false matches of {self.impostor:,}, "
            f"{self.false_non_matches:,} false non-matches of {self.genuine:,}"
        )
        return "\n".join(
            [
                f"{self.model} on {self.source}",
                f"threshold {self.threshold:.4f}, FMR at most {self.fmr:g}: {errors}",
                *fmr_rules(self.impostor, self.fmr),
                f"log10 LR = {self.line.intercept:.2f} {self.line.slope:+.2f} cosine, from "
                f"{least:.2f} to {most:.2f}",
                f"Cllr {self.cllr:.4f} on these pairs, of which {self.cllr - self.cllr_min:.4f} "
                "by calibration (0 is perfect, 1 useless)",
            ]
        )

    def check_model(self, model_hash: str) -> None:
        """Raise a ValueError if this was set for another model: its cosines mean something else."""
        if model_hash != self.model_hash:
            raise ValueError(
                f"this calibration was set for {self.model} ({self.model_hash or 'no hash'}), and "
                f"the model is another one ({model_hash}); run captum-fv calibrate for it"
            )

    def save(self, path: str | Path) -> None:
        """Write it as JSON, a file that is whole or not there."""
        known = asdict(self)
        draws = known.pop("draws")  # last, since they are many
        text = json.dumps({"format": FORMAT} | known | {"draws": draws}, indent=1, allow_nan=False)
        write_atomically(Path(path), text.encode())

    @classmethod
    def load(cls, path: str | Path) -> Calibration:
        """Read what `save` wrote.

        Raises:
            OSError: There is no such file.
            ValueError: Another file, or a damaged one.
        """
        path = Path(path)
        try:
            known = json.loads(path.read_text(encoding="utf-8"))
            if not isinstance(known, dict) or known.pop("format", None) != FORMAT:
                raise ValueError(f"want {FORMAT!r}")
            lines = [Line(*known.pop("line")), *(Line(*line) for line in known.pop("draws"))]
            return cls(lines[0], tuple(lines[1:]), **known)
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise ValueError(
                f"{path}: is no calibration ({type(error).__name__}: {error}); captum-fv calibrate "
                "writes one"
            ) from error

    def _within(self, line: Line, scores: FloatArray) -> FloatArray:
        return np.clip(line.at(scores), *self.limits)


def _check_share(name: str, value: float) -> None:
    if not 0 < as_number(name, value) < 1:
        raise ValueError(f"{name}: got {value}; want a share above 0 and below 1, as 0.001")


def _check_names(persons: Sequence[str] | None, labels: BoolArray) -> None:
    """Raise if names say otherwise than labels; `person_draws` says if they are too few."""
    if persons is None or len(persons) != 2 * len(labels):
        return
    names = np.asarray(persons)
    if wrong := int(((names[0::2] == names[1::2]) != labels).sum()):
        raise ValueError(
            f"persons: of {wrong} pairs the names say otherwise than `genuine`; want one name "
            "twice for a genuine pair, and two for another"
        )


def _limits(genuine: int, impostor: int) -> tuple[float, float]:
    return -float(np.log10(genuine)), float(np.log10(impostor))
