"""A photo with the faces that were found in it, boxed and numbered."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont

from captum_fv.core.arrays import Image

_COLOUR = "#ffd400"
_LONGEST = 1600


def number_faces(photo: Image, boxes: Sequence[tuple[float, float, float, float]]) -> Image:
    """The photo with its boxes, each with its number from 1, at most 1,600 pixels long.

    Args:
        photo: (H, W, 3) uint8.
        boxes: Left, top, width and height in pixels.

    Returns:
        (h, w, 3) uint8.
    """
    height, width = photo.shape[:2]
    factor = min(1.0, _LONGEST / max(height, width))
    size = max(1, round(width * factor)), max(1, round(height * factor))
    picture = PIL.Image.fromarray(photo).resize(size, reducing_gap=3.0)
    draw = PIL.ImageDraw.Draw(picture)
    thick = max(2, max(size) // 300)
    for number, box in enumerate(boxes, 1):
        left, top, wide, high = (factor * value for value in box)
        draw.rectangle((left, top, left + wide, top + high), outline=_COLOUR, width=thick)
        font = PIL.ImageFont.load_default(max(12.0, wide / 4))
        corner = left + thick, top + thick
        draw.rectangle(draw.textbbox(corner, str(number), font), fill=_COLOUR)
        draw.text(corner, str(number), fill="black", font=font)
    return np.asarray(picture)
