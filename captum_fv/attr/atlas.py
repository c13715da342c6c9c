"""Where the features of a face lie on the ArcFace template, by the names that examiners use."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from captum_fv.attr.regions import Regions
from captum_fv.core.arrays import BoolArray, FloatArray
from captum_fv.core.checks import check_size

Outline = Sequence[tuple[float, float]]
"""Corners (x, y) of one half of a feature, pixels of 112x112: the half on the picture's left."""

NAMES = (
    "hair and outline",
    "forehead",
    "right eyebrow",
    "left eyebrow",
    "right eye",
    "left eye",
    "nose",
    "right cheek",
    "left cheek",
    "mouth",
    "chin and jaw",
)
"""From top to bottom, as features are gone through in a comparison."""

MIDDLE = 56.0
"""The x about which the template is symmetric, within a tenth of a pixel."""

# Drawn over the mean and over single photos of LFW and of generated people. What comes later covers
# what came before, so neighbours share an edge that is written once.
_OUTLINES: dict[str, Outline] = {
    "cheek": [(56, 44), (20, 44), (17, 56), (18, 70), (22, 84), (36, 98), (56, 98)],
    "forehead": [(56, 12), (42, 13), (31, 18), (23, 30), (20, 46), (56, 46)],
    "chin and jaw": [
        (56, 102), (46, 102), (38, 98), (22, 82), (25, 93), (32, 104), (40, 114), (56, 114)
    ],
    "mouth": [(56, 82), (45, 81), (37, 87), (35, 93), (39, 100), (47, 104), (56, 105)],
    "nose": [(56, 44), (51, 45), (50, 57), (44, 68), (41, 75), (44, 81), (56, 83)],
    "eye": [(24, 45), (23, 53), (26, 57), (33, 60), (44, 60), (50, 57), (51, 45)],
    "eyebrow": [(22, 46), (23, 39), (32, 34), (44, 34), (52, 38), (52, 45), (40, 44), (30, 45)],
}  # fmt: skip


def face_regions(size: tuple[int, int] = (112, 112)) -> Regions:
    """The eleven regions of a face that is aligned to the ArcFace template.

    Right and left are the person's own: the right eye is on the left of the picture. Names follow
    the feature list that facial examiners compare by: skin between the features is part of its
    neighbour, ears and neck of "hair and outline". It is one atlas for all faces, so a region is
    where a feature lies on most of them, to some pixels; for a turned head, or another alignment,
    hand a face parser's label map to `Regions`.

    Args:
        size: (H, W) in pixels; scaled with H and centred across, as `align_face` does.

    Returns:
        Every pixel belongs to one region.

    Raises:
        ValueError: No size, or one too small to show all regions.

    Reference:
        FISWG: Facial Image Comparison Feature List for Morphological Analysis, version 2.0, 2018;
        ASTM E3149. The outlines are our own.

    >>> regions = face_regions()
    >>> regions.names[regions.labels[51, 38]], regions.names[regions.labels[72, 56]]
    ('right eye', 'nose')
    """
    check_size("size", size)
    height, width = size
    scale = height / 112
    # A pixel's centre on 112x112: what `alignment.template` does, the other way round.
    x = (np.arange(width, dtype=np.float64) - (width - 112 * scale) / 2) / scale
    y = np.arange(height, dtype=np.float64) / scale
    labels = np.zeros((height, width), dtype=np.int64)
    for feature, half in _OUTLINES.items():
        mirrored = [(2 * MIDDLE - corner_x, corner_y) for corner_x, corner_y in half]
        if feature in NAMES:
            labels[_inside([*half, *reversed(mirrored)], x, y)] = NAMES.index(feature)
            continue
        for side, outline in (("right", half), ("left", mirrored)):
            labels[_inside(outline, x, y)] = NAMES.index(f"{side} {feature}")
    if len(np.unique(labels)) < len(NAMES):
        raise ValueError(
            f"size: got {height}x{width}, which does not show all of {', '.join(NAMES)}; want "
            "(height, width) of an aligned face, as (112, 112)"
        )
    return Regions(labels, NAMES)


def both_sides(regions: Regions) -> Regions:
    """The same with right and left as one region.

    >>> both_sides(face_regions()).names[2:5]
    ('eyebrow', 'eye', 'nose')
    """
    names = [name.removeprefix("right ").removeprefix("left ") for name in regions.names]
    merged = list(dict.fromkeys(names))
    numbers = np.array([*(merged.index(name) for name in names), -1])  # -1 stays -1
    return Regions(numbers[regions.labels], merged)


def _inside(outline: Outline, x: FloatArray, y: FloatArray) -> BoolArray:
    """Which of the places (y, x) lie within an outline, (len(y), len(x))."""
    from skimage.measure import points_in_poly

    places = np.stack(np.meshgrid(x, y), -1).reshape(-1, 2)
    return np.asarray(points_in_poly(places, outline)).reshape(len(y), len(x))
