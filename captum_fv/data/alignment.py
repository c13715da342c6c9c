"""Brings a face to where recognition models expect it: the ArcFace template (Deng et al. 2019)."""

from __future__ import annotations

import warnings
from itertools import permutations

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

# A similarity transform leaves 3.0 px (root mean square, of 112; at most 5.4) of the true landmarks
# on 24 photos of LFW, and at least 13.1 of any other order of them, quarter turns apart.
_MAX_RESIDUAL = 8.0


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


def crop_to_photo(landmarks: npt.ArrayLike, size: tuple[int, int] = (112, 112)) -> FloatArray:
    """What takes a place (x, y, 1) of the aligned face back into its photo, (2, 3).

    It is the inverse of what `align_face` does with the same landmarks and size.

    >>> crop_to_photo(2 * TEMPLATE + (30, 50)).round().astype(int).tolist()
    [[2, 0, 30], [0, 2, 50]]
    """
    from skimage.transform import estimate_transform

    points = np.asarray(landmarks, dtype=np.float64)
    to_template = estimate_transform("similarity", points, template(size))
    to_photo: FloatArray = to_template.inverse.params[:2]
    return to_photo


def is_face(points: Points) -> bool:
    """Whether five points are an upright face's: within 60 degrees, and close to the template."""
    return _is_upright(points) and _residual(points) <= _MAX_RESIDUAL


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
