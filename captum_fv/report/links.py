"""A picture of which part of A goes with which part of B."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from captum_fv.attr.links import Interactions
from captum_fv.core.checks import check_counts
from captum_fv.data.pairs import to_image
from captum_fv.report.pictures import SIMILARITY_COLOURS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_WIDEST = 5.0
"""Points of the strongest link's line."""


def plot_links(img_a: Tensor, img_b: Tensor, found: Interactions, count: int = 8) -> Figure:
    """Both photos, and the strongest links between their regions as lines with their effects.

    Green lines raise the score, pink ones lower it; a line is as wide as its effect. Above stands
    what is claimed: the score, p and R2. The data behind it: `found.strongest(count)`.

    Args:
        img_a, img_b: Photos, (3, H, W) in [0, 1], or batches of one, (1, 3, H, W).
        found: What `PairInteraction.explain` gave for this pair.
        count: How many links.

    Raises:
        ValueError: Photos of another size than the regions, or a count below 1.
    """
    from matplotlib.figure import Figure
    from matplotlib.patches import ConnectionPatch

    check_counts(count=count)
    photos = [to_image(image[0] if image.ndim == 4 else image) for image in (img_a, img_b)]
    for photo, regions in zip(photos, found.regions, strict=True):
        if photo.shape[:2] != regions.labels.shape:
            raise ValueError(
                f"photos are {photo.shape[:2]} and the regions {regions.labels.shape}; want the "
                "photos that were explained"
            )
    figure = Figure(figsize=(8.2, 4.4), layout="constrained")
    axes = figure.subplots(1, 2, gridspec_kw={"wspace": 0.2})
    for axis, photo, name in zip(axes, photos, "AB", strict=True):
        axis.imshow(photo)
        axis.set_title(name)
        axis.set_xticks([])
        axis.set_yticks([])
    links = found.strongest(count)
    largest = abs(links[0].effect) or 1.0
    centres_a, centres_b = (regions.centres() for regions in found.regions)
    labels_at = [0] * len(found.regions[1])
    for rank, link in reversed(list(enumerate(links))):  # the strongest on top
        ends = centres_a[link.of_a][::-1], centres_b[link.of_b][::-1]  # x, then y
        colour = SIMILARITY_COLOURS[-1 if link.effect > 0 else 0]
        width = _WIDEST * abs(link.effect) / largest
        # Bent by rank, since links of one row would hide each other.
        bend = f"arc3,rad={(-1) ** rank * (0.08 + 0.04 * rank)}"
        line = ConnectionPatch(
            *ends,
            "data",
            "data",
            axesA=axes[0],
            axesB=axes[1],
            connectionstyle=bend,
            color=colour,
            lw=width,
            alpha=0.8,
        )
        figure.add_artist(line)
        for axis, (x, y) in zip(axes, ends, strict=True):
            axis.plot(x, y, "o", color=colour, markersize=4)
        axes[1].annotate(
            f"{link.effect:+.3f}",
            ends[1],
            xytext=(4, 4 + 12 * labels_at[link.of_b]),
            textcoords="offset points",
            fontsize=8,
            bbox={"boxstyle": "round,pad=0.15", "fc": "white", "ec": colour, "alpha": 0.85},
        )
        labels_at[link.of_b] += 1
    figure.suptitle(str(found), fontsize=9)
    return figure
