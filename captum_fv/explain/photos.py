"""A photo as people have it: read, searched for its face, aligned, and kept as it is shown."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageOps

from captum_fv.core.arrays import FloatArray, Image
from captum_fv.data.alignment import align_face, crop_to_photo, template
from captum_fv.data.face_search import APPROXIMATE, FoundFaces, SeveralFacesError, find_faces
from captum_fv.data.faces import FaceFinder, FoundFace
from captum_fv.data.images import read_image
from captum_fv.data.pairs import check_photo
from captum_fv.report.pair_document import FaceBox, PhotoView

Photo = str | Path | Image | PIL.Image.Image
"""A file, an array (H, W, 3) of uint8 in RGB, or a picture of Pillow."""

LONGEST_SHOWN = 1200
"""Pixels of the longer side of a photo that is kept to be shown."""

_ON_TEMPLATE = 10.0
"""Up to so many pixels of 112 from the template, in the mean, landmarks are those of an aligned
face: those that MTCNN finds are up to 5.5 off on LFW, and 9.2 on generated faces."""

_UNCHECKED = (
    "It has the model's size, so it is taken for an aligned face; no finder could confirm it."
)

_SMALL = 0.5
_OUTSIDE = 0.05


def view_photo(
    photo: Photo,
    size: tuple[int, int] = (112, 112),
    *,
    name: str = "photo",
    face: int | None = None,
    largest: bool = False,
    aligned: bool = False,
    finder: FaceFinder | None = None,
) -> PhotoView:
    """The face of a photo as the model sees it, and where it is in the photo.

    A photo of exactly the model's size is taken for an aligned face, unless upright landmarks are
    found that do not lie on the template.

    Args:
        photo: Of any size; a file's EXIF orientation is applied.
        size: (H, W) of the aligned face.
        name: What it is called, if it is no file.
        face: Which of several, counted from 1 on the left.
        largest: The largest of several.
        aligned: It is an aligned face of this size already; no face is looked for.
        finder: As `find_faces` takes it.

    Raises:
        FileNotFoundError: There is no such file.
        SeveralFacesError: There are several faces, and nothing says which.
        ValueError: No photo, no face, or no face of that number; `aligned` with another size.
    """
    image, name = _read(photo, name)
    if aligned:
        _check_aligned(image, name, size)
        return _aligned_view(image, name)
    found = find_faces(image, finder)
    if image.shape[:2] == size and face is None:
        if found.by == APPROXIMATE or found.turned or not found.faces:
            return _aligned_view(image, name, _UNCHECKED)
        if any(_is_on_template(one, size) for one in found.faces):
            return _aligned_view(image, name)
    try:
        return _found_view(found, found.choose(face, largest), size, name)
    except SeveralFacesError as error:
        raise SeveralFacesError(f"{name}: {error}", found) from error
    except ValueError as error:
        hint = (
            f"; crop it to the face, or, if it is an aligned face, want {size[0]}x{size[1]} "
            "pixels; if the model takes another size, give --size H W"
        )
        raise ValueError(f"{name}: {error}{hint * (not found.faces)}") from error


def _read(photo: Photo, name: str) -> tuple[Image, str]:
    """The pixels, and what the photo is called: a file by its name without its folders."""
    if isinstance(photo, str | Path):
        return read_image(photo), _printable(Path(photo).name)
    if isinstance(photo, PIL.Image.Image):
        return np.array(PIL.ImageOps.exif_transpose(photo).convert("RGB")), name
    if not isinstance(photo, np.ndarray):
        raise TypeError(
            f"{name}: got {type(photo).__name__}; want a file, an array (H, W, 3) of uint8, or a "
            "picture of Pillow; write to_image(img[0]) for a tensor in [0, 1], of captum_fv.data"
        )
    check_photo(photo, name)
    return photo, name


def _printable(name: str) -> str:
    """A file's name without what turns or hides text."""
    return "".join(letter if letter.isprintable() else "?" for letter in name)


def _check_aligned(image: Image, name: str, size: tuple[int, int]) -> None:
    height, width = image.shape[:2]
    if (height, width) != size:
        raise ValueError(
            f"{name}: got {height}x{width} pixels (height x width); want a face aligned to "
            f"{size[0]}x{size[1]}. Leave --aligned (aligned=True) out to have the face found; if "
            "the model takes another size, give --size H W"
        )


def _is_on_template(face: FoundFace, size: tuple[int, int]) -> bool:
    distance = np.linalg.norm(face.landmarks - template(size), axis=1).mean()
    return bool(distance <= _ON_TEMPLATE * size[0] / 112)


def _aligned_view(image: Image, name: str, *notes: str) -> PhotoView:
    return PhotoView(
        name=name,
        photo=image,
        crop=image,
        to_photo=np.eye(3)[:2],
        faces=(),
        found_by="aligned already",
        notes=notes,
    )


def _found_view(
    found: FoundFaces, chosen: FoundFace, size: tuple[int, int], name: str
) -> PhotoView:
    crop = align_face(found.photo, chosen.landmarks, size)
    to_photo = crop_to_photo(chosen.landmarks, size)
    shown, factor = _shown(found.photo)
    in_shown = to_photo * factor
    in_shown[:, 2] += (factor - 1) / 2  # places count from the first pixel's centre
    boxes = [
        FaceBox(face.scaled(factor).box, face.confidence, face is chosen) for face in found.faces
    ]
    return PhotoView(
        name=name,
        photo=shown,
        crop=crop,
        to_photo=in_shown,
        faces=tuple(boxes),
        found_by=found.by,
        notes=tuple(_notes(found, to_photo, size)),
    )


def _shown(photo: Image) -> tuple[Image, float]:
    """The photo as it is kept, and how much longer its sides are for it: 1 or less."""
    height, width = photo.shape[:2]
    factor = min(1.0, LONGEST_SHOWN / max(height, width))
    if factor == 1:
        return photo, 1.0
    smaller = round(width * factor) or 1, round(height * factor) or 1
    return np.asarray(PIL.Image.fromarray(photo).resize(smaller, reducing_gap=3.0)), factor


def _notes(found: FoundFaces, to_photo: FloatArray, size: tuple[int, int]) -> list[str]:
    """What a reader must know before trusting the score."""
    notes = []
    if found.by == APPROXIMATE:
        notes.append(
            "The face was found as a box without landmarks, so it is aligned roughly, and the "
            'score is lower than it should be; pip install "captum_fv[faces]" finds landmarks.'
        )
    if found.turned:
        notes.append(f"It was turned by {found.turned} degrees, counter-clockwise, to be upright.")
    scale = float(np.linalg.norm(to_photo[:, 0]))
    if scale < _SMALL:
        notes.append(
            f"The face is small: where the model looks at {size[1]} pixels across, the photo has "
            f"{size[1] * scale:.0f}."
        )
    outside = _share_outside(to_photo, size, found.photo.shape[:2])
    if outside > _OUTSIDE:
        notes.append(
            f"{100 * outside:.0f} % of the aligned face lie outside the photo, and are black."
        )
    return notes


def _share_outside(to_photo: FloatArray, size: tuple[int, int], photo: tuple[int, ...]) -> float:
    """The share of the aligned face's pixels that the photo does not hold."""
    rows, columns = np.indices(size)
    places = to_photo @ np.stack([columns.ravel(), rows.ravel(), np.ones(rows.size)])
    inside = (places > -1).all(0) & (places < np.array(photo[::-1])[:, None]).all(0)
    return float(1 - inside.mean())
