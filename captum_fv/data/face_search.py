"""Finds the faces of any photo: large ones made smaller, and turned where nothing is upright."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import PIL.Image

from captum_fv.core.arrays import Image
from captum_fv.data.alignment import align_face
from captum_fv.data.cascade import find_by_cascade
from captum_fv.data.faces import FaceFinder, FoundFace
from captum_fv.data.mtcnn import find_by_mtcnn, has_mtcnn
from captum_fv.data.pairs import check_photo
from captum_fv.data.tilted import find_in_turned, look_again

LONGEST, SHORTEST = 1024, 240
"""Pixels of the sides at which a photo is searched."""

SMALLEST = 20
"""Pixels of the smallest face that is looked for, of the photo as it is searched."""

_TURNS = ((0, 0), (0, 45), (0, -45), (1, 0), (3, 0), (2, 0))
"""Quarter turns of the photo, and degrees of tilt in it, in the order in which they are tried."""

_SURE = 0.995
"""Confidence from which no other turn is tried: faces on their side are found, wrongly, with less.
On 24 photos of LFW such finds reach 0.992, and upright ones are above 0.993."""

APPROXIMATE = "cascade (approximate)"
"""What the cascade is called: its landmarks are a guess from a box."""


class SeveralFacesError(ValueError):
    """There are several faces, and nothing says which; `found` holds them."""

    def __init__(self, message: str, found: FoundFaces) -> None:
        super().__init__(message)
        self.found = found


@dataclass(frozen=True, eq=False)
class FoundFaces:
    """What was found in a photo.

    Args:
        photo: The photo, turned so that its faces are upright, (H, W, 3) uint8.
        faces: From left to right; the first is number 1.
        turned: Degrees by which the photo was turned for it, counter-clockwise: 0, 90, 180 or 270.
        by: The finder's name.
    """

    photo: Image
    faces: tuple[FoundFace, ...]
    turned: int
    by: str

    def choose(self, number: int | None = None, largest: bool = False) -> FoundFace:
        """The one face, or the face of a number, or the largest one.

        Raises:
            SeveralFacesError: There are several, and neither is given.
            ValueError: There is none, or none of that number.
        """
        if not self.faces:
            height, width = self.photo.shape[:2]
            better = '; pip install "captum_fv[faces]" brings a better finder'
            raise ValueError(
                f"no face found in the {height}x{width} photo (height x width) by {self.by}, "
                "upright, tilted by 45 degrees and turned by 90, 180 and 270"
                + better
                * (self.by == APPROXIMATE)
            )
        if number is not None:
            if not 1 <= number <= len(self.faces):
                raise ValueError(
                    f"there is no face {number}; the photo has {len(self.faces)}, counted from 1 "
                    "on the left"
                )
            return self.faces[number - 1]
        by_size = sorted(self.faces, key=lambda face: -face.box[2] * face.box[3])
        if len(by_size) > 1 and not largest:
            places = ", ".join(
                f"{i} at (x, y) ({left:.0f}, {top:.0f}), {wide:.0f} wide"
                for i, (left, top, wide, _) in enumerate((face.box for face in self.faces), 1)
            )
            raise SeveralFacesError(f"{len(self.faces)} faces: {places}", self)
        return by_size[0]


def find_faces(photo: Image, finder: FaceFinder | None = None) -> FoundFaces:
    """The faces of a photo.

    The photo is searched as it is, turned by 45 degrees to either side, and by quarter turns, until
    there are faces that the finder is sure of; else the surest are taken. What it gives without the
    shape of an upright face (60 degrees to either side, five points that fit the template) does not
    count. A tilted head is looked for once more, in the photo turned upright.

    Args:
        photo: (H, W, 3) uint8 RGB. It is searched at 240 to 1,024 pixels of its sides.
        finder: None takes MTCNN, which the extra `faces` brings, else the cascade of scikit-image.

    Returns:
        The faces with places in the photo that is returned with them; none where none was found.

    >>> import skimage.data
    >>> found = find_faces(skimage.data.astronaut())
    >>> len(found.faces), found.turned, found.choose().landmarks.shape
    (1, 0, (5, 2))
    """
    check_photo(photo, "photo")
    by = finder_name(finder)
    if finder is None:
        finder = find_by_mtcnn if has_mtcnn() else find_by_cascade
    small, factor = _at_search_size(photo)
    if min(small.shape[:2]) < SMALLEST:
        return FoundFaces(photo, (), 0, by)
    best: list[FoundFace] = []
    for quarters, degrees in _TURNS:
        turned = np.ascontiguousarray(np.rot90(small, quarters))
        faces = find_in_turned(turned, degrees, finder)
        if _confidence(faces) > _confidence(best):
            best, best_turn = faces, quarters
        if _confidence(best) >= _SURE:
            break
    if not best:
        return FoundFaces(photo, (), 0, by)
    turned = np.ascontiguousarray(np.rot90(small, best_turn))
    best = [look_again(face, turned, finder).scaled(factor) for face in best]
    upright = np.ascontiguousarray(np.rot90(photo, best_turn))
    in_order = sorted(best, key=lambda face: face.box[0])
    return FoundFaces(upright, tuple(in_order), 90 * best_turn, by)


def finder_name(finder: FaceFinder | None) -> str:
    """What a finder is called; None is the one that is taken by itself."""
    if finder is None:
        return "mtcnn" if has_mtcnn() else APPROXIMATE
    return getattr(finder, "__name__", type(finder).__name__)


def _confidence(faces: Sequence[FoundFace]) -> float:
    """Of the surest of some faces; a finder that gives none is believed."""
    return max((1.0 if f.confidence is None else f.confidence for f in faces), default=0.0)


def align_detected(
    image: Image, size: tuple[int, int] = (112, 112), largest: bool = False
) -> Image:
    """The one face in a photo on the template: `align_face` with the landmarks of `find_faces`.

    Raises:
        ValueError: No face, or several.
    """
    found = find_faces(image)
    return align_face(found.photo, found.choose(largest=largest).landmarks, size)


def _at_search_size(photo: Image) -> tuple[Image, float]:
    """The photo at a size to search in, and how much longer its own sides are."""
    height, width = photo.shape[:2]
    factor = max(max(height, width) / LONGEST, min(1.0, min(height, width) / SHORTEST))
    if factor == 1:
        return photo, 1.0
    size = max(1, round(width / factor)), max(1, round(height / factor))
    picture = PIL.Image.fromarray(photo)
    small = picture.resize(size, PIL.Image.Resampling.BICUBIC, reducing_gap=2.0)
    return np.asarray(small), factor
