"""What a run's figures depend on: versions, weights, the source of methods of one's own."""

from __future__ import annotations

import importlib
import inspect
import platform
from collections.abc import Iterable
from contextlib import suppress
from hashlib import sha256
from importlib.metadata import version
from typing import Any

from captum_fv.models.xcos.head import fingerprint
from captum_fv.siamese.model import SiameseCosine

PACKAGES = ("captum_fv", "torch", "captum", "numpy", "scipy", "scikit-image", "pillow")


def versions() -> dict[str, str]:
    """Python's version and those of the packages that decide what a run's figures are."""
    return {"python": platform.python_version()} | {name: version(name) for name in PACKAGES}


def describe_model(siamese: SiameseCosine) -> dict[str, Any]:
    """A model by its class, weights and normalisation, and by its xCos head if it has one."""
    head = getattr(siamese.backbone, "patched_cosine_head", None)
    described = {
        "backbone": type(siamese.backbone).__name__,
        "weights_sha256": fingerprint(siamese.backbone),
        "mean": None if siamese.mean is None else siamese.mean.flatten().tolist(),
        "std": None if siamese.std is None else siamese.std.flatten().tolist(),
    }
    return described | ({} if head is None else {"xcos_head_sha256": fingerprint(head)})


def own_sources(methods: Iterable[str]) -> dict[str, str]:
    """A hash of the source of each "module:Class": an edited method is another one."""
    hashes = {}
    for name in methods:
        module, colon, _ = name.partition(":")
        if not colon:
            continue
        with suppress(OSError, TypeError):  # a module without source: a notebook, compiled code
            source = inspect.getsource(importlib.import_module(module))
            hashes[name] = sha256(source.encode()).hexdigest()
    return hashes
