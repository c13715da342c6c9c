"""Pictures: a pair with its two maps, and DPR curves."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from torch import Tensor

from captum_fv.attr.smoothing import gaussian_blur
from captum_fv.data.pairs import to_image
from captum_fv.metrics.dpr_result import DPRResult

SIMILARITY_COLOURS = LinearSegmentedColormap.from_list(
    "similarity", ["#c2006e", "#f78fc4", "#ffffff", "#7fd07a", "#00691c"]
)
"""The paper's colours: pink is dissimilar, white says nothing, green is similar."""


def plot_pair(
    img_a: Tensor,
    img_b: Tensor,
    maps: Mapping[str, tuple[Tensor, Tensor]],
    score: float,
    threshold: float,
    blur: bool = True,
) -> Figure:
    """One pair: both photos, below them both maps of each method, and the verdict.

    Args:
        img_a, img_b: Photos, (3, H, W) in [0, 1].
        maps: Name -> map of A and map of B, each (C, H, W); the channels are averaged. Each method
            has one colour scale for both of its maps, symmetric about zero.
        score: The cosine of the pair.
        threshold: The decision threshold.
        blur: Smooth the maps 5x5 with sigma 5, as the paper's pictures are.

    Returns:
        A figure of two columns; save it with `figure.savefig(path)`.
    """
    rows = 1 + len(maps)
    figure = Figure(figsize=(6.4, 0.6 + 2.7 * rows), layout="constrained")
    axes = figure.subplots(rows, 2, squeeze=False)
    for axis, image, title in zip(axes[0], (img_a, img_b), "AB", strict=True):
        axis.imshow(to_image(image))
        axis.set_title(title)
    for row, (name, pair_maps) in zip(axes[1:], maps.items(), strict=True):
        values = [_display_values(mapped, blur) for mapped in pair_maps]
        # A handful of extreme pixels would leave all others white.
        limit = float(np.quantile(np.abs(values), 0.995)) or 1.0
        for axis, image, value in zip(row, (img_a, img_b), values, strict=True):
            _overlay(axis, image, value, limit)
        row[0].set_ylabel(name)
        bar = figure.colorbar(
            ScalarMappable(Normalize(-1, 1), SIMILARITY_COLOURS), ax=list(row), shrink=0.9
        )
        bar.set_ticks([-1, 0, 1], labels=["different", "neither", "same"])
    for axis in axes.flat:
        axis.set_xticks([])
        axis.set_yticks([])
    figure.suptitle(verdict(score, threshold), fontsize=11)
    return figure


def verdict(score: float, threshold: float) -> str:
    """The decision in words.

    >>> verdict(0.53, 0.31)
    'MATCH: cosine 0.530, threshold 0.310, margin +0.220'
    """
    decision = "MATCH" if score >= threshold else "NON-MATCH"
    margin = score - threshold
    return f"{decision}: cosine {score:.3f}, threshold {threshold:.3f}, margin {margin:+.3f}"


def plot_dpr(runs: Mapping[str, DPRResult], title: str = "") -> Figure:
    """DPR curves of several methods on the same pairs: FMR left, FNMR right. Lower is better."""
    figure = Figure(figsize=(9.6, 3.9), layout="constrained")
    axes = figure.subplots(1, 2)
    for axis, rate in zip(axes, ("fmr", "fnmr"), strict=True):
        for name, run in runs.items():
            area = getattr(run, f"{rate}_auc")
            axis.plot(100 * run.fractions, getattr(run, rate), label=f"{name} ({area:.2f})")
        axis.set_xlabel("replaced pixels [%]")
        axis.set_ylabel(rate.upper())
        axis.set_ylim(bottom=0)
        axis.grid(alpha=0.3)
        axis.legend(title="method (AUC)", fontsize=8)
    figure.suptitle(title)
    return figure


def _display_values(
    mapped: Tensor, blur: bool
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    values = mapped.detach().cpu().double().mean(0, keepdim=True)[None]
    if blur:
        values = gaussian_blur(values)
    return values[0, 0].numpy()


def _overlay(
    axis: Axes,
    image: Tensor,
    values: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
    limit: float,
) -> None:
    """Colour over the grey photo: the stronger the evidence, the less of the photo shows."""
    grey = to_image(image).mean(2) / 255
    scaled = np.clip(values / limit, -1, 1)
    colours = SIMILARITY_COLOURS((scaled + 1) / 2)[..., :3]
    weight = (0.15 + 0.75 * np.abs(scaled) ** 0.7)[..., None]
    axis.imshow(np.clip((1 - weight) * (0.4 + 0.6 * grey[..., None]) + weight * colours, 0, 1))
