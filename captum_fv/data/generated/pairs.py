"""Pairs of generated faces: nobody's photos, free to show and to ship with anything."""

from __future__ import annotations

import numpy as np

from captum_fv.core.checks import check_counts, check_seed
from captum_fv.data.generated.painter import render_face
from captum_fv.data.generated.parameters import sample_identity, sample_nuisance
from captum_fv.data.pairs import Image, PairSet

UNSEEN_PEOPLE = 1_000_000
"""Identities below this seed may be trained on; `generated_pairs` uses only those from here on."""

PAIR_REACH = 1.4
"""Nuisances of the pairs; the training's reach 1. Easier ones leave no errors to explain."""


def photograph(person: int, photo: int, reach: float = 1.0) -> Image:
    """One of a person's many photos, (112, 112, 3) uint8 RGB; the numbers fix every pixel.

    Args:
        person: Seed of the identity.
        photo: Seed of the circumstances.
        reach: How strong light, pose, expression, blur and the others may be; 1 is usual.
    """
    rng = np.random.default_rng([person, photo])
    return render_face(sample_identity(person), sample_nuisance(rng, reach))


def generated_pairs(count: int = 1000, seed: int = 0) -> PairSet:
    """Pairs of people on whom the demo backbone was not trained: first the genuine, then the rest.

    The photos are harder than those of the training, so that verification errs as it does on real
    ones.

    Args:
        count: Number of pairs; half of them (rounded down) are genuine.
        seed: Draws who meets whom; image i of a seed is always the same picture.

    Returns:
        Pairs of (112, 112, 3) uint8 images, rendered when asked for.

    Raises:
        ValueError: Fewer than two pairs, which cannot hold both kinds.

    >>> generated_pairs(4).genuine.tolist()
    [True, True, False, False]
    """
    check_counts(count=count)
    check_seed(seed)
    if count < 2:
        raise ValueError(f"count: got {count}; want at least 2, one genuine pair and one impostor")
    rng = np.random.default_rng(seed)
    pool = UNSEEN_PEOPLE + np.arange(count)
    genuine = np.repeat(rng.choice(pool, count // 2), 2)
    impostor = [rng.choice(pool, 2, replace=False) for _ in range(count - count // 2)]
    people = np.concatenate([genuine, *impostor]).tolist()

    def load(image: int) -> Image:
        # The seed and the image number together are a photo number that no other image has.
        return photograph(people[image], seed << 32 | image, PAIR_REACH)

    return PairSet("generated", [f"person-{person}" for person in people], load)
