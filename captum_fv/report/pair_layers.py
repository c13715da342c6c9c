"""What lies over the photos of the pair page: maps as transparent pictures, outlines of regions."""

from __future__ import annotations

import io
from functools import cache

import numpy as np
import numpy.typing as npt
import PIL.Image

from captum_fv.core.arrays import BoolArray, FloatArray, IntArray
from captum_fv.report.pictures import similarity_colours

_SCALE = 3
"""Pixels of a layer for each of the map."""

_STRIPE = 8
"""Pixels of a layer from one stripe to the next."""

_FAINT = 0.06
"""Shares of full colour up to which a map does not show."""

_GREY, _NOTHING = 0, 128
"""Places in the palette: of what does not stand out, and of the value 0; 1 and 255 are full."""


def map_layer(mapped: FloatArray, limit: float, significant: BoolArray | None = None) -> bytes:
    """A map as a PNG that covers the aligned face: the stronger the evidence, the less shows.

    What speaks against is striped, so that nobody needs to tell pink from green.

    Args:
        mapped: (h, w).
        limit: The value of full colour.
        significant: Where the map stands out, (h, w); the rest is veiled in grey.
    """
    smooth = _enlarged(np.clip(mapped / limit, -1, 1).astype(np.float32))
    rows, columns = np.indices(smooth.shape)
    gaps = (smooth < 0) & ((rows + columns) % _STRIPE < _STRIPE // 2)
    places = np.rint(_NOTHING + 127 * np.where(gaps, 0.3 * smooth, smooth)).astype(np.uint8)
    if significant is not None:
        places[_enlarged(significant.astype(np.float32)) < 0.5] = _GREY
    picture = PIL.Image.fromarray(places)
    colours, alpha = _palette()
    picture.putpalette(colours)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True, transparency=alpha)
    return buffer.getvalue()


def _enlarged(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    size = (_SCALE * values.shape[1], _SCALE * values.shape[0])
    return np.asarray(PIL.Image.fromarray(values).resize(size, PIL.Image.Resampling.BILINEAR))


@cache
def _palette() -> tuple[bytes, bytes]:
    """Colours and opacities of a layer's 256 values."""
    values = (np.arange(256) - _NOTHING) / 127
    # Already the faint have colour: what is nearly white would tint skin yellow.
    coloured = np.clip(np.sign(values) * (1 + np.abs(values)) / 2, -1, 1)
    colours = np.array(similarity_colours()((coloured + 1) / 2)[:, :3])
    # Nothing at all of what is faint: it would show the edges of the aligned face in the photo.
    alpha = 0.85 * np.clip((np.abs(values) - _FAINT) / (1 - _FAINT), 0, 1) ** 0.8
    colours[_GREY], alpha[_GREY] = 0.45, 0.62
    return _bytes(colours), _bytes(alpha)


def _bytes(shares: FloatArray) -> bytes:
    return np.rint(255 * shares).astype(np.uint8).tobytes()


def outlines(labels: IntArray, count: int) -> list[str]:
    """Each region's outline as the path of an SVG, in pixels of the aligned face.

    Args:
        labels: The number of each pixel's region, (h, w), -1 for none.
        count: How many regions.

    >>> outlines(np.array([[0, 0], [0, 0]]), 1)[0].startswith("M")
    True
    """
    return [_outline(labels == region) for region in range(count)]


def _outline(region: BoolArray) -> str:
    from scipy.ndimage import gaussian_filter
    from skimage.measure import find_contours

    mask = np.pad(region, 3).astype(np.float64)
    # Smoothing rounds the stairs of pixels; what it would wipe out keeps its stairs.
    rings = find_contours(gaussian_filter(mask, 1.0), 0.5) or find_contours(mask, 0.5)
    paths = ("L".join(f"{x - 2.5:.1f} {y - 2.5:.1f}" for y, x in ring[::2]) for ring in rings)
    return "".join(f"M{path}Z" for path in paths)


def middles(labels: IntArray, count: int) -> list[list[float]]:
    """A place (x, y) in the middle of each region: of those far from its edge, the most central.

    >>> middles(np.array([[0, 0, 0, 0, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0]]), 1)
    [[2.5, 1.5]]
    """
    return [_middle(labels == region) for region in range(count)]


def _middle(region: BoolArray) -> list[float]:
    from scipy.ndimage import distance_transform_edt

    depth = distance_transform_edt(np.pad(region, 1))
    places = np.argwhere(depth >= 0.9 * depth.max()) - 1
    row, column = places[((places - places.mean(0)) ** 2).sum(1).argmin()]
    return [float(column) + 0.5, float(row) + 0.5]


def svg_matrix(to_photo: FloatArray) -> list[float]:
    """`to_photo` as the six numbers of an SVG's `matrix`.

    There a pixel's centre is half a pixel from its corner, and here it is at whole numbers.

    >>> svg_matrix(np.array([[2.0, 0.0, 10.0], [0.0, 2.0, 20.0]]))
    [2.0, 0.0, 0.0, 2.0, 9.5, 19.5]
    """
    linear, shift = to_photo[:, :2], to_photo[:, 2]
    return [*linear.T.ravel().tolist(), *(shift + 0.5 - linear.sum(1) / 2).tolist()]
