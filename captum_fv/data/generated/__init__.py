"""People who do not exist: who they are, how they were photographed, and pairs of their photos."""

from captum_fv.data.generated.painter import render_face
from captum_fv.data.generated.pairs import (
    PAIR_REACH,
    UNSEEN_PEOPLE,
    generated_pairs,
    photograph,
)
from captum_fv.data.generated.parameters import (
    Identity,
    Nuisance,
    sample_identity,
    sample_nuisance,
)

__all__ = [
    "PAIR_REACH",
    "UNSEEN_PEOPLE",
    "Identity",
    "Nuisance",
    "generated_pairs",
    "photograph",
    "render_face",
    "sample_identity",
    "sample_nuisance",
]
