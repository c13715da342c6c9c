"""A picture of what a map shows beyond what a stranger's would; grey is no more than that."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from captum_fv.attr.significance import AmongStrangers
from captum_fv.data.pairs import to_image
from captum_fv.report.pictures import colour_bar, paint_maps

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FULL_COLOUR = 5.0
"""The |z| that is shown in full colour."""


def plot_significance(
    img_a: Tensor, img_b: Tensor, of_a: AmongStrangers, of_b: AmongStrangers
) -> Figure:
    """Both photos, and below them where their maps show more than a stranger's would.

    Green speaks for the same person and pink against, by more deviations than the level; grey is
    no more than a stranger would show. Over each map stands the share of its pixels that is
    significant beside the share by chance, and how reliable the map is; above all the score's
    S-norm.

    Args:
        img_a, img_b: Photos, (3, H, W) in [0, 1], or batches of one, (1, 3, H, W).
        of_a, of_b: What `among_strangers` gave for A with B's embedding, and for B with A's.

    Raises:
        ValueError: Photos of another size than the maps.
    """
    from matplotlib.figure import Figure

    photos = [image[0] if image.ndim == 4 else image for image in (img_a, img_b)]
    both = (of_a, of_b)
    shown = [torch.where(one.significant, one.z, 0)[None] for one in both]
    pictures = paint_maps(photos, shown, blur=False, limit=FULL_COLOUR)
    figure = Figure(figsize=(6.8, 6.4), layout="constrained")
    axes = figure.subplots(2, 2)
    columns = zip(axes.T, photos, pictures, both, "AB", strict=True)
    for (above, below), photo, picture, one, name in columns:
        above.imshow(to_image(photo))
        above.set_title(name)
        below.imshow(picture)
        below.set_title(_in_words(one), fontsize=8)
    for axis in axes.flat:
        axis.set_xticks([])
        axis.set_yticks([])
    bar = colour_bar(figure, ax=list(axes[1]), shrink=0.9)
    edge, level = of_a.level / FULL_COLOUR, f"{of_a.level:g}"
    words = ["different", f"z = -{level}", "as strangers", f"z = +{level}", "same"]
    bar.set_ticks([-1, -edge, 0, edge, 1], labels=words)
    figure.suptitle(
        f"S-norm of the score {of_a.s_norm:+.1f}; grey: no more than a stranger would show",
        fontsize=10,
    )
    return figure


def _in_words(one: AmongStrangers) -> str:
    """The share of significant pixels beside chance, and the reliability."""
    words = f"{one.share.found:.0%} significant, {one.share.chance:.0%} by chance"
    if one.reliability is None:
        return words
    return f"{words}; reliability {one.reliability:.2f}"
