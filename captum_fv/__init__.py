"""Explain face verification with Captum, and measure the explanations.

>>> import captum_fv as fv
>>> siamese = fv.SiameseCosine(fv.load_backbone("demo"))
>>> img_a, img_b = fv.generated_pairs(2).tensors([0])
>>> xssab = fv.SimilarityArgumentGradient(siamese, threshold=0.3)
>>> map_a, map_b = xssab.attribute(img_a, img_b)
>>> map_a.shape
torch.Size([1, 3, 112, 112])
"""

from captum_fv.attr import (
    CentrePrior,
    IntegratedArgumentGradient,
    OcclusionPairAttribution,
    PatchedCosineAttribution,
    PatchOracle,
    PixelDifference,
    RandomPairBaseline,
    SensitivityControl,
    SimilarityArgumentGradient,
)
from captum_fv.benchmark import run_benchmark
from captum_fv.data.generated import generated_pairs
from captum_fv.metrics import decision_patch_replacement, eer_threshold, error_rates
from captum_fv.models import load_backbone
from captum_fv.results import BenchmarkResults
from captum_fv.run_settings import Settings
from captum_fv.siamese import PartnerView, SiameseCosine

__all__ = [
    "BenchmarkResults",
    "CentrePrior",
    "IntegratedArgumentGradient",
    "OcclusionPairAttribution",
    "PartnerView",
    "PatchOracle",
    "PatchedCosineAttribution",
    "PixelDifference",
    "RandomPairBaseline",
    "SensitivityControl",
    "Settings",
    "SiameseCosine",
    "SimilarityArgumentGradient",
    "decision_patch_replacement",
    "eer_threshold",
    "error_rates",
    "generated_pairs",
    "load_backbone",
    "run_benchmark",
]
