"""What a run's figures depend on: versions, weights, and methods of one's own."""

from __future__ import annotations

import inspect
import json
import platform
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from hashlib import sha256
from importlib.metadata import version
from typing import Any

from torch import Tensor, nn

from captum_fv.attr.methods import METHODS, Builder
from captum_fv.models.xcos.head import fingerprint
from captum_fv.siamese.backbone import OptimisedBackbone, contract
from captum_fv.siamese.model import SiameseCosine

PACKAGES = ("captum_fv", "torch", "captum", "numpy", "scipy", "scikit-image", "pillow")


def of_models(models: Mapping[str, SiameseCosine]) -> dict[str, Any]:
    """The models in their order, and Python and the packages that decide what figures they give."""
    return {
        "versions": {"python": platform.python_version()}
        | {package: version(package) for package in PACKAGES},
        "models": {name: _identity(model) for name, model in models.items()},
        "model_order": list(models),
    }


def of_methods(methods: Mapping[str, Builder], models: Iterable[SiameseCosine]) -> dict[str, Any]:
    """The methods in their order, and a hash of each that is not of METHODS.

    An edited method is another one, and so is one that is built with other options: the hash is
    over what was built for each model, and over the source of the modules that it is from.
    """
    own = {name: build for name, build in methods.items() if METHODS.get(name) is not build}
    hashes = {}
    for name, build in own.items():
        built = [build(siamese, 0.0) for siamese in models]
        sources = [_source(thing) for thing in (build, *map(type, built))]
        if ":" in name:
            sources.append(_source_of_module(name.partition(":")[0]))
        parts = [*map(_description, built), *dict.fromkeys(sources)]
        hashes[name] = sha256(json.dumps(parts).encode()).hexdigest()
    return {"methods": list(methods), "own_methods_sha256": hashes}


def _description(thing: Any, depth: int = 3) -> Any:
    """A method's class and attributes, and those of its parts; weights have a hash of their own."""
    if thing is None or isinstance(thing, bool | int | float | str):
        return repr(thing)
    if isinstance(thing, tuple | list):
        return [_description(part, depth) for part in thing]
    kind = f"{type(thing).__module__}.{type(thing).__qualname__}"
    if depth == 0 or isinstance(thing, Tensor | nn.Module):
        return kind
    parts = sorted(getattr(thing, "__dict__", {}).items())
    return [kind, [(name, _description(part, depth - 1)) for name, part in parts]]


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


def _output(output: Any) -> Any:
    """Where the embedding is in what the backbone returns; of a function, its name and source."""
    if not callable(output):
        return output
    name = getattr(output, "__qualname__", type(output).__qualname__)
    return f"{name} {sha256(_source(output).encode()).hexdigest()}"


def _identity(siamese: SiameseCosine) -> dict[str, Any]:
    """A model by its class, weights, normalisation, output, and its xCos head if it has one."""
    head = contract(siamese.backbone).patched_cosine_head
    identity = {
        "backbone": type(siamese.backbone).__name__,
        "weights_sha256": fingerprint(siamese.backbone),
        "mean": None if siamese.mean is None else siamese.mean.flatten().tolist(),
        "std": None if siamese.std is None else siamese.std.flatten().tolist(),
        "channel_order": siamese.channel_order,
        "output": _output(siamese.output),
        "precision": siamese.precision,
        "optimised": isinstance(siamese.backbone, OptimisedBackbone),
    }
    return identity | ({} if head is None else {"xcos_head_sha256": fingerprint(head)})
