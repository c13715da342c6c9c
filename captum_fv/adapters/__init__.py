"""Pairs and their maps in other toolkits, and other toolkits' maps here.

A toolkit is imported when its adapter is asked for; where it is missing, an error says what to
install.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from captum_fv.adapters.classifiers import (
    HeldPartner,
    PairClassifier,
    explain_func,
    image_function,
    towards,
)
from captum_fv.adapters.embedder import Embedder, SimilarityTarget

if TYPE_CHECKING:
    from captum_fv.adapters.quantus_metric import QuantusDPR, QuantusIROF, QuantusROAD
    from captum_fv.adapters.torch_metric import TorchMetricsDPR
    from captum_fv.adapters.xaitk import SiameseDescriptors, XaitkAttribution, XaitkSaliency

__all__ = [
    "Embedder",
    "HeldPartner",
    "PairClassifier",
    "QuantusDPR",
    "QuantusIROF",
    "QuantusROAD",
    "SiameseDescriptors",
    "SimilarityTarget",
    "TorchMetricsDPR",
    "XaitkAttribution",
    "XaitkSaliency",
    "explain_func",
    "image_function",
    "towards",
]

_OF_TOOLKITS = {
    "QuantusDPR": "quantus_metric",
    "QuantusIROF": "quantus_metric",
    "QuantusROAD": "quantus_metric",
    "TorchMetricsDPR": "torch_metric",
    "SiameseDescriptors": "xaitk",
    "XaitkAttribution": "xaitk",
    "XaitkSaliency": "xaitk",
}
"""What derives from a toolkit's class -> its module, which imports the toolkit."""


def __getattr__(name: str) -> Any:
    if name not in _OF_TOOLKITS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_OF_TOOLKITS[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
