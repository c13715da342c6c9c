"""Genuine pairs whose image A carries patches of two kinds: for the match, and against it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from captum_fv.data import patch_places
from captum_fv.data.generated import PAIR_REACH, UNSEEN_PEOPLE, photograph
from captum_fv.data.pairs import PairSet, to_tensor


class TwoFacedPairs(NamedTuple):
    """Patched A and B, (N, 3, H, W); where A shows B's person in another photo, and a stranger."""

    img_a: Tensor
    img_b: Tensor
    similar: Tensor
    dissimilar: Tensor


def two_faced_pairs(pairs: PairSet, count: int, seed: int = 0, patches: int = 40) -> TwoFacedPairs:
    """Patches A of genuine pairs, in turn from a third photo of the person and from a stranger.

    Both kinds have the same size, number and borders; where they overlap, the later one shows.

    Raises:
        ValueError: Nobody in the set has three photos.
    """
    rng = np.random.default_rng(seed)
    people = np.asarray(pairs.people)
    made = []
    for k in rng.permutation(np.flatnonzero(pairs.genuine)).tolist():
        img_a, img_b = pairs.pair(k)
        same = people == people[2 * k]
        thirds = (pairs.load(int(i)) for i in np.flatnonzero(same))
        third = next((t for t in thirds if (t != img_a).any() and (t != img_b).any()), None)
        if third is None:
            continue
        stranger = pairs.load(int(rng.choice(np.flatnonzero(~same))))
        owner = np.zeros(img_a.shape[:2], dtype=np.int64)
        places = patch_places(["a", "b"], int(rng.integers(2**31)), owner.shape, patches)
        for i, (row, column) in enumerate(zip(places.rows[0], places.columns[0], strict=True)):
            owner[row - places.patch : row, column : column + places.patch] = 1 + i % 2
        faces = np.stack([img_a, third, stranger])
        mixed = np.take_along_axis(faces, owner[None, ..., None], axis=0)[0]
        made.append((mixed, img_b, owner))
        if len(made) == count:
            break
    if not made:
        raise ValueError(f"{pairs.name}: nobody in the set has three photos")
    images_a, images_b, owners = zip(*made, strict=True)
    owner_of = torch.from_numpy(np.stack(owners))[:, None]
    return TwoFacedPairs(to_tensor(images_a), to_tensor(images_b), owner_of == 1, owner_of == 2)


def generated_with_three_photos(count: int) -> PairSet:
    """Genuine pairs of generated people, two for each person: four photos of everybody."""
    people = np.repeat(UNSEEN_PEOPLE + np.arange(max(2, count // 2)), 4)

    def load(image: int) -> np.ndarray:
        return photograph(int(people[image]), image, PAIR_REACH)

    return PairSet("generated", [f"person-{person}" for person in people], load)
