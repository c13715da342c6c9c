"""Attribution methods for pairs of faces; each returns a map of A and a map of B."""

from captum_fv.attr.centre_prior import CentrePrior
from captum_fv.attr.integrated_argument_gradient import IntegratedArgumentGradient
from captum_fv.attr.occlusion_pair_attribution import OcclusionPairAttribution
from captum_fv.attr.patch_oracle import PatchOracle
from captum_fv.attr.patched_cosine_attribution import PatchedCosineAttribution
from captum_fv.attr.pixel_difference import PixelDifference
from captum_fv.attr.random_pair_baseline import RandomPairBaseline
from captum_fv.attr.sensitivity_control import SensitivityControl
from captum_fv.attr.similarity_argument_gradient import SimilarityArgumentGradient

__all__ = [
    "CentrePrior",
    "IntegratedArgumentGradient",
    "OcclusionPairAttribution",
    "PatchOracle",
    "PatchedCosineAttribution",
    "PixelDifference",
    "RandomPairBaseline",
    "SensitivityControl",
    "SimilarityArgumentGradient",
]
