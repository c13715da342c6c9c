"""Methods by name, for commands and benchmarks."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterable
from typing import Any

import torch

from captum_fv import attr
from captum_fv.siamese.model import SiameseCosine

Method = Any
"""An attribution method of this package; Captum ships no types for its base classes."""

Builder = Callable[[SiameseCosine, float], Method]
"""What builds a method for a model and its threshold."""


def builder_of(kind: Callable[..., Method], **options: Any) -> Builder:
    """Calls a class with the model, these options and, if its constructor takes it, a threshold."""
    if "threshold" in inspect.signature(kind).parameters:
        return lambda siamese, threshold: kind(siamese, threshold=threshold, **options)
    return lambda siamese, threshold: kind(siamese, **options)


METHODS: dict[str, Builder] = {
    "xssab": builder_of(attr.SimilarityArgumentGradient),
    "xface1": builder_of(attr.OcclusionPairAttribution, variant=1),
    "xface2": builder_of(attr.OcclusionPairAttribution, variant=2),
    "xface3": builder_of(attr.OcclusionPairAttribution, variant=3),
    "xface1_alt": builder_of(attr.OcclusionPairAttribution, variant=1, fill="alternative"),
    "xface2_alt": builder_of(attr.OcclusionPairAttribution, variant=2, fill="alternative"),
    "xface3_alt": builder_of(attr.OcclusionPairAttribution, variant=3, fill="alternative"),
    "occlusion_alt": builder_of(
        attr.OcclusionPairAttribution,
        variant=2,
        patch_sizes=(15,),
        stride=8,
        fill="alternative",
        normalise_coverage=True,
    ),
    "corrrise": builder_of(attr.CorrelationRiseAttribution),
    "corrrise_alt": builder_of(attr.CorrelationRiseAttribution, fill="alternative"),
    "minplus": builder_of(attr.MinPlusAttribution),
    "minplus_s0": builder_of(attr.MinPlusAttribution, output="s0-", signed=True),
    "iag_decision": builder_of(attr.IntegratedArgumentGradient, output="decision"),
    "iag_polarity": builder_of(attr.IntegratedArgumentGradient, output="polarity"),
    "iag_relevance": builder_of(attr.IntegratedArgumentGradient, output="relevance"),
    "iag_agreement": builder_of(attr.IntegratedArgumentGradient, agreement=1.0),
    "agreement": builder_of(attr.LocalAgreement),
    "fggb": builder_of(attr.FeatureGuidedGradient),
    "fame": builder_of(attr.AdversarialPathMap),
    "gradcam": builder_of(attr.PairGradCam),
    "saliency": builder_of(attr.PairSaliency),
    "input_x_gradient": builder_of(attr.PairInputXGradient),
    "xcos_s": builder_of(attr.PatchedCosineAttribution, output="similarity"),
    "xcos_w": builder_of(attr.PatchedCosineAttribution, output="weight"),
    "xcos_sw": builder_of(attr.PatchedCosineAttribution, output="contribution"),
    "interaction": builder_of(attr.PairInteraction),
    "rnd": builder_of(attr.RandomPairBaseline),
    # Each oracle has a generator of its own: what one draws must not move another's numbers.
    "oracle": lambda siamese, threshold: attr.PatchOracle(
        siamese, threshold, torch.Generator().manual_seed(0)
    ),
    "difference": builder_of(attr.PixelDifference),
    "sensitivity": builder_of(attr.SensitivityControl),
    "centre": builder_of(attr.CentrePrior),
}
"""Name -> what builds the method."""

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
        ValueError: A name that `method_builder` does not know.
    """
    builders = {name: method_builder(name) for name in expand_names(names)}
    return {name: build(siamese, threshold) for name, build in builders.items()}


def expand_names(names: Iterable[str]) -> list[str]:
    """Names of methods, each once, with a group's members in place of the group.

    Raises:
        TypeError: One name alone.
        ValueError: A name that `method_builder` does not know.
    """
    if isinstance(names, str):
        raise TypeError(f"methods: got {names!r}; want a list, as [{names!r}]")
    expanded = [member for name in names for member in GROUPS.get(name, (name,))]
    for name in expanded:
        method_builder(name)
    return list(dict.fromkeys(expanded))


def method_builder(name: str) -> Builder:
    """What builds a method: by its name, or as "module:Class" for one of your own.

    Raises:
        ValueError: A name that is not in METHODS, no such module, or no such class in it.
    """
    if name in METHODS:
        return METHODS[name]
    module, colon, attribute = name.partition(":")
    if not colon:
        raise ValueError(
            f"unknown method {name!r}; there are {', '.join([*METHODS, *GROUPS])}, or module:Class "
            "for one of your own"
        )
    try:
        kind: Callable[..., Method] = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(
            f"method {name!r}: {error}; want module:Class, importable from here"
        ) from error
    if not callable(kind):
        raise ValueError(f"method {name!r}: got {type(kind).__name__}; want a class")
    return builder_of(kind)
