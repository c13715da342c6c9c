"""A run in pictures: the paper's Figures 3, 4, 6 and 7; `pictures.plot_dpr` draws Figure 5."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from captum_fv.core.arrays import Image
from captum_fv.report.gallery import ShownPair
from captum_fv.report.pictures import CONSTANT, colour_bar

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

REPLACED = (0.0, 0.1, 0.25, 0.5)
"""Shares of the image that Figure 7 puts back."""

_TILE = 1.15
"""Inches of one photo."""

_ERROR, _RIGHT = "#b3261e", "#1b5e20"


def plot_sample_pairs(pairs: Sequence[ShownPair]) -> Figure:
    """Figure 3: a column for each pair, with A before and after it was patched, and B below."""
    figure, axes = _grid(3, len(pairs), top=0.45)
    for column, pair in zip(axes.T, pairs, strict=True):
        for axis, image in zip(column, (pair.original_a, pair.patched_a, pair.img_b), strict=True):
            _show(axis, image)
        column[0].set_title(
            f"{'genuine' if pair.genuine else 'impostor'}\n"
            f"{pair.clean_score:.2f} → {pair.patched_score:.2f}",
            fontsize=8,
        )
    for axis, label in zip(axes[:, 0], ("A", "A patched", "B"), strict=True):
        axis.set_ylabel(label, fontsize=9)
    return figure


def plot_maps(pairs: Sequence[ShownPair]) -> Figure:
    """Figures 4 and 6: a row for each pair, with its photos and every method's map of patched A."""
    names = list(pairs[0].methods)
    figure, axes = _grid(len(pairs), 2 + len(names), bottom=0.5)
    for row, pair in zip(axes, pairs, strict=True):
        images = [pair.img_b, pair.patched_a, *(pair.methods[name].picture for name in names)]
        for axis, image in zip(row, images, strict=True):
            _show(axis, image)
        for axis, name in zip(row[2:], names, strict=True):
            if pair.methods[name].constant:
                axis.set_xlabel(CONSTANT, fontsize=5, labelpad=-7)
        row[0].set_ylabel(
            f"{pair.verdict}\n{pair.patched_score:.2f} (from {pair.threshold:.2f})", fontsize=8
        )
    for axis, title in zip(axes[0], ["B", "A patched", *names], strict=True):
        axis.set_title(title, fontsize=9, parse_math=False)
    height = figure.get_figheight()
    below = figure.add_axes((0.3, 0.3 / height, 0.4, 0.1 / height))
    colour_bar(figure, cax=below, orientation="horizontal").ax.tick_params(labelsize=8)
    return figure


def plot_replacement(pairs: Sequence[ShownPair]) -> Figure:
    """Figure 7: a row for each method, a block for each pair; 0, 10, 25 and 50 % put back."""
    names = list(pairs[0].methods)
    width = len(REPLACED)
    figure, axes = _grid(len(names), width * len(pairs), top=0.5, below=0.16, block=width)
    for block, pair in enumerate(pairs):
        columns = axes[:, block * width : (block + 1) * width]
        for row, name in zip(columns, names, strict=True):
            explained = pair.methods[name]
            for axis, share in zip(row, REPLACED, strict=True):
                step = round(share * (len(explained.scores) - 1))
                wrong = explained.wrong[step]
                _show(axis, pair.replaced(name, step))
                axis.set_xlabel(
                    f"{explained.scores[step]:.2f} {'error' if wrong else 'right'}",
                    color=_ERROR if wrong else _RIGHT,
                    fontsize=7,
                    labelpad=2,
                )
        for axis, share in zip(columns[0], REPLACED, strict=True):
            axis.set_title(f"{100 * share:.0f} %", fontsize=9)
        left, right = columns[0, 0].get_position().x0, columns[0, -1].get_position().x1
        title = f"{pair.verdict} (matches from {pair.threshold:.2f})"
        figure.text((left + right) / 2, 0.995, title, fontsize=9, ha="center", va="top")
    for axis, name in zip(axes[:, 0], names, strict=True):
        axis.set_ylabel(name, fontsize=9, parse_math=False)
    return figure


def _grid(
    rows: int,
    columns: int,
    *,
    top: float = 0.3,
    bottom: float = 0.05,
    below: float = 0.0,
    block: int = 1000,
) -> tuple[Figure, npt.NDArray[np.object_]]:
    """Axes for photos, (rows, columns).

    Args:
        rows, columns: How many.
        top, bottom: Inches above and below all of them.
        below: Inches for what stands under each photo.
        block: A gap follows after so many columns.
    """
    from matplotlib.figure import Figure

    gap, left = 0.04, 0.45
    x = [left + i * (_TILE + gap) + i // block * 4 * gap for i in range(columns)]
    y = [bottom + below + i * (_TILE + gap + below) for i in reversed(range(rows))]
    width, height = x[-1] + _TILE + gap, y[0] + _TILE + top
    figure = Figure(figsize=(width, height))
    axes = [
        [figure.add_axes((i / width, j / height, _TILE / width, _TILE / height)) for i in x]
        for j in y
    ]
    return figure, np.array(axes, dtype=object).reshape(rows, columns)


def _show(axis: Axes, image: Image) -> None:
    # "none" keeps the photo's own pixels in an SVG.
    axis.imshow(image, interpolation="none", aspect="auto")
    axis.set_xticks([])
    axis.set_yticks([])
