"""How well do the face finders find faces and landmarks, and what does that do to scores?

    python benchmarks/finders.py --photos lfw_raw_sample --model edgeface_xxs.pt2

The folder holds photos NAME_0001.jpg of one face each, and landmarks.json: name -> five points
(x, y). Photos are turned by each angle about their middle. Distances are of the found points from
those of the file, the mean over five, in pixels of the aligned 112x112 face. Scores are of all
pairs of the photos, aligned by what was found upright and by the file.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from itertools import combinations
from pathlib import Path

import numpy as np
import torch
from skimage.transform import SimilarityTransform, warp

from captum_fv import SiameseCosine, load_backbone
from captum_fv.core.arrays import FloatArray, Image
from captum_fv.data import FaceFinder, FoundFace, align_face, crop_to_photo, find_faces, to_tensor
from captum_fv.data.cascade import find_by_cascade
from captum_fv.data.images import read_image
from captum_fv.data.mtcnn import find_by_mtcnn
from captum_fv.report.text_table import TextTable

sys.path.insert(0, str(Path(__file__).resolve().parent))  # where shared/ is
from shared.command import hand_over

FINDERS: dict[str, FaceFinder] = {"mtcnn": find_by_mtcnn, "cascade": find_by_cascade}
ANGLES = (0, 15, 30, 45, 90)
FAR = 20.0
"""Pixels of 112 from which another face, or none, was found."""


def main() -> None:
    """Search every photo with every finder at every angle, then score."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=Path, required=True, help="with landmarks.json")
    parser.add_argument("--model", default="demo")
    parser.add_argument("--out", type=Path, default=Path("runs/finders"))
    options = parser.parse_args()
    truth = json.loads((options.photos / "landmarks.json").read_text())
    photos = {name: read_image(options.photos / name) for name in truth}
    points = {name: np.array(five, dtype=np.float64) for name, five in truth.items()}
    aligned = {"file": {name: align_face(photos[name], points[name]) for name in photos}}
    rows = []
    for by, finder in FINDERS.items():
        finder(next(iter(photos.values())))  # which loads it
        for angle in ANGLES:
            found, seconds = _search(photos, points, finder, angle)
            distances = np.array([distance for _, distance in found.values()])
            near = distances[distances < FAR]
            share = f"{len(near)} of {len(photos)}"
            spread = [f"{np.median(near):.1f}", f"{near.max():.1f}"] if len(near) else ["-", "-"]
            rows.append([by, str(angle), share, *spread, f"{1000 * seconds:.0f}"])
            if angle == 0:
                aligned[by] = {
                    name: align_face(photos[name], face.landmarks) if face else None
                    for name, (face, _) in found.items()
                }
    header = ["finder", "degrees", "found", "median px", "worst px", "ms"]
    caption = "Found faces, and how far their landmarks are from the file's, pixels of 112."
    hand_over(TextTable("finders", caption, header, rows), options.out)
    siamese = SiameseCosine(load_backbone(options.model), 0.5, 0.5)
    hand_over(_scores(siamese, aligned), options.out)


def _search(
    photos: dict[str, Image], points: dict[str, FloatArray], finder: FaceFinder, angle: float
) -> tuple[dict[str, tuple[FoundFace | None, float]], float]:
    """The nearest face found in each turned photo and its distance; and the mean of seconds."""
    found, seconds = {}, 0.0
    for name, photo in photos.items():
        turned, turn = _turned(photo, angle)
        wanted = turn(points[name])
        started = time.perf_counter()
        result = find_faces(turned, finder)
        seconds += time.perf_counter() - started
        # A photo that was turned upright once more has other coordinates.
        wanted = _quarter_turned(wanted, turned.shape[:2], result.turned // 90)
        near = [(face, _distance(face.landmarks, wanted)) for face in result.faces]
        found[name] = min(near, key=lambda pair: pair[1], default=(None, np.inf))
    return found, seconds / len(photos)


def _turned(photo: Image, degrees: float) -> tuple[Image, SimilarityTransform]:
    """The photo turned about its middle, its edges drawn out; and where its places went."""
    middle = (np.array(photo.shape[1::-1]) - 1) / 2
    turn = (
        SimilarityTransform(translation=-middle)
        + SimilarityTransform(rotation=np.radians(degrees))
        + SimilarityTransform(translation=middle)
    )
    turned = warp(photo, turn.inverse, order=1, mode="edge", preserve_range=True)
    return np.rint(turned).astype(np.uint8), turn


def _quarter_turned(points: FloatArray, size: tuple[int, ...], quarters: int) -> FloatArray:
    """Where points of a photo (H, W) are once numpy.rot90 turned it."""
    height, width = size
    for _ in range(quarters):
        points = np.stack([points[:, 1], width - 1 - points[:, 0]], 1)
        height, width = width, height
    return points


def _distance(found: FloatArray, wanted: FloatArray) -> float:
    """Mean distance in pixels of the face that the wanted points would align."""
    scale = np.linalg.norm(crop_to_photo(wanted)[:, 0])
    return float(np.linalg.norm(found - wanted, axis=1).mean() / scale)


def _scores(siamese: SiameseCosine, aligned: dict[str, dict[str, Image | None]]) -> TextTable:
    """Means of genuine and impostor scores by each alignment, and the lowest genuine one."""
    names = list(aligned["file"])
    pairs = list(combinations(range(len(names)), 2))
    person = [name[:-9] for name in names]
    genuine = np.array([person[i] == person[j] for i, j in pairs])
    embeddings = {}
    for by, faces in aligned.items():
        with torch.no_grad():
            shown = [np.zeros((112, 112, 3), np.uint8) if f is None else f for f in faces.values()]
            embedded = siamese.embed_images(to_tensor(shown)).numpy()
        embeddings[by] = np.where([[f is None] for f in faces.values()], np.nan, embedded)
    rows = []
    for by, vectors in embeddings.items():
        scores = np.array([vectors[i] @ vectors[j] for i, j in pairs])
        own, others = scores[genuine], scores[~genuine]
        figures = (np.nanmean(own), np.nanmin(own), np.nanmean(others), np.nanmax(others))
        rows.append([by, str(np.isfinite(own).sum()), *(f"{figure:.3f}" for figure in figures)])
    header = ["aligned by", "genuine pairs", "mean", "lowest", "impostors' mean", "highest"]
    caption = "Cosines of all pairs of the photos, both aligned by the same."
    return TextTable("scores", caption, header, rows)


if __name__ == "__main__":
    main()
