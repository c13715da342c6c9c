"""Does the region that makes two faces differ come first in the table of regions?

    python benchmarks/regions.py
    python benchmarks/regions.py --model face.pt2

A twin is a generated person with one group of features of somebody else: the nose, the eyes, the
hair. The pair that is explained is a photo of the person and a photo of the twin in other
circumstances, so that all of the picture changes and one region only is another's. Kept are twins
that the model tells apart: it finds either photo nearer to the same person's other photo.

Regions are ranked from what speaks most against "same person". Right and left are one region here.
The truth is the region with most of the pixels by which the twin's photo in the same circumstances
differs. The bar: for the best of the parts it comes first in 60 % of the twins; chance is 12 %.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from captum_fv import SiameseCosine, load_backbone
from captum_fv.attr import Regions, face_regions, region_report
from captum_fv.attr.effects import effect_vectors
from captum_fv.attr.interaction import PairInteraction
from captum_fv.attr.methods import METHODS, Method
from captum_fv.core.arrays import FloatArray, Image, IntArray
from captum_fv.data import to_tensor
from captum_fv.data.generated import (
    UNSEEN_PEOPLE,
    Identity,
    render_face,
    sample_identity,
    sample_nuisance,
)
from captum_fv.report.text_table import TextTable
from captum_fv.siamese.backbone import contract

sys.path.insert(0, str(Path(__file__).resolve().parent))  # where shared/ is
from shared.cells import mean_text
from shared.command import hand_over, study_parser

GROUPS = {
    "nose": ("nose_length", "nose_width", "nose_bridge"),
    "eyes": ("eye_size", "eye_opening", "eye_spacing", "eye_tilt", "eye_colour"),
    "brows": ("brow_thickness", "brow_angle", "brow_arch", "brow_height"),
    "mouth": ("mouth_width", "upper_lip", "lower_lip", "lip_colour"),
    "shape": ("face_width", "jaw_width", "chin_length", "chin_point", "cheekbones"),
    "hair": (
        *("hairline", "hair_tone", "hair_red", "hair_length", "hair_volume", "hair_curl"),
        *("hair_part", "fringe"),
    ),
    "glasses": ("glasses", "frame_shape", "frame_colour"),
    "beard": ("beard", "moustache"),
    "marks": ("freckles", "mole_u", "mole_v"),
}
"""Name -> what of an identity is exchanged."""

CHANGED = 2
"""Grey levels by which a pixel must differ to count as changed."""


class Twin(NamedTuple):
    """A person and the twin, each in the same two circumstances, (1, 3, 112, 112), and the truth.

    Args:
        person, twin: First and second photo.
        changed: Which pixels of the first photo differ, (112, 112) bool.
        group: What was exchanged.
    """

    person: tuple[torch.Tensor, torch.Tensor]
    twin: tuple[torch.Tensor, torch.Tensor]
    changed: np.ndarray
    group: str


def twin(seed: int) -> Twin | None:
    """A twin by its number; None if the exchange changes nothing that can be seen."""
    rng = np.random.default_rng([seed, 17])
    names = list(GROUPS)
    group = names[seed % len(names)]
    own, other = (sample_identity(int(UNSEEN_PEOPLE + n)) for n in rng.integers(10**6, size=2))
    changed = replace(own, **{field: getattr(other, field) for field in GROUPS[group]})
    circumstances = [sample_nuisance(rng) for _ in range(2)]

    def photos(who: Identity) -> list[Image]:
        return [render_face(who, nuisance) for nuisance in circumstances]

    mine, twins = photos(own), photos(changed)
    differs = np.abs(mine[0].astype(int) - twins[0]).max(-1) > CHANGED
    if not differs.any():
        return None
    a, b = ([to_tensor([photo]) for photo in two] for two in (mine, twins))
    return Twin((a[0], a[1]), (b[0], b[1]), differs, group)
