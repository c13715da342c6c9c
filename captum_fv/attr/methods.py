"""Methods by name, for commands and benchmarks."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterable
from typing import Any

import torch

from captum_fv.attr.controls import (
    CentrePrior,
    PatchOracle,
    PixelDifference,
    RandomPairBaseline,
    SensitivityControl,
)
from captum_fv.attr.iag import IntegratedArgumentGradient
from captum_fv.attr.xcos import PatchedCosineAttribution
from captum_fv.attr.xface import OcclusionPairAttribution
from captum_fv.attr.xssab import SimilarityArgumentGradient
from captum_fv.siamese.model import SiameseCosine

Method = Any
"""An attribution method of this package; Captum ships no types for its base classes."""

Builder = Callable[[SiameseCosine, float], Method]
"""What builds a method for a model and its threshold."""

METHODS: dict[str, Builder] = {
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
    """The function that builds a method: by its name, or as "module:Class" for one of your own.

    The class is called with the model and, if its constructor takes a `threshold`, with that.

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
        found: Callable[..., Method] = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(
            f"method {name!r}: {error}; want module:Class, importable from here"
        ) from error
    if not callable(found):
        raise ValueError(f"method {name!r}: got {type(found).__name__}; want a class")
    if "threshold" in inspect.signature(found).parameters:
        return lambda siamese, threshold: found(siamese, threshold=threshold)
    return lambda siamese, threshold: found(siamese)
