"""Faces and their twins, in which one part is somebody else's: generated, or cut from photos."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from captum_fv.core.arrays import BoolArray, FloatArray, Image
from captum_fv.core.checks import check_counts, check_seed
from captum_fv.data.generated import (
    UNSEEN_PEOPLE,
    render_face,
    sample_identity,
    sample_nuisance,
)
from captum_fv.data.generated.swaps import PARTS, swap_part
from captum_fv.data.pairs import PairSet, check_photo

SEEN = 2
"""Grey levels: a pixel that differs by more belongs to what was swapped."""

FEATHER = 3
"""Pixels over which a transplanted region fades in from its edge."""


MOST_CONTRAST = 2
"""Times by which a transplanted region's contrast changes at most: more would show its noise."""


@dataclass(frozen=True)
class SwappedFace:
    """One person on two photos, and both photos with a part of somebody else's in its place.

    Args:
        probe, mate: The photos, (H, W, 3) uint8.
        twins, mate_twins: Name of a part -> the photo with that part of the other person's.
    """

    probe: Image
    mate: Image
    twins: Mapping[str, Image]
    mate_twins: Mapping[str, Image]

    @property
    def masks(self) -> dict[str, BoolArray]:
        """Name of a part -> where the probe's twin differs from the probe, (H, W) bool."""
        return {part: differs(self.probe, twin) for part, twin in self.twins.items()}


@dataclass(frozen=True)
class SwappedFaces:
    """Faces with twins, made when asked for.

    Args:
        name: What reports call the set.
        parts: What is swapped in each of them.
        count: How many faces.
        load: Number of a face -> the face.
    """

    name: str
    parts: tuple[str, ...]
    count: int
    load: Callable[[int], SwappedFace]

    def __len__(self) -> int:
        return self.count


def differs(one: Image, other: Image) -> BoolArray:
    """Where two photos differ by more than two grey levels in any channel, (H, W) bool."""
    return np.asarray((np.abs(one.astype(int) - other.astype(int)) > SEEN).any(-1))


def generated_swaps(count: int = 60, seed: int = 0, reach: float = 1.0) -> SwappedFaces:
    """Generated people and their twins: all but one part is the same to the last grain of noise.

    Args:
        count: How many people; on none of them was the demo backbone trained.
        seed: Draws who they are, whose parts they get, and both photos.
        reach: How hard the photos are; 1 is usual, as in `photograph`.

    >>> face = generated_swaps(1).load(0)
    >>> sorted(face.masks) == sorted(PARTS), face.masks["mouth"].shape
    (True, (112, 112))
    """
    check_counts(count=count)
    check_seed(seed)
    return SwappedFaces("generated", tuple(PARTS), count, partial(_generated, seed, reach))


def _generated(seed: int, reach: float, k: int) -> SwappedFace:
    rng = np.random.default_rng([seed, k])
    person, donor = (sample_identity(UNSEEN_PEOPLE + int(rng.integers(2**31))) for _ in range(2))
    here, there = sample_nuisance(rng, reach), sample_nuisance(rng, reach)
    twins = {part: swap_part(person, donor, part) for part in PARTS}
    return SwappedFace(
        render_face(person, here),
        render_face(person, there),
        {part: render_face(twin, here) for part, twin in twins.items()},
        {part: render_face(twin, there) for part, twin in twins.items()},
    )


def transplanted_swaps(
    pairs: PairSet, regions: Mapping[str, BoolArray], count: int = 60, seed: int = 0
) -> SwappedFaces:
    """Genuine pairs of aligned photos, and both photos with a region of a stranger's face.

    Args:
        pairs: The photos; its genuine pairs are taken, evenly spread.
        regions: Name of a region -> its pixels on an aligned face, (H, W) bool.
        count: How many pairs, if there are so many.
        seed: Draws the strangers.

    Raises:
        ValueError: No genuine pairs, or all photos show one person.
    """
    check_counts(count=count)
    check_seed(seed)
    people, genuine = np.asarray(pairs.people), np.flatnonzero(pairs.genuine)
    if not len(genuine) or len(set(pairs.people)) < 2:
        raise ValueError(
            f"{pairs.name}: got {len(genuine)} genuine pairs of {len(set(pairs.people))} people; "
            "want a genuine pair, and a stranger to take regions from"
        )
    chosen = genuine[np.linspace(0, len(genuine) - 1, min(count, len(genuine))).astype(int)]
    rng = np.random.default_rng(seed)
    strangers = [int(rng.choice(np.flatnonzero(people != people[2 * k]))) for k in chosen]
    load = partial(_transplanted, pairs, dict(regions), chosen.tolist(), strangers)
    return SwappedFaces(pairs.name, tuple(regions), len(chosen), load)


def _transplanted(
    pairs: PairSet,
    regions: Mapping[str, BoolArray],
    chosen: list[int],
    strangers: list[int],
    k: int,
) -> SwappedFace:
    probe, mate = pairs.pair(chosen[k])
    donor = pairs.load(strangers[k])
    twins, mate_twins = (
        {name: transplant(photo, donor, region) for name, region in regions.items()}
        for photo in (probe, mate)
    )
    return SwappedFace(probe, mate, twins, mate_twins)


def transplant(image: Image, donor: Image, region: BoolArray) -> Image:
    """An aligned photo with a region of another one, (H, W, 3) uint8.

    The region's colours are matched to the image's by their mean and deviation in each channel (by
    no more than twice the contrast or half), and it fades in over three pixels from its edge, so
    that no seam tells where it ends.

    Args:
        image, donor: Photos of one size.
        region: Its pixels, (H, W) bool.

    Raises:
        ValueError: Photos or a region of other sizes, or a region without pixels.

    >>> face = np.zeros((9, 9, 3), np.uint8)
    >>> middle = np.zeros((9, 9), bool)
    >>> middle[3:6, 3:6] = True
    >>> (transplant(face, face + 90, middle) == face).all()
    np.True_
    """
    from scipy.ndimage import distance_transform_edt

    check_photo(image)
    check_photo(donor, "donor")
    if donor.shape != image.shape or region.shape != image.shape[:2] or not region.any():
        raise ValueError(
            f"got an image {image.shape}, a donor {donor.shape} and a region {region.shape} of "
            f"{int(region.sum())} pixels; want one size, and a pixel or more"
        )
    # Padded: the picture's own border is no edge of the region.
    inside = distance_transform_edt(np.pad(region, FEATHER, mode="edge"))
    inside = inside[FEATHER:-FEATHER, FEATHER:-FEATHER]
    cover = np.clip(inside / FEATHER, 0, 1)[..., None]
    target = image.astype(np.float64)
    mixed = target + cover * (_matched(donor, image, region) - target)
    return np.asarray(mixed.round().clip(0, 255), np.uint8)


def _matched(donor: Image, image: Image, region: BoolArray) -> FloatArray:
    """The donor in the image's colours, by the means and deviations of a region's channels."""
    theirs, own = donor[region].astype(np.float64), image[region].astype(np.float64)
    scale = np.clip((own.std(0) + 1) / (theirs.std(0) + 1), 1 / MOST_CONTRAST, MOST_CONTRAST)
    return np.asarray((donor - theirs.mean(0)) * scale + own.mean(0))
