"""A picture of one pair: both photos and both aligned faces, with the maps painted on them."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import PIL.Image

from captum_fv.core.arrays import FloatArray, Image
from captum_fv.report.pair_document import MethodView, PairDocument, PhotoView
from captum_fv.report.pair_layers import map_layer
from captum_fv.report.pictures import CONSTANT, colour_bar, verdict

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_BOX = "#ffd400"


def plot_document(document: PairDocument) -> Figure:
    """A row for the photos as they are, and one for each method, closer to the face.

    On either side stands the photo, and beside it the aligned face that the model saw; the maps lie
    over both in colour, transparent where they say little. A photo that came aligned stands alone.

    Args:
        document: What is known of the pair.

    Returns:
        A figure; save it with `figure.savefig(path)`.
    """
    from matplotlib.figure import Figure

    sides = [_columns(view) for view in document.photos]
    count = sum(map(len, sides))
    rows = 1 + len(document.methods)
    figure = Figure(figsize=(0.4 + 2.9 * count, 0.9 + 2.8 * rows), layout="constrained")
    axes = figure.subplots(rows, count, squeeze=False)
    for axis in axes.flat:
        axis.set_xticks([])
        axis.set_yticks([])
    for row, method in zip(axes, (None, *document.methods), strict=True):
        column = iter(row)
        for which, (view, letter) in enumerate(zip(document.photos, "AB", strict=True)):
            for title in sides[which]:
                axis = next(column)
                picture, to_picture = _picture(view, title)
                if method is None:
                    axis.set_title(f"{letter}: {title}", fontsize=10, parse_math=False)
                else:
                    picture = paint_on_photo(picture, method, which, to_picture)
                    if not np.ptp(method.maps[which]):
                        axis.set_title(CONSTANT, fontsize=9)
                axis.imshow(picture)
                if method is not None:
                    _look_at_face(axis, picture, view, to_picture)
                if method is None and title != ALIGNED:
                    _draw_boxes(axis, view)
        if method is not None:
            row[0].set_ylabel(method.name, parse_math=False)
            colour_bar(figure, ax=list(row), shrink=0.9)
    figure.suptitle(verdict(document.score, document.threshold), fontsize=12)
    caption = f"{document.model}; threshold: {document.threshold_from}"
    figure.supxlabel(caption, fontsize=9, parse_math=False)
    return figure


ALIGNED = "aligned face"


def paint_on_photo(photo: Image, method: MethodView, which: int, to_photo: FloatArray) -> Image:
    """A photo in colour with a method's map laid over its face, transparent where it says little.

    Args:
        photo: (H, W, 3) uint8.
        method: The method.
        which: 0 for its map of A, 1 for that of B.
        to_photo: What takes a place (x, y, 1) of the map into the photo, (2, 3).

    Returns:
        (H, W, 3) uint8.
    """
    mapped = method.maps[which]
    layer = PIL.Image.open(io.BytesIO(map_layer(mapped, method.limit))).convert("RGBA")
    # Pillow asks where each pixel of the photo is in the layer, and counts from pixels' corners.
    scale = layer.width / mapped.shape[1]
    back = np.linalg.inv(np.vstack([to_photo, (0, 0, 1)]))
    corners = _shift(0.5) @ back @ _shift(-0.5)
    coefficients = (np.diag([scale, scale, 1]) @ corners)[:2].ravel()
    placed = layer.transform(
        photo.shape[1::-1],
        PIL.Image.Transform.AFFINE,
        coefficients.tolist(),
        PIL.Image.Resampling.BILINEAR,
    )
    picture = PIL.Image.fromarray(photo).convert("RGBA")
    picture.alpha_composite(placed)
    return np.asarray(picture.convert("RGB"))


def _shift(by: float) -> FloatArray:
    return np.array([(1, 0, by), (0, 1, by), (0, 0, 1)], dtype=np.float64)


def _columns(view: PhotoView) -> list[str]:
    """What stands on one side: the photo by its name, and the aligned face unless it is that."""
    came_aligned = not view.faces and view.photo.shape == view.crop.shape
    return [view.name, *([] if came_aligned else [ALIGNED])]


def _picture(view: PhotoView, title: str) -> tuple[Image, FloatArray]:
    return (view.crop, np.eye(3)[:2]) if title == ALIGNED else (view.photo, view.to_photo)


def _look_at_face(axis: Axes, picture: Image, view: PhotoView, to_picture: FloatArray) -> None:
    """Show no more of a large photo than the aligned face and as much again around it."""
    height, width = view.crop.shape[:2]
    middle = to_picture @ (width / 2, height / 2, 1)
    reach = max(height, width) * np.linalg.norm(to_picture[:, 0])
    low = np.maximum(middle - reach, -0.5)
    high = np.minimum(middle + reach, np.subtract(picture.shape[1::-1], 0.5))
    axis.set(xlim=(low[0], high[0]), ylim=(high[1], low[1]))


def _draw_boxes(axis: Axes, view: PhotoView) -> None:
    from matplotlib.patches import Rectangle

    for number, face in enumerate(view.faces, 1):
        left, top, width, height = face.box
        box = Rectangle((left, top), width, height, fill=False, ec=_BOX, lw=1, ls="--")
        if face.chosen:
            box.set(linewidth=2, linestyle="-")
        axis.add_patch(box)
        if len(view.faces) > 1:
            axis.text(left, top, str(number), color="black", backgroundcolor=_BOX, fontsize=8)
