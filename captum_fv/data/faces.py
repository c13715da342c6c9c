"""What a face finder is: it takes a photo and gives boxes, five points each, and how sure it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from captum_fv.core.arrays import Image
from captum_fv.data.alignment import Points


@dataclass(frozen=True, eq=False)
class FoundFace:
    """A face in a photo.

    Args:
        box: Left, top, width and height, in pixels.
        landmarks: Left eye, right eye, nose tip, left and right mouth corner, left as seen in the
            picture: (5, 2) pixels as (x, y).
        confidence: Of the finder, in [0, 1]; None where it gives none.
    """

    box: tuple[float, float, float, float]
    landmarks: Points
    confidence: float | None = None

    def scaled(self, factor: float) -> FoundFace:
        """The same face in a copy of the photo with sides of `factor` times the length."""
        left, top, width, height = (factor * value for value in self.box)
        # Places count from the centre of the first pixel, which lies half a pixel into the photo.
        points = factor * (np.asarray(self.landmarks, np.float64) + 0.5) - 0.5
        return replace(self, box=(left, top, width, height), landmarks=points)


FaceFinder = Callable[[Image], Sequence[FoundFace]]
"""(H, W, 3) uint8 RGB -> the faces in it, in any order; none is an empty list."""
