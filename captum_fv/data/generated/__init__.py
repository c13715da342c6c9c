"""People who do not exist: who they are, how they were photographed, and their photos."""

from captum_fv.data.generated.painter import render_face
from captum_fv.data.generated.parameters import Identity, Nuisance, sample_identity, sample_nuisance
from captum_fv.data.generated.photos import PAIR_REACH, UNSEEN_PEOPLE, photograph

__all__ = [
    "PAIR_REACH",
    "UNSEEN_PEOPLE",
    "Identity",
    "Nuisance",
    "photograph",
    "render_face",
    "sample_identity",
    "sample_nuisance",
]
