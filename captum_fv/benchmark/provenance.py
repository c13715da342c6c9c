"""What a run's figures depend on: versions, weights, and methods of one's own."""

from __future__ import annotations

import inspect
import json
import platform
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from hashlib import sha256
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from captum_fv.attr.methods import METHODS, Builder
from captum_fv.benchmark import columns
from captum_fv.core.version import __version__
from captum_fv.models.xcos.head import fingerprint
from captum_fv.siamese.backbone import OptimisedBackbone, contract
from captum_fv.siamese.model import SiameseCosine

PACKAGES = ("torch", "captum", "numpy", "scipy", "scikit-image", "pillow")

XCOS_HEAD = "xcos_head_sha256"


def of_models(models: Mapping[str, SiameseCosine]) -> dict[str, Any]:
    """The models in their order, and Python and the packages that decide what figures they give."""
    return {
        "versions": {"python": platform.python_version(), "captum_fv": __version__}
        | {package: version(package) for package in PACKAGES},
        "models": {name: _identity(model) for name, model in models.items()},
        "model_order": list(models),
    }


def of_methods(methods: Mapping[str, Builder], models: Iterable[SiameseCosine]) -> dict[str, Any]:
    """The methods in their order, and a hash of each that is not of METHODS.

    An edited method is another one, and so is one that is built with other options: the hash is
    over what was built for each model, and over the source of the modules that it is from.
    """
    models = list(models)
    own = {name: build for name, build in methods.items() if METHODS.get(name) is not build}
    hashes = {}
    for name, build in own.items():
        with torch.random.fork_rng([]):
            torch.manual_seed(0)  # masks that a constructor draws are no other method
            built = [build(siamese, 0.0) for siamese in models]
        sources = [_source(thing) for thing in (build, *map(type, built))]
        if ":" in name:
            sources.append(_source_of_module(name.partition(":")[0]))
        described = [_description(thing, models) for thing in built]
        parts = [*described, *dict.fromkeys(sources)]
        hashes[name] = sha256(json.dumps(parts).encode()).hexdigest()
    return {"methods": list(methods), "own_methods_sha256": hashes}


def _description(thing: Any, models: Sequence[SiameseCosine], depth: int = 4) -> Any:
    """A method's class and attributes, and those of its parts; the models have hashes already."""
    if thing is None or isinstance(thing, bool | int | float | str):
        return repr(thing)
    kind = f"{type(thing).__module__}.{type(thing).__qualname__}"
    if isinstance(thing, nn.Module):
        return kind if thing in models else [kind, fingerprint(thing)]
    if isinstance(thing, Tensor | np.ndarray):
        values = thing.detach().cpu().double().numpy() if isinstance(thing, Tensor) else thing
        return [kind, columns.sha256({"values": values})]
    if inspect.isroutine(thing):
        return _function(thing)
    if depth == 0:
        return kind
    if isinstance(thing, tuple | list):
        return [_description(part, models, depth - 1) for part in thing]
    parts = thing if isinstance(thing, Mapping) else getattr(thing, "__dict__", {})
    named = sorted((str(name), part) for name, part in parts.items())
    return [kind, [(name, _description(part, models, depth - 1)) for name, part in named]]


def _source(thing: Any) -> str:
    """The source of the module that a class or function is from; in a notebook its own.

    Compiled code has none.
    """
    with suppress(OSError, TypeError):
        return _source_of_module(getattr(thing, "__module__", "")) or inspect.getsource(thing)
    return ""


def _source_of_module(name: str) -> str:
    with suppress(OSError, TypeError):
        return inspect.getsource(sys.modules[name]) if name in sys.modules else ""
    return ""


def _function(function: Any) -> str:
    """A function by its name and source."""
    name = getattr(function, "__qualname__", type(function).__qualname__)
    return f"{name} {sha256(_source(function).encode()).hexdigest()}"


def _classes(backbone: nn.Module) -> str:
    """A hash of the source of a model's own classes, whose edited forward no weights tell of."""
    kinds = {type(part) for part in backbone.modules()}
    sources = set()
    for kind in kinds:
        if not kind.__module__.startswith("torch."):
            with suppress(OSError, TypeError):  # compiled, or typed in
                sources.add(inspect.getsource(kind))
    return sha256("".join(sorted(sources)).encode()).hexdigest()


def model_hash(siamese: SiameseCosine) -> str:
    """What decides a model's scores, in 16 hexadecimal digits: weights, normalisation, output.

    An xCos head decides none of them and does not matter.
    """
    decides = {key: value for key, value in _identity(siamese).items() if key != XCOS_HEAD}
    return sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:16]


def _identity(siamese: SiameseCosine) -> dict[str, Any]:
    """A model by its classes, weights, normalisation, output, and its xCos head if it has one."""
    head = contract(siamese.backbone).patched_cosine_head
    identity = {
        "backbone": type(siamese.backbone).__name__,
        "classes_sha256": _classes(siamese.backbone),
        "weights_sha256": fingerprint(siamese.backbone),
        "mean": None if siamese.mean is None else siamese.mean.flatten().tolist(),
        "std": None if siamese.std is None else siamese.std.flatten().tolist(),
        "channel_order": siamese.channel_order,
        "output": _function(siamese.output) if callable(siamese.output) else siamese.output,
        "precision": siamese.precision,
        "optimised": isinstance(siamese.backbone, OptimisedBackbone),
    }
    return identity | ({} if head is None else {XCOS_HEAD: fingerprint(head)})
