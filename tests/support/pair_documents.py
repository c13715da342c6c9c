"""What is said of a pair of people who do not exist, with numbers that are made up."""

from dataclasses import replace
from functools import cache

import numpy as np
from skimage.transform import SimilarityTransform, warp

from captum_fv.attr import RegionRow
from captum_fv.data.generated import photograph
from captum_fv.metrics import Evidence
from captum_fv.report.pair_document import (
    FaceBox,
    MethodView,
    PairDocument,
    PhotoView,
)

SIDE = 112
NAMES = ("forehead", "right eye", "left eye", "nose", "mouth")
THRESHOLD = 0.3


def labels():
    """The forehead above the eyes, the nose between them and the mouth; -1 around."""
    found = np.full((SIDE, SIDE), -1)
    for number, (top, bottom, left, right) in enumerate(
        [(10, 40, 20, 92), (40, 60, 20, 50), (40, 60, 62, 92), (40, 80, 50, 62), (84, 104, 36, 76)]
    ):
        found[top:bottom, left:right] = number
    return found


@cache
def view(name, person, photo, degrees, scale, shift, size):
    """A generated face, turned and enlarged into a photo of another size."""
    face = photograph(person, photo)
    to_photo = SimilarityTransform(scale=scale, rotation=np.deg2rad(degrees), translation=shift)
    scene = warp(face, to_photo.inverse, output_shape=size, cval=160, preserve_range=True)
    corners = to_photo(np.array([(0, 0), (SIDE, 0), (0, SIDE), (SIDE, SIDE)]))
    (left, top), (right, bottom) = corners.min(0), corners.max(0)
    faces = (FaceBox((left, top, right - left, bottom - top), 0.99, True),)
    matrix = to_photo.params[:2]
    return PhotoView(name, scene.astype(np.uint8), face, matrix, faces, "mtcnn", ("A note.",))


def bump(row, column, width=9.0):
    rows, columns = np.indices((SIDE, SIDE))
    return np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / (2 * width**2))


def method(name, sign, with_mask):
    maps = (bump(60, 56) - sign * bump(94, 56), bump(58, 56) - 0.5 * sign * bump(50, 35))
    masks = tuple(np.abs(some) > 0.3 for some in maps) if with_mask else None
    return MethodView(name, f"What {name} shows.", maps, 0.8, masks, (0.93, 0.9))


def region(number, name):
    contribution = (-1) ** number * (number + 1) / 50
    hidden = 0.42 - 0.05 * number
    return RegionRow(
        name,
        0.1,
        contribution,
        (contribution - 0.01, contribution + 0.01),
        10 * contribution,
        contribution / 2,
        hidden,
        hidden < THRESHOLD,
        f"{name} adds {contribution:+.3f}.",
    )


def full_document(**changes):
    """A match with everything that a document may hold."""
    rng = np.random.default_rng(0)
    document = PairDocument(
        (
            view("a.jpg", 1, 1, 0, 1.5, (40, 20), (220, 260)),
            view("b.jpg", 1, 2, 30, 2.0, (230, 60), (420, 500)),
        ),
        "demo",
        "sha256 0123",
        0.4211,
        THRESHOLD,
        "EER on 100 generated pairs",
        (method("iag", 1, False), method("xface2", -1, True)),
        regions=tuple(map(region, range(len(NAMES)), NAMES)),
        labels=labels(),
        links=0.1 * np.eye(5) + rng.normal(0, 0.02, (5, 5)),
        link_note="R2 0.92 held out.",
        strangers=(rng.normal(0, 0.1, 60), rng.normal(0, 0.1, 60)),
        evidence=Evidence(2.1, (1.8, 2.3), True, "About 130 times more probable if one person."),
        summary=("The nose counts most.",),
        limits=("This says nothing of who it is.",),
    )
    return replace(document, **changes)


def bare_document(**changes):
    """The least that a page needs: no regions, cohort or calibration."""
    nothing = {"regions": (), "labels": None, "links": None, "link_note": "", "strangers": None}
    return full_document(**nothing, evidence=None, summary=(), limits=(), **changes)
