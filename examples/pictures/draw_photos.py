"""Draws a.jpg and b.jpg: two photos of one person who does not exist, as a camera would take them.

    python examples/pictures/draw_photos.py

The generator paints aligned faces, cut off at the hair and at the neck. Here the hair is rounded
off, the neck ends in a collar, and the face is enlarged, tilted and moved.
"""

from pathlib import Path

import numpy as np
import PIL.Image
from skimage.filters import gaussian
from skimage.transform import SimilarityTransform, warp

from captum_fv.data.generated import UNSEEN_PEOPLE, photograph

SIZE = (480, 400)
PHOTOS = {  # name: number of the photo, scale, degrees, where the crop's corner comes to lie
    "a.jpg": (0, 2.1, -5.0, (75.0, 120.0)),
    "b.jpg": (1, 1.7, 6.0, (120.0, 95.0)),
}
MARGIN = 240


def main() -> None:
    """Draw both."""
    for name, (number, scale, degrees, corner) in PHOTOS.items():
        face = photograph(UNSEEN_PEOPLE + 24, number) / 255
        whole = np.pad(face, ((MARGIN, MARGIN), (MARGIN, MARGIN), (0, 0)), "edge")
        for side in (slice(None, MARGIN + 2), slice(-MARGIN - 2, None)):
            whole[:, side] = gaussian(whole[:, side], (3, 0, 0))
        whole[:MARGIN] = continued(face[:12], dome)[::-1]
        whole[-MARGIN:] = continued(face[-1:], collar)
        place = SimilarityTransform(scale=scale, rotation=np.radians(degrees), translation=corner)
        in_margin = SimilarityTransform(translation=(MARGIN, MARGIN))
        drawn = warp(whole, place.inverse + in_margin, output_shape=SIZE, order=3, mode="edge")
        photo = PIL.Image.fromarray((255 * np.clip(drawn, 0, 1)).round().astype(np.uint8))
        photo.save(Path(__file__).with_name(name), quality=88)


def dome(away):
    """The share of the hair's width that is left so many rows above the crop."""
    return np.sqrt(np.clip(1 - (away / 16) ** 2, 0, 1))


def collar(away):
    """The share of the neck's width that is left so many rows below the crop."""
    return np.clip(1 - away / 30, 0, 1)


def continued(rows, width_at):
    """What lies beyond a face, row by row away from these outermost ones, (MARGIN, W + margins, 3).

    What is in their middle goes on within `width_at(rows away)` of its width; what is at their ends
    surrounds it.
    """
    outermost = rows[:3].mean(0)
    count = len(outermost)
    share = np.linspace(0, 1, count)[:, None]
    ends = (1 - share) * outermost[2] + share * outermost[-3]
    within = np.flatnonzero(np.abs(outermost - ends).max(1) > 0.1)
    middle, half = (within[0] + within[-1]) / 2, (within[-1] - within[0]) / 2
    away, columns = np.mgrid[:MARGIN, -MARGIN : count + MARGIN]
    inner = gaussian((np.abs(columns - middle) < half * width_at(away)).astype(float), 1.2)
    places = np.clip(columns, 0, count - 1)
    inner = inner[..., None]
    return inner * rows[away % len(rows), places] + (1 - inner) * ends[places]


if __name__ == "__main__":
    main()
