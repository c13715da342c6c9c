"""The swap game as a table, as curves, and the twins that it is played with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from captum_fv.benchmark.swap_run import SwapGameRun
from captum_fv.data.swaps import SwappedFaces
from captum_fv.report.pictures import line_style
from captum_fv.report.text_table import Cell, Rounded, TextTable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FALSE_ALARMS = (0.01, 0.05)
"""Rates at which figures are read off the curves, as published."""


def swap_table(run: SwapGameRun) -> TextTable:
    """One row for each method: two points of its curve, AUROC and recall of the changed part."""
    rows: list[list[Cell]] = []
    for name, result in run.methods.items():
        row: list[Cell] = [name, str(len(result.parts))]
        row += [result.at(rate) for rate in FALSE_ALARMS]
        rows.append([*row, result.mean_auroc(), result.recall()])
    first = next(iter(run.methods.values()))
    played = ", ".join(f"{part} {count}" for part, count in run.played.items())
    titles = [f"as twin at {100 * rate:.0f} % false alarms" for rate in FALSE_ALARMS]
    titles += ["AUROC of the changed part", "changed part ranks first"]
    return TextTable(
        "swap_game",
        "The swap game: the share of probes that pass as their twin once the pixels that the map "
        "names are the twin's, at two rates of false alarms outside the changed part; AUROC of "
        "that part, and how often the map's mean is highest there. Each part has an equal weight; "
        "95 % intervals over faces; higher is better.",
        ["method", "triplets", *titles],
        rows,
        [
            f"Of {run.faces} faces the model could play: {played}.",
            f"By chance the AUROC is 0.5 and the changed part first in "
            f"{Rounded.of(first.chance_recall(), '.2f')}.",
            "A map is asked why the probe goes with its other photo and not with the twin's: what "
            "is the same for any partner falls out, so centre says nothing. difference compares "
            "pixels of photos that differ in nothing else: a method that it beats has not shown "
            "that it needs the model.",
        ],
        titles,
    )


def plot_swap_game(run: SwapGameRun, title: str = "") -> Figure:
    """The curves of all methods: who passes as the twin, against false alarms on a log scale."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 4.6), layout="constrained")
    axis = figure.subplots()
    rates = np.geomspace(1e-3, 1, 61)
    for i, result in enumerate(run.methods.values()):
        axis.plot(rates, result.curve(rates), label="name", **line_style(i))
    axis.set_xscale("log")
    axis.set_xlim(rates[0], 1)
    axis.set_ylim(0, 1)
    axis.set_xlabel("pixels taken outside the changed part")
    axis.set_ylabel("probes that pass as their twin")
    axis.grid(alpha=0.3)
    legend = figure.legend(loc="outside right center", fontsize=8, handlelength=3)
    for text, name in zip(legend.get_texts(), run.methods, strict=True):
        text.set(text=name, parse_math=False)
    figure.suptitle(title, parse_math=False)
    return figure


def plot_twins(faces: SwappedFaces, count: int = 3) -> Figure:
    """Some faces, two rows each: the probe, its other photo, its twins; below, what changed."""
    from matplotlib.figure import Figure

    shown = [faces.load(k) for k in range(min(count, len(faces)))]
    columns = 2 + len(faces.parts)
    figure = Figure(figsize=(1.1 * columns, 2.3 * len(shown) + 0.3), layout="constrained")
    axes = figure.subplots(2 * len(shown), columns, squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for face, photos, changes in zip(shown, axes[::2], axes[1::2], strict=True):
        for axis, image in zip(photos, [face.probe, face.mate, *face.twins.values()], strict=True):
            axis.imshow(image)
        for axis, mask in zip(changes[2:], face.masks.values(), strict=True):
            axis.imshow(mask, cmap="gray", vmin=0, vmax=1)
    for axis, title in zip(axes[0], ["probe", "other photo", *faces.parts], strict=True):
        axis.set_title(title, fontsize=8, parse_math=False)
    return figure
