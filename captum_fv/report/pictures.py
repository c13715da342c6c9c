"""Pictures: a pair with its two maps, and DPR curves."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from captum_fv.attr.smoothing import gaussian_blur
from captum_fv.core.arrays import FloatArray, Image
from captum_fv.core.checks import as_number, check_tensor, check_values, describe
from captum_fv.data.pairs import to_image
from captum_fv.metrics.dpr_result import DPRResult
from captum_fv.metrics.positions import is_constant

if TYPE_CHECKING:
    from matplotlib.colorbar import Colorbar
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

SIMILARITY_COLOURS = ("#c2006e", "#f78fc4", "#ffffff", "#7fd07a", "#00691c")
"""The paper's colours: pink is dissimilar, white says nothing, green is similar."""

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".pdf", ".svg")
"""Files that figures are saved to."""

CONSTANT = "constant map: says nothing"
"""What pictures write over a map that has one value everywhere."""

ROUNDING = 8 * np.finfo(np.float32).eps
"""Values so much smaller than a map's largest are what is left of rounding in it."""

LINE_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
LINE_STYLES = ("-", "--", "-.", ":")
# Okabe and Ito's colours, which the colour-blind tell apart. Seven of them and four styles: 28
# curves before a combination comes again; neighbours differ in both, and two of one style have
# colours far apart.


def line_style(i: int) -> dict[str, Any]:
    """How the i-th curve of a figure is drawn, as `Axes.plot` takes it."""
    colour, dashes = LINE_COLOURS[i % len(LINE_COLOURS)], LINE_STYLES[i % len(LINE_STYLES)]
    return {"color": colour, "linestyle": dashes, "linewidth": 1.8}


@cache
def similarity_colours() -> Colormap:
    """SIMILARITY_COLOURS as a colour map of matplotlib, from 0 (dissimilar) to 1 (similar)."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("similarity", SIMILARITY_COLOURS)


def colour_bar(figure: Figure, **place: Any) -> Colorbar:
    """The legend of a map's colours; `place` says where, as `Figure.colorbar` takes it."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    bar = figure.colorbar(ScalarMappable(Normalize(-1, 1), similarity_colours()), **place)
    bar.set_ticks([-1, 0, 1], labels=["different", "neither", "same"])
    return bar


def plot_pair(
    img_a: Tensor,
    img_b: Tensor,
    maps: Mapping[str, tuple[Tensor, Tensor]],
    score: float | Tensor,
    threshold: float,
    blur: bool | Container[str] = True,
    limit: float | Mapping[str, float] | None = None,
) -> Figure:
    """One pair: both photos, below them both maps of each method, and the verdict.

    Args:
        img_a, img_b: Photos, (3, H, W) in [0, 1], or batches of one, (1, 3, H, W).
        maps: Name -> map of A and map of B, each (C, H, W) or (1, C, H, W); the channels are
            averaged. Each method has one colour scale for both of its maps, symmetric about zero.
        score: The cosine of the pair.
        threshold: The decision threshold.
        blur: Smooth the maps 5x5 with sigma 5, as the paper's pictures are; or the names of those
            to smooth, since xFace's come smoothed.
        limit: The map value of full colour, or one for each method by its name, so that several
            pairs have one scale: `colour_limit` of all their maps. None: each pair has its own.

    Returns:
        A figure of two columns; save it with `figure.savefig(path)`. What says nothing is called
        so: a constant map, and one photo twice.

    Raises:
        TypeError: Photos or maps that are no tensors, or a score that is not one number.
        ValueError: Photos or maps of another shape, or with NaN; photos that are not in [0, 1]; a
            limit that is not above 0.
    """
    from matplotlib.figure import Figure

    if not isinstance(maps, Mapping):
        raise TypeError(f'maps: got {describe(maps)}; write {{"xssab": (map_a, map_b)}}')
    photos = _one(img_a), _one(img_b)
    rows = 1 + len(maps)
    figure = Figure(figsize=(6.4, 0.6 + 2.7 * rows), layout="constrained")
    axes = figure.subplots(rows, 2, squeeze=False)
    for axis, photo, title in zip(axes[0], photos, "AB", strict=True):
        axis.imshow(_photo(photo))
        axis.set_title(title)
    for row, (name, pair_maps) in zip(axes[1:], maps.items(), strict=True):
        smoothed = blur if isinstance(blur, bool) else name in blur
        scale = limit.get(name) if isinstance(limit, Mapping) else limit
        pictures = paint_maps(photos, pair_maps, smoothed, scale)
        for axis, picture, mapped in zip(row, pictures, pair_maps, strict=True):
            axis.imshow(picture)
            if is_constant(_one(mapped).mean(0)[None]):
                axis.set_title(CONSTANT, fontsize=9)
        row[0].set_ylabel(name, parse_math=False)
        colour_bar(figure, ax=list(row), shrink=0.9)
    for axis in axes.flat:
        axis.set_xticks([])
        axis.set_yticks([])
    same = "\none photo twice: gradients say nothing" if torch.equal(*photos) else ""
    figure.suptitle(verdict(score, threshold) + same, fontsize=11)
    return figure


def verdict(score: float | Tensor, threshold: float) -> str:
    """The decision in words.

    >>> verdict(0.53, 0.31)
    'MATCH: cosine 0.530, threshold 0.310, margin +0.220'
    """
    score, threshold = as_number("score", score), as_number("threshold", threshold)
    decision = "MATCH" if score >= threshold else "NON-MATCH"
    margin = score - threshold
    return f"{decision}: cosine {score:.3f}, threshold {threshold:.3f}, margin {margin:+.3f}"


def plot_dpr(runs: Mapping[str, DPRResult], title: str = "", colours: Sequence[str] = ()) -> Figure:
    """DPR curves of several methods: FMR left, FNMR right. Lower is better.

    Args:
        runs: Method's name -> its DPR, all on the same pairs.
        title: Above both.
        colours: Names in the order in which colours are dealt, so that a method looks the same in
            figures of different methods; then those of the runs that are not among them.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.6, 4.2 + 0.2 * (len(runs) // 5)), layout="constrained")
    axes = figure.subplots(1, 2)
    order = list(dict.fromkeys([*colours, *runs]))
    labels = [f"{name} ({run.fmr_auc:.2f}, {run.fnmr_auc:.2f})" for name, run in runs.items()]
    for name, run in runs.items():
        i = order.index(name)
        for axis, curve in zip(axes, (run.fmr, run.fnmr), strict=True):
            axis.plot(100 * run.fractions, curve, **line_style(i))
    for axis, rate in zip(axes, ("FMR", "FNMR"), strict=True):
        axis.set_xlabel("replaced pixels [%]")
        axis.set_ylabel(rate)
        axis.set_xlim(0, None)
        axis.set_ylim(bottom=0)
        axis.grid(alpha=0.3)
    legend = figure.legend(
        axes[0].lines,
        ["name"] * len(labels),
        title="method (area under the FMR curve, FNMR curve)",
        loc="outside lower center",
        ncols=max(1, min(4, len(labels))),
        fontsize=9,
        handlelength=3,
    )
    # Matplotlib leaves out names that begin with "_" and typesets what stands between two "$".
    for text, label in zip(legend.get_texts(), labels, strict=True):
        text.set(text=label, parse_math=False)
    figure.suptitle(title, parse_math=False)
    return figure


def paint_maps(
    images: Sequence[Tensor],
    maps: Sequence[Tensor],
    blur: bool = True,
    limit: float | None = None,
) -> list[Image]:
    """Maps in colour over their grey photos: the stronger the evidence, the less photo shows.

    Args:
        images: Photos, (3, H, W) in [0, 1].
        maps: A map for each, (C, H, W). All have one colour scale, symmetric about zero.
        blur: Smooth the maps 5x5 with sigma 5.
        limit: The map value of full colour; None: the `colour_limit` of these maps.

    Returns:
        (H, W, 3) uint8 for each.

    Raises:
        TypeError: Not one map for each photo, or something else than tensors of floating point.
        ValueError: Photos that are not in [0, 1], maps of another size than their photos, or with
            NaN or infinite values, or a limit that is not above 0.
    """
    if not isinstance(maps, tuple | list) or len(maps) != len(images):
        raise TypeError(f"maps: got {describe(maps)}; want one for each of {len(images)} photos")
    photos = [_photo(image) for image in images]
    values = [
        display_values(_one(mapped), photo.shape[:2], blur)
        for mapped, photo in zip(maps, photos, strict=True)
    ]
    limit = _limit(values) if limit is None else as_number("limit", limit)
    if not limit > 0:
        raise ValueError(f"limit: got {limit}; want the map value of full colour, above 0")
    return [
        _overlay(photo, np.clip(value / limit, -1, 1))
        for photo, value in zip(photos, values, strict=True)
    ]


def colour_limit(maps: Sequence[Tensor], blur: bool = True) -> float:
    """The map value of full colour that serves all of these maps, for `limit`.

    It is the 99.5 % quantile of the absolute values that are not zero.

    Args:
        maps: Each (C, H, W) or (1, C, H, W), of any pairs; the channels are averaged.
        blur: As the maps are painted.

    >>> colour_limit([torch.tensor([[[0.0, 0.0], [-3.0, 0.0]]])], blur=False)
    3.0
    """
    one_each = [_one(mapped) for mapped in maps]
    return _limit([display_values(mapped, mapped.shape[-2:], blur) for mapped in one_each])


def _limit(values: Sequence[FloatArray]) -> float:
    # A handful of extreme pixels would leave all others white. Zeros have no say, so that evidence
    # in few places shows, and neither has what is rounding beside the largest value.
    sizes = np.concatenate([np.abs(value).ravel() for value in values])
    sizes = sizes[sizes > ROUNDING * sizes.max()]
    return float(np.quantile(sizes, 0.995)) if len(sizes) else 1.0


def _photo(image: Tensor) -> Image:
    """A photo as it is shown; an error for values that would be cut off."""
    photo = to_image(image)
    low, high = (float(value) for value in image.detach().aminmax())
    if low < -0.25 or high > 1.25:  # noise on a photo may lead a little out of its range
        raise ValueError(
            f"photo: got values from {low:.3g} to {high:.3g}; want [0, 1], as before a model's "
            "normalisation: write img / 255 for 0..255, (img + 1) / 2 for [-1, 1]"
        )
    return photo


def _one(values: Any) -> Any:
    """The only member of a batch of one; anything else as it is."""
    is_batch = isinstance(values, Tensor) and values.ndim == 4 and len(values) == 1
    return values[0] if is_batch else values


def display_values(mapped: Tensor, size: tuple[int, ...], blur: bool) -> FloatArray:
    """The values of a map (C, H, W) as they are painted: the mean of its channels, perhaps blurred.

    Raises:
        TypeError, ValueError: No map of the photo's size (H, W), or values that are not finite.
    """
    check_tensor("map", mapped, "a tensor (C, H, W)")
    check_values("map", mapped)
    if mapped.ndim != 3 or not len(mapped) or mapped.shape[1:] != size:
        raise ValueError(
            f"map: got shape {tuple(mapped.shape)}; want (C, {size[0]}, {size[1]}), the map of one "
            "photo, as map_a[0] is"
        )
    values = mapped.detach().cpu().double().mean(0, keepdim=True)[None]
    if blur:
        values = gaussian_blur(values)
    return values[0, 0].numpy()


def _overlay(photo: Image, values: FloatArray) -> Image:
    grey = photo.mean(2)[..., None] / 255
    colours = similarity_colours()((values + 1) / 2)[..., :3]
    weight = (0.15 + 0.75 * np.abs(values) ** 0.7)[..., None]
    mixed = np.clip((1 - weight) * (0.4 + 0.6 * grey) + weight * colours, 0, 1)
    return np.asarray((255 * mixed).round(), dtype=np.uint8)
