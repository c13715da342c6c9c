"""Attribution methods for pairs of faces; each returns a map of A and a map of B."""

from captum_fv.attr.agreement import LocalAgreement
from captum_fv.attr.alternative import Alternative
from captum_fv.attr.atlas import face_regions
from captum_fv.attr.bank import OcclusionBank
from captum_fv.attr.bank_masks import gaussian_masks, rise_masks, square_masks
from captum_fv.attr.captum_tools import (
    one_sided_baselines,
    pair_feature_masks,
    pair_grad_cam,
    split_layer_maps,
)
from captum_fv.attr.contributions import region_report
from captum_fv.attr.controls import (
    CentrePrior,
    PatchOracle,
    PixelDifference,
    RandomPairBaseline,
    SensitivityControl,
)
from captum_fv.attr.corrrise import CorrelationRiseAttribution, correlation_map
from captum_fv.attr.fame import AdversarialPathMap
from captum_fv.attr.fggb import FeatureGuidedGradient
from captum_fv.attr.gradcam import PairGradCam
from captum_fv.attr.gradients import PairInputXGradient, PairSaliency
from captum_fv.attr.iag import IntegratedArgumentGradient
from captum_fv.attr.interaction import PairInteraction
from captum_fv.attr.links import Interactions, Link
from captum_fv.attr.minplus import MinPlusAttribution
from captum_fv.attr.region_rows import RegionReport, RegionRow
from captum_fv.attr.regions import Regions, grid_regions
from captum_fv.attr.significance import AmongStrangers, among_strangers
from captum_fv.attr.spatial import spatial_decomposition
from captum_fv.attr.strangers import (
    s_norm,
    significant_share,
    split_half_reliability,
    stranger_score,
    z_map,
)
from captum_fv.attr.xcos import PatchedCosineAttribution
from captum_fv.attr.xface import OcclusionPairAttribution
from captum_fv.attr.xssab import SimilarityArgumentGradient

__all__ = [
    "AdversarialPathMap",
    "Alternative",
    "AmongStrangers",
    "CentrePrior",
    "CorrelationRiseAttribution",
    "FeatureGuidedGradient",
    "IntegratedArgumentGradient",
    "Interactions",
    "Link",
    "LocalAgreement",
    "MinPlusAttribution",
    "OcclusionBank",
    "OcclusionPairAttribution",
    "PairGradCam",
    "PairInputXGradient",
    "PairInteraction",
    "PairSaliency",
    "PatchOracle",
    "PatchedCosineAttribution",
    "PixelDifference",
    "RandomPairBaseline",
    "RegionReport",
    "RegionRow",
    "Regions",
    "SensitivityControl",
    "SimilarityArgumentGradient",
    "among_strangers",
    "correlation_map",
    "face_regions",
    "gaussian_masks",
    "grid_regions",
    "one_sided_baselines",
    "pair_feature_masks",
    "pair_grad_cam",
    "region_report",
    "rise_masks",
    "s_norm",
    "significant_share",
    "spatial_decomposition",
    "split_half_reliability",
    "split_layer_maps",
    "square_masks",
    "stranger_score",
    "z_map",
]
