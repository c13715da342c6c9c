"""`captum-fv align`: the one face of a photo on the ArcFace template."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

import numpy as np
import PIL.Image

from captum_fv.cli.options import positive
from captum_fv.data.alignment import align_detected, align_face
from captum_fv.data.images import IMAGE_SUFFIXES, read_image

HELP = "cut the one face of a photo out, as models want it"
DESCRIPTION = """
Find the one frontal face in a photo and move it to the ArcFace template. The detector gives a box
and no landmarks, so this is approximate: some 4 pixels off on average. With --landmarks it is
exact."""


def add(parser: ArgumentParser) -> None:
    """Its options."""
    parser.add_argument("photo", type=Path, metavar="IN", help="a photo of one person")
    parser.add_argument("out", type=Path, metavar="OUT.png", help="the aligned photo to write")
    parser.add_argument(
        "--landmarks",
        type=float,
        nargs=10,
        metavar="N",
        help="x and y of left eye, right eye, nose tip, left and right mouth corner, left as seen "
        "in the picture",
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
    """Align the photo and write it."""
    out: Path = options.out
    if out.is_dir() or out.suffix.lower() not in IMAGE_SUFFIXES:
        raise ValueError(f"{out} is no photo's name; write one that ends in .png, as face.png")
    photo = read_image(options.photo)
    size = tuple(options.size)
    try:
        if options.landmarks is None:
            aligned = align_detected(photo, size)
            how = "a detected box: good to look at, not to measure with"
        else:
            aligned = align_face(photo, np.reshape(options.landmarks, (5, 2)), size)
            how = "its landmarks"
    except ValueError as error:
        raise ValueError(f"{options.photo}: {error}") from error
    out.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(aligned).save(out, quality=95)
    print(f"wrote {out}, aligned by {how}")
