"""DPR curves as drawings within the page, which follow its colours and its width."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from captum_fv.benchmark.model_results import ModelResults
from captum_fv.core.arrays import FloatArray
from captum_fv.metrics.dpr_result import DPRResult
from captum_fv.report.gallery import ShownPair
from captum_fv.report.pictures import LINE_COLOURS, LINE_STYLES
from captum_fv.report.tables import ALL_CONTROLS

WIDTH, HEIGHT = 360, 230
LEFT, RIGHT, TOP, BOTTOM = 36, 8, 12, 34
"""Units of a panel, and its margins; the page scales them."""


@dataclass(frozen=True)
class Line:
    """One method's curve.

    Args:
        name: The method's.
        points: Of a polyline in the panel's units.
        colour, dash: Numbers of its look in the page's style, as in the figures' files.
        is_control: Whether it is there only to be compared with.
    """

    name: str
    points: str
    colour: int
    dash: int
    is_control: bool


@dataclass(frozen=True)
class Panel:
    """The curves of one rate.

    Args:
        rate: "FMR" or "FNMR".
        lines: One for each method.
        across, up: Place and label of each tick.
    """

    rate: str
    lines: Sequence[Line]
    across: Sequence[tuple[float, str]]
    up: Sequence[tuple[float, str]]


@dataclass(frozen=True)
class Key:
    """What a legend says of a line.

    Args:
        line: Any of the method's.
        areas: Under its FMR curve and its FNMR curve.
    """

    line: Line
    areas: tuple[float, float]


@dataclass(frozen=True)
class Chart:
    """Both rates of the methods that were measured on the same pairs.

    Args:
        caption: On which pairs, and how.
        panels: FMR, FNMR.
        keys: The legend, the lowest mean area first.
    """

    caption: str
    panels: Sequence[Panel]
    keys: Sequence[Key]


def model_charts(model: ModelResults) -> list[Chart]:
    """A model's curves: all methods on the same pairs in one chart; then the same within strata."""
    found = []
    for alike in model.on_same_pairs():
        runs = {name: result.dpr for name, result in alike.items()}
        strata = {name: result.stratified for name, result in alike.items() if result.stratified}
        on = f"{len(next(iter(runs.values())).genuine)} pairs"
        found.append(_chart(on, runs, list(model.methods)))
        if strata:
            caption = f"{on}, within strata of equal mean sensitivity"
            found.append(_chart(caption, strata, list(model.methods)))
    return found


def _chart(caption: str, runs: Mapping[str, DPRResult], order: Sequence[str]) -> Chart:
    panels = [
        _panel("FMR", {name: run.fmr for name, run in runs.items()}, order),
        _panel("FNMR", {name: run.fnmr for name, run in runs.items()}, order),
    ]
    lines = {line.name: line for line in panels[0].lines}
    keys = [Key(lines[name], (run.fmr_auc, run.fnmr_auc)) for name, run in runs.items()]
    return Chart(caption, panels, sorted(keys, key=lambda key: sum(key.areas)))


def _panel(rate: str, curves: Mapping[str, FloatArray], order: Sequence[str]) -> Panel:
    highest = max(float(curve.max()) for curve in curves.values())
    step = next(step for step in (0.05, 0.1, 0.2, 0.25) if highest <= 4 * step or step == 0.25)
    ticks = max(1, math.ceil(highest / step - 1e-9))

    def x(share: float) -> float:
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def y(error: float) -> float:
        return HEIGHT - BOTTOM - error / (ticks * step) * (HEIGHT - TOP - BOTTOM)

    lines = []
    for name, curve in curves.items():
        place = order.index(name)
        shares = [i / len(curve) for i in range(len(curve))]
        points = " ".join(
            f"{x(share):.1f},{y(error):.1f}" for share, error in zip(shares, curve, strict=True)
        )
        look = place % len(LINE_COLOURS), place % len(LINE_STYLES)
        lines.append(Line(name, points, *look, name in ALL_CONTROLS))
    across = [(x(share), f"{100 * share:.0f} %") for share in (0, 0.25, 0.5, 0.75, 1)]
    up = [(y(i * step), f"{i * step:.2g}") for i in range(ticks + 1)]
    return Panel(rate, sorted(lines, key=lambda line: not line.is_control), across, up)


def spark(pair: ShownPair, name: str) -> tuple[str, float]:
    """A pair's cosine as ever more goes back, in a strip of 112 x 32: points, and the threshold.

    All methods of a pair have one scale.
    """
    scores = np.hstack([pair.threshold, *(said.scores for said in pair.methods.values())])
    low, high = float(scores.min()), float(scores.max())

    def y(score: float) -> float:
        return round(30 - (score - low) * 28 / ((high - low) or 1), 1)

    own = pair.methods[name].scores
    places = (f"{112 * i / (len(own) - 1):.0f},{y(score)}" for i, score in enumerate(own))
    return " ".join(places), y(pair.threshold)
