"""Methods by name, for commands and benchmarks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch

from captum_fv.attr.centre_prior import CentrePrior
from captum_fv.attr.integrated_argument_gradient import IntegratedArgumentGradient
from captum_fv.attr.occlusion_pair_attribution import OcclusionPairAttribution
from captum_fv.attr.patch_oracle import PatchOracle
from captum_fv.attr.patched_cosine_attribution import PatchedCosineAttribution
from captum_fv.attr.pixel_difference import PixelDifference
from captum_fv.attr.random_pair_baseline import RandomPairBaseline
from captum_fv.attr.sensitivity_control import SensitivityControl
from captum_fv.attr.similarity_argument_gradient import SimilarityArgumentGradient
from captum_fv.siamese import SiameseCosine

Method = Any
"""An attribution method of this package; Captum ships no types for its base classes."""

METHODS: dict[str, Callable[[SiameseCosine, float], Method]] = {
    "xssab": SimilarityArgumentGradient,
    "xface1": lambda siamese, threshold: OcclusionPairAttribution(siamese, variant=1),
    "xface2": lambda siamese, threshold: OcclusionPairAttribution(siamese, variant=2),
    "xface3": lambda siamese, threshold: OcclusionPairAttribution(siamese, variant=3),
    "iag_decision": IntegratedArgumentGradient,
    "iag_polarity": lambda siamese, threshold: IntegratedArgumentGradient(
        siamese, threshold, "polarity"
    ),
    "iag_relevance": lambda siamese, threshold: IntegratedArgumentGradient(
        siamese, threshold, "relevance"
    ),
    "xcos_s": lambda siamese, threshold: PatchedCosineAttribution(
        siamese, output="similarity", threshold=threshold
    ),
    "xcos_w": lambda siamese, threshold: PatchedCosineAttribution(
        siamese, output="weight", threshold=threshold
    ),
    "xcos_sw": lambda siamese, threshold: PatchedCosineAttribution(
        siamese, output="contribution", threshold=threshold
    ),
    "rnd": lambda siamese, threshold: RandomPairBaseline(siamese),
    "oracle": lambda siamese, threshold: PatchOracle(
        siamese, threshold, torch.Generator().manual_seed(0)
    ),
    "difference": lambda siamese, threshold: PixelDifference(siamese),
    "sensitivity": SensitivityControl,
    "centre": CentrePrior,
}
"""Name -> a function that builds the method for a model and its threshold."""

GROUPS = {
    "xcos": ("xcos_s", "xcos_w", "xcos_sw"),
    "controls": ("oracle", "difference", "sensitivity", "centre"),
}
"""Names that stand for several methods."""


def build_methods(
    names: Iterable[str], siamese: SiameseCosine, threshold: float
) -> dict[str, Method]:
    """Build methods by name, in the order given; a group's name stands for its members.

    Raises:
        ValueError: A name that is in neither METHODS nor GROUPS.
    """
    return {name: METHODS[name](siamese, threshold) for name in expand_names(names)}


def expand_names(names: Iterable[str]) -> list[str]:
    """Names of methods, with each group's in place of the group; ValueError for an unknown one."""
    expanded = [member for name in names for member in GROUPS.get(name, (name,))]
    unknown = [name for name in expanded if name not in METHODS]
    if unknown:
        raise ValueError(
            f"unknown method {unknown[0]!r}; there are {', '.join([*METHODS, *GROUPS])}"
        )
    return expanded
