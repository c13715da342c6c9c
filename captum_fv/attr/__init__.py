"""Attribution methods for pairs of faces; each returns a map of A and a map of B."""

from captum_fv.attr.agreement import LocalAgreement
from captum_fv.attr.alternative import Alternative
from captum_fv.attr.captum_tools import (
    one_sided_baselines,
    pair_feature_masks,
    pair_grad_cam,
    split_layer_maps,
)
from captum_fv.attr.controls import (
    CentrePrior,
    PatchOracle,
    PixelDifference,
    RandomPairBaseline,
    SensitivityControl,
)
from captum_fv.attr.iag import IntegratedArgumentGradient
from captum_fv.attr.interaction import PairInteraction
from captum_fv.attr.links import Interactions, Link
from captum_fv.attr.regions import Regions, grid_regions
from captum_fv.attr.spatial import spatial_decomposition
from captum_fv.attr.xcos import PatchedCosineAttribution
from captum_fv.attr.xface import OcclusionPairAttribution
from captum_fv.attr.xssab import SimilarityArgumentGradient

__all__ = [
    "Alternative",
    "CentrePrior",
    "IntegratedArgumentGradient",
    "Interactions",
    "Link",
    "LocalAgreement",
    "OcclusionPairAttribution",
    "PairInteraction",
    "PatchOracle",
    "PatchedCosineAttribution",
    "PixelDifference",
    "RandomPairBaseline",
    "Regions",
    "SensitivityControl",
    "SimilarityArgumentGradient",
    "grid_regions",
    "one_sided_baselines",
    "pair_feature_masks",
    "pair_grad_cam",
    "spatial_decomposition",
    "split_layer_maps",
]
