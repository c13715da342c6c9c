"""Explain face verification with Captum, and measure the explanations.

>>> import captum_fv as fv
>>> siamese = fv.SiameseCosine(fv.load_backbone("demo"))
>>> img_a, img_b = fv.generated_pairs(2).tensors([0])
>>> xssab = fv.SimilarityArgumentGradient(siamese, threshold=0.3)
>>> map_a, map_b = xssab.attribute((img_a, img_b))
>>> map_a.shape
torch.Size([1, 3, 112, 112])

The rooms of this package; each imports only from those above it, and never from its neighbour:

    core                 checks of arguments, files that are whole; knows no model
    siamese | data       the one model that everything explains | where pairs of photos come from
    models | metrics     backbones with their authors' keys | what a map is worth
    attr                 the attribution methods: one method, one file
    benchmark            models by methods by pairs, measured into a folder
    report | adapters    pictures, tables, figures, pages | our maps in other toolkits, theirs here
    explain              two photos in, one explanation out
    cli                  the commands, a file for each
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from captum_fv.core.version import __version__ as __version__

if TYPE_CHECKING:
    from captum_fv.attr import (
        AdversarialPathMap,
        CentrePrior,
        CorrelationRiseAttribution,
        FeatureGuidedGradient,
        IntegratedArgumentGradient,
        LocalAgreement,
        MinPlusAttribution,
        OcclusionPairAttribution,
        PairGradCam,
        PairInputXGradient,
        PairInteraction,
        PairSaliency,
        PatchedCosineAttribution,
        PatchOracle,
        PixelDifference,
        RandomPairBaseline,
        SensitivityControl,
        SimilarityArgumentGradient,
    )
    from captum_fv.benchmark import BenchmarkResults, BenchmarkSettings, run_benchmark
    from captum_fv.data import generated_pairs, reference_face
    from captum_fv.explain import PairExplanation, explain_photos
    from captum_fv.metrics import decision_patch_replacement, eer_threshold, error_rates
    from captum_fv.models import load_backbone
    from captum_fv.report import plot_dpr, plot_links, plot_pair, write_pair_page, write_report
    from captum_fv.siamese import (
        PartnerView,
        SiameseCosine,
        optimise_for_inference,
        unfold_prelu,
    )

__all__ = [
    "AdversarialPathMap",
    "BenchmarkResults",
    "BenchmarkSettings",
    "CentrePrior",
    "CorrelationRiseAttribution",
    "FeatureGuidedGradient",
    "IntegratedArgumentGradient",
    "LocalAgreement",
    "MinPlusAttribution",
    "OcclusionPairAttribution",
    "PairExplanation",
    "PairGradCam",
    "PairInputXGradient",
    "PairInteraction",
    "PairSaliency",
    "PartnerView",
    "PatchOracle",
    "PatchedCosineAttribution",
    "PixelDifference",
    "RandomPairBaseline",
    "SensitivityControl",
    "SiameseCosine",
    "SimilarityArgumentGradient",
    "decision_patch_replacement",
    "eer_threshold",
    "error_rates",
    "explain_photos",
    "generated_pairs",
    "load_backbone",
    "optimise_for_inference",
    "plot_dpr",
    "plot_links",
    "plot_pair",
    "reference_face",
    "run_benchmark",
    "unfold_prelu",
    "write_pair_page",
    "write_report",
]

_ROOMS = (
    *("core", "siamese", "data", "models", "metrics", "attr", "benchmark"),
    *("report", "adapters", "explain"),
)


def __getattr__(name: str) -> Any:
    """All public names and rooms, once the first of them is asked for.

    Not before, for PyTorch takes seconds to load: the command must have the say by then, to stop
    at Ctrl-C with one line.
    """
    if name not in (*__all__, *_ROOMS):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    for room in _ROOMS:
        public = vars(importlib.import_module(f"{__name__}.{room}"))
        globals().update({key: public[key] for key in __all__ if key in public})
    return globals()[name]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_ROOMS})
