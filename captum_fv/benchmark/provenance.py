"""What a run's figures depend on: versions, weights, the source of methods of one's own."""

from __future__ import annotations

import importlib
import inspect
import platform
from collections.abc import Iterable, Mapping
from contextlib import suppress
from hashlib import sha256
from importlib.metadata import version
from typing import Any

from captum_fv.models.xcos.head import fingerprint
from captum_fv.siamese.backbone import contract
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


def of_methods(names: Iterable[str]) -> dict[str, Any]:
    """The methods in their order, and a hash of the source of each "module:Class".

    An edited method is another one.
    """
    names = list(names)
    hashes = {}
    for name in (name for name in names if ":" in name):
        # A notebook and compiled code have no source.
        with suppress(ImportError, OSError, TypeError, ValueError):
            source = inspect.getsource(importlib.import_module(name.partition(":")[0]))
            hashes[name] = sha256(source.encode()).hexdigest()
    return {"methods": names, "own_methods_sha256": hashes}


def _identity(siamese: SiameseCosine) -> dict[str, Any]:
    """A model by its class, weights and normalisation, and by its xCos head if it has one."""
    head = contract(siamese.backbone).patched_cosine_head
    identity = {
        "backbone": type(siamese.backbone).__name__,
        "weights_sha256": fingerprint(siamese.backbone),
        "mean": None if siamese.mean is None else siamese.mean.flatten().tolist(),
        "std": None if siamese.std is None else siamese.std.flatten().tolist(),
    }
    return identity | ({} if head is None else {"xcos_head_sha256": fingerprint(head)})
