"""All that is said of one pair of photos, as data: what the page shows and the command prints."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from captum_fv.attr.region_rows import RegionRow
from captum_fv.core.arrays import BoolArray, FloatArray, Image, IntArray
from captum_fv.metrics.evidence import Evidence


@dataclass(frozen=True, eq=False)
class FaceBox:
    """A face that was found in a photo.

    Args:
        box: Left, top, width and height in pixels of the shown photo.
        confidence: Of the finder, in [0, 1], or None where it gives none.
        chosen: Whether this face was explained.
    """

    box: tuple[float, float, float, float]
    confidence: float | None
    chosen: bool


@dataclass(frozen=True, eq=False)
class PhotoView:
    """One of the two photos.

    Args:
        name: What the photo is called: a file's name without its folders.
        photo: The upright photo, (H, W, 3) uint8 RGB, made smaller for the page where it is large.
        crop: The aligned face that the model saw, (h, w, 3) uint8 RGB.
        to_photo: What takes a place (x, y, 1) of the crop into `photo`, (2, 3).
        faces: All faces found, from left to right; empty for a photo that came aligned.
        found_by: How the landmarks were had, in words: "mtcnn", "cascade (approximate)", "given",
            "aligned already".
        notes: What a reader must know of this photo, each a sentence.
    """

    name: str
    photo: Image
    crop: Image
    to_photo: FloatArray
    faces: tuple[FaceBox, ...]
    found_by: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class MethodView:
    """The two maps of one method.

    Args:
        name: As on the command line.
        note: What the method is, in one line.
        maps: Of A and of B, (h, w) of the crop; positive speaks for the same person.
        limit: The value that is shown at full strength, above 0.
        significant: Of A and of B, (h, w): where a map stands out of strangers' maps; None where
            that was not asked.
        reliability: Split-half reliability of both maps, up to 1; None for methods without masks.
    """

    name: str
    note: str
    maps: tuple[FloatArray, FloatArray]
    limit: float
    significant: tuple[BoolArray, BoolArray] | None = None
    reliability: tuple[float, float] | None = None


@dataclass(frozen=True, eq=False)
class PairDocument:
    """All that is said of one pair.

    Args:
        photos: A and B.
        model: Its name.
        model_hash: A fingerprint of what was loaded.
        score: The cosine.
        threshold: The cosine from which a pair matches.
        threshold_from: Where the threshold is from, in words.
        methods: The maps, the first of which is shown first.
        regions: One row a region; empty where they were not asked for.
        labels: The number of each crop pixel's region, (h, w), -1 for none; None without regions.
        links: What region i of A and region j of B add together, (K, K); None if not asked.
        link_note: What is claimed of the links: p and R2.
        strangers: Scores of A, and of B, with other people; None without a cohort.
        evidence: The likelihood ratio; None without a calibration.
        summary: The answer in a few sentences from fixed templates.
        limits: What this page cannot say, each a sentence.

    Raises:
        ValueError: Maps, labels or links that do not fit the aligned faces or the regions, scores
            or maps with NaN, or a `limit` that is not above 0.
    """

    photos: tuple[PhotoView, PhotoView]
    model: str
    model_hash: str
    score: float
    threshold: float
    threshold_from: str
    methods: tuple[MethodView, ...]
    regions: tuple[RegionRow, ...] = ()
    labels: IntArray | None = None
    links: FloatArray | None = None
    link_note: str = ""
    strangers: tuple[FloatArray, FloatArray] | None = None
    evidence: Evidence | None = None
    summary: tuple[str, ...] = ()
    limits: tuple[str, ...] = field(default_factory=tuple)

    def __post_init__(self) -> None:
        if not np.isfinite([self.score, self.threshold]).all():
            raise ValueError(f"got score {self.score}, threshold {self.threshold}; want cosines")
        sizes = [photo.crop.shape[:2] for photo in self.photos]
        for method in self.methods:
            for grids in (method.maps, method.significant or method.maps):
                if [grid.shape for grid in grids] != sizes or not all(
                    np.isfinite(grid).all() for grid in grids
                ):
                    raise ValueError(
                        f"maps of {method.name}: got {[grid.shape for grid in grids]}, or NaN; "
                        f"want finite maps of {sizes}, as the aligned faces are"
                    )
            if not method.limit > 0:
                raise ValueError(f"limit of {method.name}: got {method.limit}; want above 0")
        count = len(self.regions)
        if count and (self.labels is None or any(self.labels.shape != size for size in sizes)):
            raise ValueError(f"labels: want one for each pixel of the aligned faces, {sizes}")
        if self.links is not None and self.links.shape != (count, count):
            raise ValueError(f"links: got {self.links.shape}; want {(count, count)}, the regions")

    @property
    def matches(self) -> bool:
        """Whether the model says "same person"."""
        return self.score >= self.threshold
