"""A calibration in four pictures: what the ratios are, whether they hold, and the error rates."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from captum_fv.metrics.cost import pav_posteriors
from captum_fv.metrics.likelihood import Calibration
from captum_fv.metrics.rates import Values, det_curve, scores_by_class

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_GENUINE, _IMPOSTOR, _LINE = "#0072b2", "#d55e00", "#000000"
# Okabe and Ito's colours; the curves also differ in their style.

RATES = (0.001, 0.005, 0.02, 0.05, 0.1, 0.2, 0.4)
"""Marks of the axes of the DET plot."""


def plot_calibration(calibration: Calibration, scores: Values, genuine: Values) -> Figure:
    """Scores with their likelihood ratio, reliability, Tippett plot and DET curve.

    Args:
        calibration: Set on these pairs, or to be tried on them.
        scores: Cosines of the pairs, (N,).
        genuine: Which pairs show one person twice, (N,).

    Returns:
        A figure of 2 x 2; save it with `figure.savefig(path)`.

    Raises:
        ValueError: Scores and labels that do not fit, or pairs of one class.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10.5, 8.4), layout="constrained")
    axes = figure.subplots(2, 2)
    _scores(axes[0, 0], calibration, scores, genuine)
    _reliability(axes[0, 1], calibration, scores, genuine)
    _tippett(axes[1, 0], calibration, scores, genuine)
    _det(axes[1, 1], calibration, scores, genuine)
    for axis in axes.flat:
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8)
    figure.suptitle(f"{calibration.model} on {calibration.source}", fontsize=11, parse_math=False)
    return figure


def _scores(axis: Axes, calibration: Calibration, scores: Values, genuine: Values) -> None:
    impostor, own = scores_by_class(scores, genuine)
    both = np.concatenate([impostor, own])
    bins = np.linspace(both.min(), both.max(), 60).tolist()
    for values, colour, name in ((impostor, _IMPOSTOR, "impostor"), (own, _GENUINE, "genuine")):
        axis.hist(values, bins, color=colour, alpha=0.55, label=f"{len(values):,} {name} pairs")
    label = f"threshold {calibration.threshold:.3f}, FMR at most {calibration.fmr:g}"
    axis.axvline(calibration.threshold, color=_LINE, linestyle=":", label=label)
    axis.set(title="Scores", xlabel="cosine", ylabel="pairs")
    axis.margins(y=0.4)  # for the legend
    ratios = axis.twinx()
    ratios.plot(bins, calibration.log10_lrs(bins), color=_LINE)
    ratios.set_ylabel("log10 LR (line)")
    ratios.margins(y=0.4)


def _reliability(axis: Axes, calibration: Calibration, scores: Values, genuine: Values) -> None:
    """The posterior that a ratio claims at equal priors, and the one that the pairs show."""
    levels, shown = pav_posteriors(scores, genuine)
    claimed = 1 / (1 + 10 ** -calibration.log10_lrs(levels))
    axis.plot([0, 1], [0, 1], color=_LINE, linestyle=":", label="as claimed")
    axis.plot(claimed, shown, color=_GENUINE, drawstyle="steps-mid", label="as these pairs show")
    axis.set(
        title=f"Reliability: Cllr {calibration.cllr:.3f}, at best {calibration.cllr_min:.3f}",
        xlabel="claimed: LR / (1 + LR)",
        ylabel="shown, both kinds of pairs weighed alike",
    )


def _tippett(axis: Axes, calibration: Calibration, scores: Values, genuine: Values) -> None:
    """Share of the pairs of either kind whose ratio is that large or larger."""
    impostor, own = scores_by_class(scores, genuine)
    for values, colour, style, name in (
        (own, _GENUINE, "-", "genuine"),
        (impostor, _IMPOSTOR, "--", "impostor"),
    ):
        ratios = np.sort(calibration.log10_lrs(values))
        share = 1 - np.arange(len(ratios)) / len(ratios)
        axis.step(ratios, share, color=colour, linestyle=style, where="pre", label=f"{name} pairs")
    axis.axvline(0, color=_LINE, linestyle=":", label="speaks for neither")
    axis.set(title="Tippett plot", xlabel="log10 LR", ylabel="share of pairs with this or more")


def _det(axis: Axes, calibration: Calibration, scores: Values, genuine: Values) -> None:
    """FNMR over FMR, both on the scale of normal deviates."""
    from scipy.special import ndtri

    curve = det_curve(scores, genuine)
    known = (curve.fmr > 0) & (curve.fnmr > 0)
    axis.plot(ndtri(curve.fmr[known]), ndtri(curve.fnmr[known]), color=_GENUINE, label="DET")
    at = calibration.false_matches / calibration.impostor
    missed = calibration.false_non_matches / calibration.genuine
    if at > 0 and missed > 0:
        label = f"threshold: FMR {at:.4f}, FNMR {missed:.4f}"
        axis.plot(ndtri(at), ndtri(missed), "o", color=_LINE, label=label)
    marks = ndtri(np.array(RATES))
    axis.set(
        title="DET",
        xlabel="FMR",
        ylabel="FNMR",
        xticks=marks,
        xticklabels=[f"{rate:g}" for rate in RATES],
        yticks=marks,
        yticklabels=[f"{rate:g}" for rate in RATES],
        xlim=(marks[0] - 0.2, marks[-1]),
        ylim=(marks[0] - 0.2, marks[-1]),
    )
