"""Maps of a batch by several methods, each of which gets what it asks for and no more work."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from functools import partial

import numpy as np
import torch
from torch import Tensor

from captum_fv.attr.methods import Method
from captum_fv.attr.pair import Pair
from captum_fv.attr.xface import OcclusionPairAttribution
from captum_fv.data.patched_pairs import PairBatch

Maps = dict[str, Tensor]


def maps_of_a(
    methods: Mapping[str, Method], batch: PairBatch, seed: int = 0, show_progress: bool = False
) -> Iterator[tuple[str, Tensor]]:
    """Maps of patched A by each method, (n, C, H, W), in the order of the methods.

    xFace variants that differ in nothing else share one sweep. A method with a `generator` is asked
    pair by pair, its generator seeded with the pair's number, so that a pair's map does not depend
    on its batch; one that draws from torch's global generator finds it seeded with the first pair's
    number. A method whose `attribute` takes `patch_mask`, `explain` or `show_progress` is given the
    true patches, "a" (nobody asks for the map of B) and the flag.

    Args:
        methods: Name -> method.
        batch: The pairs.
        seed: Of everything that is drawn.
        show_progress: For methods that have a bar.

    Raises:
        TypeError: A method that does not give two maps.
    """
    found: Maps = {}
    for name in methods:
        if name not in found:
            explain = partial(_explain, _sharing_sweep(name, methods), show_progress)
            found |= _seeded(methods[name], batch, seed, explain)
        yield name, found.pop(name)


def maps_of_pair(
    methods: Mapping[str, Method], pair: Pair, show_progress: bool = False
) -> dict[str, Pair]:
    """Maps of both images by each method, in the order of the methods.

    xFace variants that differ in nothing else share one sweep.

    Args:
        methods: Name -> method.
        pair: Images A and B, each (N, C, H, W).
        show_progress: For methods that have a bar.

    Raises:
        TypeError: A method that does not give two maps.
    """
    found: dict[str, Pair] = {}
    for name in methods:
        if name not in found:
            together = _sharing_sweep(name, methods)
            found |= _attribute(together, pair, {"show_progress": show_progress})
    return {name: found[name] for name in methods}


def reads_patches(method: Method) -> bool:
    """Whether a method is told where the patches are, as the oracle is."""
    return "patch_mask" in inspect.signature(method.attribute).parameters


def _sharing_sweep(name: str, methods: Mapping[str, Method]) -> dict[str, Method]:
    """The method and all others that one xFace sweep serves with it."""
    method, together = methods[name], {name: methods[name]}
    if isinstance(method, OcclusionPairAttribution):
        together |= {
            other: candidate
            for other, candidate in methods.items()
            if isinstance(candidate, OcclusionPairAttribution) and method.shares_sweep(candidate)
        }
    return together


def _explain(together: Mapping[str, Method], show_progress: bool, batch: PairBatch) -> Maps:
    offered = {"patch_mask": batch.mask, "explain": "a", "show_progress": show_progress}
    found = _attribute(together, (batch.patched_a, batch.img_b), offered)
    return {name: maps[0] for name, maps in found.items()}


def _attribute(
    together: Mapping[str, Method], pair: Pair, offered: Mapping[str, object]
) -> dict[str, Pair]:
    """Both maps by each of these methods, which one sweep serves if they are several."""
    name, method = next(iter(together.items()))
    known = inspect.signature(method.attribute).parameters
    extras = {key: value for key, value in offered.items() if key in known}
    if len(together) > 1:
        variants = sorted({other.variant for other in together.values()})
        maps = method.attribute_variants(*pair, variants=variants, **extras)
        return {name: maps[other.variant] for name, other in together.items()}
    found = method.attribute(*pair, **extras)
    if not isinstance(found, tuple | list) or len(found) != 2:
        raise TypeError(
            f"{name}: its attribute gave a {type(found).__name__}; want a map of A and a map of B, "
            "(map_a, map_b)"
        )
    return {name: (found[0], found[1])}


def _seeded(
    method: Method, batch: PairBatch, seed: int, explain: Callable[[PairBatch], Maps]
) -> Maps:
    """The maps that `explain` gives, whatever was drawn before and in whichever batch."""
    generator = getattr(method, "generator", None)
    if not isinstance(generator, torch.Generator):
        device = batch.patched_a.device
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed(_pair_seed(seed, batch.numbers[0]))
            return explain(batch)
    before = generator.get_state()
    try:
        parts = []
        for row, number in enumerate(batch.numbers):
            generator.manual_seed(_pair_seed(seed, number))
            parts.append(explain(batch.rows([row])))
    finally:
        generator.set_state(before)
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def _pair_seed(seed: int, number: int) -> int:
    # Mixed, since neighbouring seeds would give one seed's pair the draws of another's.
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
