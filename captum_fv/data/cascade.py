"""Finds frontal faces by scikit-image's LBP cascade: boxes without landmarks, so approximate."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import PIL.Image

from captum_fv.core.arrays import Image
from captum_fv.data.alignment import Points
from captum_fv.data.faces import FoundFace
from captum_fv.data.pairs import check_photo

Box = tuple[int, int, int, int]
"""A rectangle of pixels: (top, left, height, width)."""

# Where the landmarks lie in the detector's box (fractions of its side): the mean over 24 photos
# of LFW, made symmetric so that no rotation comes in.
_BOX_LANDMARKS: Points = np.array(
    [(0.31, 0.386), (0.687, 0.386), (0.499, 0.591), (0.336, 0.789), (0.662, 0.789)]
)
_SEARCH_SIDE = 250
_MIN_OVERLAP = 0.1


def find_by_cascade(photo: Image) -> list[FoundFace]:
    """All frontal faces, with landmarks where they lie on average in a box; a `FaceFinder`."""
    return [
        FoundFace((left, top, width, height), _in_box((top, left, height, width)))
        for top, left, height, width in _boxes(photo)
    ]


def find_face(image: Image, largest: bool = False) -> Box:
    """The one frontal face in a photo as (top, left, height, width), found by an LBP cascade.

    The photo is searched at 250 pixels of its shorter side, for faces of 20 to 90 % of that.

    A box that shares over a tenth of its area with a larger one is the same face, found twice: the
    larger one stands.

    Args:
        image: (H, W, 3) uint8.
        largest: Take the largest of several faces.

    Raises:
        ValueError: No face, or several.
    """
    faces, (height, width) = _boxes(image), image.shape[:2]
    if len(faces) != 1 and not (faces and largest):
        listed = f" at (top, left, height, width) {faces}" if faces else ""
        raise ValueError(
            f"want one frontal face in the {height}x{width} photo, found {len(faces)}{listed}; "
            "crop the photo to the face, or give its five landmarks to align_face, or --landmarks"
            + " (or --largest)"
            * bool(faces)
        )
    return faces[0]


def guess_landmarks(image: Image, largest: bool = False) -> Points:
    """The five landmarks of the one face in a photo, where they lie on average in its box.

    On 24 photos of LFW, aligned by these, the true landmarks end up 4.3 pixels from the template on
    112x112 (mean; 11.9 for the worst photo); a tilted head stays tilted.

    Raises:
        ValueError: No face, or several.
    """
    return _in_box(find_face(image, largest))


def _in_box(box: Box) -> Points:
    top, left, height, width = box
    return _BOX_LANDMARKS * (width, height) + (left, top)


def _boxes(image: Image) -> list[Box]:
    """All faces found, the largest first, each once."""
    check_photo(image)
    height, width = image.shape[:2]
    scale = min(height, width) / _SEARCH_SIDE
    small = PIL.Image.fromarray(image).resize((round(width / scale), round(height / scale)))
    boxes = _detector().detect_multi_scale(
        np.asarray(small),
        scale_factor=1.05,
        step_ratio=1,
        min_size=(50, 50),
        max_size=(225, 225),
        min_neighbor_number=12,
    )
    faces: list[Box] = []
    for box in sorted(boxes, key=lambda box: -int(box["width"])):
        top, left, side = (round(box[key] * scale) for key in ("r", "c", "width"))
        box_found = (top, left, side, side)
        if not any(_shared(box_found, face) > _MIN_OVERLAP * side * side for face in faces):
            faces.append(box_found)
    return faces


def _shared(one: Box, other: Box) -> int:
    """The area of what two boxes share."""
    sides = (
        min(a + length_a, b + length_b) - max(a, b)
        for a, b, length_a, length_b in zip(one[:2], other[:2], one[2:], other[2:], strict=True)
    )
    height, width = (max(0, side) for side in sides)
    return height * width


@cache
def _detector() -> Any:
    from skimage.data import lbp_frontal_face_cascade_filename
    from skimage.feature import Cascade

    return Cascade(lbp_frontal_face_cascade_filename())
