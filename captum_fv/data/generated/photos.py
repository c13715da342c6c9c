"""Photos of people who do not exist: nobody's, free to show and to ship with anything."""

from __future__ import annotations

import numpy as np

from captum_fv.core.arrays import Image
from captum_fv.data.generated.painter import render_face
from captum_fv.data.generated.parameters import sample_identity, sample_nuisance

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
