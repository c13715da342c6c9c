"""`captum-fv align`: the face of a photo, or of each photo in a folder, on the template."""

from __future__ import annotations

import sys
import warnings
from argparse import ArgumentParser, Namespace
from pathlib import Path

import numpy as np
import PIL.Image

from captum_fv.cli.options import positive
from captum_fv.core.arrays import FloatArray, Image
from captum_fv.core.files import check_output
from captum_fv.data.alignment import align_face
from captum_fv.data.cascade import find_face
from captum_fv.data.face_search import APPROXIMATE, SeveralFacesError, find_faces
from captum_fv.data.images import IMAGE_SUFFIXES, photos_in, read_image
from captum_fv.data.lfw import read_lines

HELP = "cut the face of a photo out, as models want it"
DESCRIPTION = """
Find the face in a photo, or in each photo of a folder, and move it to the ArcFace template. The
extra `faces` (pip install "captum_fv[faces]") brings a finder of landmarks; without it a box is all
there is, and the result approximate: some 4 pixels off on average. `captum-fv explain` takes photos
as they are, and needs none of this."""


def add(parser: ArgumentParser) -> None:
    """Its options."""
    parser.add_argument("photo", type=Path, metavar="IN", help="a photo of one person, or a folder")
    parser.add_argument(
        "out", type=Path, metavar="OUT", help="the aligned photo to write (OUT.png), or a folder"
    )
    landmarks = parser.add_mutually_exclusive_group()
    landmarks.add_argument(
        "--landmarks",
        type=float,
        nargs=10,
        metavar="N",
        help="x and y of left eye, right eye, nose tip, left and right mouth corner, left as seen "
        "in the picture",
    )
    landmarks.add_argument(
        "--landmarks-file",
        type=Path,
        metavar="FILE",
        help="the same for many photos: a line 'name x1 y1 x2 y2 x3 y3 x4 y4 x5 y5' for each",
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--largest", action="store_true", help="take the largest of several faces")
    which.add_argument(
        "--face", type=positive, metavar="N", help="take the N-th of several, from the left"
    )
    parser.add_argument(
        "--size",
        type=positive,
        nargs=2,
        default=(112, 112),
        metavar=("HEIGHT", "WIDTH"),
        help="of the aligned photo (default: 112 112)",
    )


def run(options: Namespace) -> None:
    """Align the photos and write them."""
    known = {} if options.landmarks_file is None else _read_landmarks(options.landmarks_file)
    if options.photo.is_dir():
        return _align_folder(options, known)
    out: Path = options.out
    if out.is_dir() or out.suffix.lower() not in IMAGE_SUFFIXES:
        raise ValueError(f"{out} is no photo's name; write one that ends in .png, as face.png")
    check_output(out, options.photo)
    points = None if options.landmarks is None else np.reshape(options.landmarks, (5, 2))
    if options.landmarks_file is not None:
        points = _landmarks_of(known, options.photo.name, options.landmarks_file)
    by = _align(options.photo, out, points, options)
    how = "a detected box: good to look at, not to measure with" if by == APPROXIMATE else by
    print(f"wrote {out}, aligned by {how}")


def _align_folder(options: Namespace, known: dict[str, FloatArray]) -> None:
    """Align all photos of a folder into another one; those that cannot be are named."""
    source, out = options.photo, options.out
    if options.landmarks is not None:
        raise ValueError("--landmarks are of one photo; give a folder's with --landmarks-file")
    inside = out.resolve().is_relative_to(source.resolve())  # where a second run would read it
    if inside or (out.exists() and not out.is_dir()):
        raise ValueError(f"{out}: want a folder to write to, and none within that of the photos")
    photos = photos_in(source)
    failed, written = 0, set[Path]()
    for photo in photos:
        name = photo.relative_to(source)
        aligned = out / name.with_suffix(".png")
        try:
            if aligned in written:
                raise ValueError(f"{photo}: another photo is written to {aligned}; rename one")
            points = None
            if options.landmarks_file is not None:
                points = _landmarks_of(known, name.as_posix(), options.landmarks_file)
            _align(photo, aligned, points, options)
            written.add(aligned)
        except ValueError as error:
            failed += 1
            print(f"captum-fv: not aligned: {error}", file=sys.stderr)
    if failed == len(photos):
        raise ValueError(f"{source}: none of {failed} photos could be aligned")
    print(f"wrote {len(photos) - failed} of {len(photos)} photos to {out}")


def _align(photo: Path, out: Path, points: FloatArray | None, options: Namespace) -> str:
    """Write the aligned face, and say by what it was aligned."""
    image, size = read_image(photo), (options.size[0], options.size[1])
    by = "its landmarks"
    try:
        if points is None:
            found = find_faces(image)
            face = found.choose(options.face, options.largest)
            aligned = align_face(found.photo, face.landmarks, size)
            by = APPROXIMATE if found.by == APPROXIMATE else f"landmarks that {found.by} found"
        else:
            aligned = align_face(image, points, size)
            _warn_of_another_place(photo, image, points)
    except SeveralFacesError as error:
        raise ValueError(f"{photo}: {error}; --face 1 takes one, --largest the largest") from error
    except ValueError as error:
        raise ValueError(f"{photo}: {error}") from error
    out.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(aligned).save(out, quality=95)
    return by


def _warn_of_another_place(photo: Path, image: Image, points: FloatArray) -> None:
    """Warn if the largest detected face is not where the landmarks are.

    Landmarks of a smaller copy of the photo fit the template as well as the right ones.
    """
    try:
        top, left, height, width = find_face(image, largest=True)
    except ValueError:
        return
    column, row = points.mean(0) - (left, top)
    if not (0 <= column < width and 0 <= row < height):
        warnings.warn(
            f"{photo}: the landmarks lie around (x, y) {points.mean(0).round().tolist()}, and the "
            f"face that is seen is at (top, left, height, width) {(top, left, height, width)}; "
            "were they found in a copy of another size?",
            stacklevel=2,
        )


def _read_landmarks(path: Path) -> dict[str, FloatArray]:
    """Five points for each photo's name."""
    known = {}
    for number, line in enumerate(read_lines(path), start=1):
        words = line.replace(",", " ").replace("\t", " ").rsplit(maxsplit=10)
        if not words:
            continue
        try:
            known[words[0]] = np.array([float(word) for word in words[1:]]).reshape(5, 2)
        except ValueError as error:
            raise ValueError(
                f"{path}, line {number}: want 'name x1 y1 x2 y2 x3 y3 x4 y4 x5 y5', got {line!r}"
            ) from error
    return known


def _landmarks_of(known: dict[str, FloatArray], name: str, path: Path) -> FloatArray:
    """By the photo's path in its folder, else by its name alone."""
    for key in (name, Path(name).name):
        if key in known:
            return known[key]
    raise ValueError(f"{name}: no landmarks in {path}")
