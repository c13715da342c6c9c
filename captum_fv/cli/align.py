"""`captum-fv align`: the one face of a photo, or of each photo in a folder, on the template."""

from __future__ import annotations

import sys
import warnings
from argparse import ArgumentParser, Namespace
from pathlib import Path

import numpy as np
import PIL.Image

from captum_fv.cli.options import positive
from captum_fv.core.arrays import FloatArray, Image
from captum_fv.data.alignment import align_detected, align_face, find_face
from captum_fv.data.images import IMAGE_SUFFIXES, photos_in, read_image
from captum_fv.data.lfw import read_lines

HELP = "cut the one face of a photo out, as models want it"
DESCRIPTION = """
Find the one frontal face in a photo, or in each photo of a folder, and move it to the ArcFace
template. The detector gives a box and no landmarks, so this is approximate: some 4 pixels off on
average. With landmarks it is exact."""


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
    parser.add_argument(
        "--largest", action="store_true", help="take the largest of several detected faces"
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
    points = None if options.landmarks is None else np.reshape(options.landmarks, (5, 2))
    if options.landmarks_file is not None:
        points = _landmarks_of(known, options.photo.name, options.landmarks_file)
    _align(options.photo, out, points, options)
    exact = points is not None
    how = "its landmarks" if exact else "a detected box: good to look at, not to measure with"
    print(f"wrote {out}, aligned by {how}")


def _align_folder(options: Namespace, known: dict[str, FloatArray]) -> None:
    """Align all photos of a folder into another one; those that cannot be are named."""
    source, out = options.photo, options.out
    if options.landmarks is not None:
        raise ValueError("--landmarks are of one photo; give a folder's with --landmarks-file")
    if out.exists() and (not out.is_dir() or out.resolve() == source.resolve()):
        raise ValueError(f"{out}: want another folder to write to")
    photos = photos_in(source)
    failed = 0
    for photo in photos:
        name = photo.relative_to(source)
        try:
            points = None
            if options.landmarks_file is not None:
                points = _landmarks_of(known, name.as_posix(), options.landmarks_file)
            _align(photo, out / name.with_suffix(".png"), points, options)
        except ValueError as error:
            failed += 1
            print(f"captum-fv: not aligned: {error}", file=sys.stderr)
    if failed == len(photos):
        raise ValueError(f"{source}: none of {failed} photos could be aligned")
    print(f"wrote {len(photos) - failed} of {len(photos)} photos to {out}")


def _align(photo: Path, out: Path, points: FloatArray | None, options: Namespace) -> None:
    image, size = read_image(photo), (options.size[0], options.size[1])
    try:
        if points is None:
            aligned = align_detected(image, size, options.largest)
        else:
            aligned = align_face(image, points, size)
            _warn_of_another_place(photo, image, points)
    except ValueError as error:
        raise ValueError(f"{photo}: {error}") from error
    out.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(aligned).save(out, quality=95)


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
