"""Brings a face to where recognition models expect it: the ArcFace template (Deng et al. 2019)."""

from __future__ import annotations

import warnings
from functools import cache
from itertools import permutations
from typing import Any

import numpy as np
import numpy.typing as npt
import PIL.Image

from captum_fv.core.arrays import FloatArray, Image
from captum_fv.core.checks import check_size
from captum_fv.data.pairs import check_photo

Points = FloatArray
"""Five landmarks, (5, 2) as (x, y): left eye, right eye, nose tip, left and right mouth corner.

Left is left in the picture.
"""

Box = tuple[int, int, int, int]
"""A rectangle of pixels: (top, left, height, width)."""

TEMPLATE: Points = np.array(
    [
        (38.2946, 51.6963),
        (73.5318, 51.5014),
        (56.0252, 71.7366),
        (41.5493, 92.3655),
        (70.7299, 92.2041),
    ]
)
"""Where the landmarks go on 112x112."""

# Where the landmarks lie in the detector's box (fractions of its side): the mean over 24 photos
# of LFW, made symmetric so that no rotation comes in.
_BOX_LANDMARKS: Points = np.array(
    [(0.31, 0.386), (0.687, 0.386), (0.499, 0.591), (0.336, 0.789), (0.662, 0.789)]
)
_SEARCH_SIDE = 250
# A similarity transform leaves 3.0 px (root mean square, of 112; at most 5.4) of the true landmarks
# on 24 photos of LFW, and at least 13.1 of any other order of them, quarter turns apart.
_MAX_RESIDUAL = 8.0
_MIN_OVERLAP = 0.1


def template(size: tuple[int, int] = (112, 112)) -> Points:
    """The landmarks' places on (H, W): scaled with H, centred across; on 112x96 x shifts by -8."""
    height, width = size
    scale = height / 112
    return TEMPLATE * scale + ((width - 112 * scale) / 2, 0)


def align_face(image: Image, landmarks: npt.ArrayLike, size: tuple[int, int] = (112, 112)) -> Image:
    """The face moved, turned and scaled onto the template; bilinear, black outside the photo.

    The least-squares similarity transform (Umeyama 1991) of the landmarks to the template. A face
    that is twice the result's size or more is first shrunk by averaging, which takes noise away.

    Args:
        image: (H, W, 3) uint8.
        landmarks: (5, 2) pixels as (x, y): left eye, right eye, nose tip, left and right mouth
            corner, where left is left in the picture. Some may lie outside the photo.
        size: (H, W) of the result; (112, 112) and (112, 96) are usual.

    Raises:
        ValueError: Landmarks that are not five finite points, whose middle is outside the image,
            that lie on a line, or that are no face's: over 8 pixels (of 112, root mean square) from
            the template after the transform. The error says which order would fit.

    Warns:
        UserWarning: The face is turned by more than 60 degrees, as by points in another order.
    """
    from skimage.transform import SimilarityTransform, estimate_transform, warp

    check_photo(image)
    check_size("size", size)
    points = _checked(landmarks, image)
    to_template = estimate_transform("similarity", points, template(size))
    # Only what the result shows is looked at, and a margin: whole photos take gigabytes as floats.
    height, width = size
    corners = np.array([(0, 0), (width, 0), (0, height), (width, height)]) - 0.5
    seen = to_template.inverse(corners)
    factor = max(1, int(1 / to_template.scale + 1e-6))
    margin = 2 * factor
    left, top = np.maximum(np.floor(seen.min(0)).astype(int) - margin, 0)
    right, bottom = np.maximum(np.ceil(seen.max(0)).astype(int) + margin, 0)
    crop = image[top:bottom, left:right]
    if factor > 1:
        crop = np.asarray(PIL.Image.fromarray(crop).reduce(factor))
    # The centre of the crop's first pixel is the centre of factor x factor pixels of the photo.
    first = np.add((left, top), (factor - 1) / 2)
    to_photo = SimilarityTransform(scale=factor, translation=first)
    face = warp(
        crop, (to_photo + to_template).inverse, output_shape=size, order=1, preserve_range=True
    )
    return np.asarray(np.rint(face), dtype=np.uint8)


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
    top, left, height, width = find_face(image, largest)
    return _BOX_LANDMARKS * (width, height) + (left, top)


def align_detected(
    image: Image, size: tuple[int, int] = (112, 112), largest: bool = False
) -> Image:
    """The one face in a photo roughly on the template: `align_face` with `guess_landmarks`."""
    return align_face(image, guess_landmarks(image, largest), size)


def _shared(one: Box, other: Box) -> int:
    """The area of what two boxes share."""
    sides = (
        min(a + length_a, b + length_b) - max(a, b)
        for a, b, length_a, length_b in zip(one[:2], other[:2], one[2:], other[2:], strict=True)
    )
    height, width = (max(0, side) for side in sides)
    return height * width


def _checked(landmarks: npt.ArrayLike, image: Image) -> Points:
    points = np.asarray(landmarks, dtype=np.float64)
    if points.shape != (5, 2):
        raise ValueError(f"landmarks: want five points (x, y), shape (5, 2); got {points.shape}")
    if not np.isfinite(points).all():
        raise ValueError(f"landmarks: want finite numbers, got {points.tolist()}")
    height, width = image.shape[:2]
    outside = ValueError(
        f"landmarks: want (x, y) inside the {height}x{width} image, or a little outside; "
        f"got {points.tolist()}"
    )
    if np.abs(points).max() > 2 * max(height, width):
        raise outside
    spread = np.linalg.svd(points - points.mean(0), compute_uv=False)
    if spread[1] <= 0.02 * spread[0]:
        raise ValueError(f"landmarks: these lie on a line: {points.tolist()}")
    if _residual(points) > _MAX_RESIDUAL:
        raise ValueError(f"landmarks: {_order_that_fits(points)}; got {points.tolist()}")
    if (points.mean(0) < 0).any() or (points.mean(0) > (width - 1, height - 1)).any():
        raise outside
    if np.ptp(points, axis=0).max() < 4:
        raise ValueError(
            f"landmarks: want pixels of the {height}x{width} image, got a face of under 4 pixels, "
            f"as fractions of its sides would be: {points.tolist()}"
        )
    if not _is_upright(points):
        warnings.warn(
            "landmarks: this face is turned by more than 60 degrees; want left eye, right eye, "
            "nose tip, left and right mouth corner, left as seen in the picture",
            stacklevel=3,
        )
    return points


def _is_upright(points: Points) -> bool:
    """Whether the eyes are side by side, within 60 degrees, and above the mouth."""
    across, down = points[1] - points[0], points[3:].mean(0) - points[:2].mean(0)
    return bool(across[0] >= 0.5 * np.linalg.norm(across) and down[1] > 0)


def _residual(points: Points) -> float:
    """How far a similarity transform leaves points from the template: RMS, pixels of 112."""
    from skimage.transform import estimate_transform

    transform = estimate_transform("similarity", points, TEMPLATE)
    if not transform:  # none fits at all
        return np.inf
    residual = float(np.sqrt(((transform(points) - TEMPLATE) ** 2).sum(1).mean()))
    return residual if np.isfinite(residual) else np.inf


def _order_that_fits(points: Points) -> str:
    """What is wrong with points that are no face, found by trying what people mix up."""

    def is_face(points: Points) -> bool:
        return _is_upright(points) and _residual(points) <= _MAX_RESIDUAL

    if is_face(points.ravel().reshape(2, 5).T):
        return (
            "these are x1 to x5 and then y1 to y5, as MTCNN gives them; want x1 y1 x2 y2 and so "
            "on, np.reshape(points, (2, 5)).T"
        )
    if is_face(points[:, ::-1]):
        return "these are (y, x); want (x, y), points[:, ::-1]"
    orders = [list(order) for order in permutations(range(5)) if is_face(points[list(order)])]
    if not orders:
        return "these are no face's; want two eyes, nose tip and two mouth corners, in pixels"
    best = min(orders, key=lambda order: _residual(points[order]))
    names = (
        "left eye, right eye, nose tip, left and right mouth corner, left as seen in the picture"
    )
    if best == [1, 0, 2, 4, 3]:
        return f"left and right are exchanged; want {names}"
    return f"these are in another order; want {names}, which would be points[{best}]"


@cache
def _detector() -> Any:
    from skimage.data import lbp_frontal_face_cascade_filename
    from skimage.feature import Cascade

    return Cascade(lbp_frontal_face_cascade_filename())
