"""Finds tilted heads: in the photo turned until they are upright, where finders are best."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import PIL.Image

from captum_fv.core.arrays import Image
from captum_fv.data.alignment import Points, is_face
from captum_fv.data.faces import FaceFinder, FoundFace

_STRAIGHT = 8.0
"""Degrees of tilt that finders do not mind."""


def tilt(landmarks: Points) -> float:
    """Degrees by which a head is tilted, clockwise as seen: of the line from one eye to the other.

    >>> tilt(np.array([[0, 0], [10, 10], [0, 0], [0, 0], [0, 0]]))
    45.0
    """
    across, down = landmarks[1] - landmarks[0]
    return math.degrees(math.atan2(down, across))


def look_again(face: FoundFace, photo: Image, finder: FaceFinder) -> FoundFace:
    """A tilted head as it is found once more, in the photo turned upright.

    The landmarks of a tilted head are some pixels off.
    """
    degrees = tilt(face.landmarks)
    if abs(degrees) <= _STRAIGHT:
        return face

    def distance(other: FoundFace) -> float:
        return float(np.linalg.norm(other.landmarks.mean(0) - face.landmarks.mean(0)))

    nearest = min(find_in_turned(photo, degrees, finder), key=distance, default=face)
    return nearest if distance(nearest) < max(face.box[2:]) / 2 else face


def find_in_turned(photo: Image, degrees: float, finder: FaceFinder) -> list[FoundFace]:
    """The faces found in a photo turned counter-clockwise, with their places in the photo itself.

    What is found without the shape of an upright face, tilted by up to 60 degrees in the photo
    itself, is none, or lies on its side.
    """
    if degrees == 0:
        return _faces(finder(photo))
    height, width = photo.shape[:2]
    side = math.ceil(math.hypot(height, width))  # wherever it is turned, nothing is cut off
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    turn = np.array([(cos, -sin), (sin, cos)])  # from the turned photo to the photo itself
    shift = np.array([(width - 1) / 2, (height - 1) / 2]) - turn @ np.full(2, (side - 1) / 2)
    # Pillow counts from a pixel's corner.
    corner = shift + 0.5 - turn.sum(1) / 2
    rows = [value for row, end in zip(turn, corner, strict=True) for value in (*row, end)]
    turned = PIL.Image.fromarray(photo).transform(
        (side, side), PIL.Image.Transform.AFFINE, rows, PIL.Image.Resampling.BILINEAR
    )
    back = []
    for face in finder(np.asarray(turned)):
        left, top, wide, high = face.box
        middle = turn @ (left + wide / 2 - 0.5, top + high / 2 - 0.5) + shift + 0.5
        box = (float(middle[0] - wide / 2), float(middle[1] - high / 2), wide, high)
        back.append(replace(face, box=box, landmarks=face.landmarks @ turn.T + shift))
    return _faces(back)


def _faces(found: Sequence[FoundFace]) -> list[FoundFace]:
    """Those with the shape of an upright face: the others are no faces, or lie on their side."""
    return [face for face in found if is_face(face.landmarks)]
