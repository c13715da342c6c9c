"""Maps of a batch by several methods, each of which gets what it asks for and no more work."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial

import numpy as np
import torch
from torch import Tensor

from captum_fv.attr.methods import Method
from captum_fv.attr.pair import Pair, abilities
from captum_fv.attr.xface import OcclusionPairAttribution
from captum_fv.data.patched_pairs import PairBatch
from captum_fv.siamese.scoring import own_copy

Maps = dict[str, Tensor]
"""Name of a method -> its maps of A, (n, C, H, W)."""


def maps_of_a(
    methods: Mapping[str, Method],
    batch: PairBatch,
    seed: int = 0,
    show_progress: bool = False,
    scores: Tensor | None = None,
) -> Iterator[tuple[str, Tensor]]:
    """Maps of patched A by each method, (n, C, H, W), in the order of the methods.

    xFace variants that differ in nothing else share one sweep. A method with a `generator` is asked
    pair by pair, its generator seeded with the pair's number, so that a pair's map does not depend
    on its batch; one that draws from torch's global generator finds it seeded with the first pair's
    number. A method whose `options` name `patch_mask`, `reference`, `explain`, `scores` or
    `show_progress` is given the true patches, the mean face of other people than the pair's, "a"
    (nobody asks for the map of B), the scores and the flag.

    Args:
        methods: Name -> method.
        batch: The pairs.
        seed: Of everything that is drawn.
        show_progress: For methods that have a bar.
        scores: Of the pairs, (n,), where they are known.

    Raises:
        TypeError: A method that does not give two maps.
    """
    waiting: Maps = {}
    for name, method in methods.items():
        if name not in waiting:
            explain = partial(_explain, _sharing_sweep(name, methods), show_progress)
            waiting |= _seeded(method, batch, scores, seed, explain)
        yield name, waiting.pop(name)


def maps_of_pair(
    methods: Mapping[str, Method],
    pair: Pair,
    show_progress: bool = False,
    reference: Tensor | None = None,
) -> dict[str, Pair]:
    """Maps of both images by each method, in the order of the methods.

    xFace variants that differ in nothing else share one sweep.

    Args:
        methods: Name -> method.
        pair: Images A and B, each (N, C, H, W).
        show_progress: For methods that have a bar.
        reference: Somebody else's face, (1 or N, C, H, W), for methods that ask for one.

    Raises:
        TypeError: A method that does not give two maps.
    """
    maps: dict[str, Pair] = {}
    offered = {"show_progress": show_progress, "reference": reference}
    for name in methods:
        if name not in maps:
            maps |= _attribute(_sharing_sweep(name, methods), pair, **offered)
    return {name: maps[name] for name in methods}


def reads_reference(method: Method) -> bool:
    """Whether a method asks for somebody else's face."""
    return "reference" in abilities(method).options


def reads_patches(method: Method) -> bool:
    """Whether a method is told where the patches are, as the oracle is."""
    return "patch_mask" in abilities(method).options


def _sharing_sweep(name: str, methods: Mapping[str, Method]) -> dict[str, Method]:
    """The method, first, and all others that one xFace sweep serves with it."""
    first = methods[name]
    if not isinstance(first, OcclusionPairAttribution):
        return {name: first}
    return {name: first} | {other: m for other, m in methods.items() if first.shares_sweep(m)}


def _explain(
    together: Mapping[str, Method], show_progress: bool, batch: PairBatch, scores: Tensor | None
) -> Maps:
    offered: dict[str, object] = {
        "patch_mask": batch.mask,
        "explain": "a",
        "scores": scores,
        "show_progress": show_progress,
    }
    if any(map(reads_reference, together.values())):
        offered["reference"] = batch.reference  # which takes some time to make
    maps = _attribute(together, (batch.patched_a, batch.img_b), **offered)
    return {name: map_a for name, (map_a, _) in maps.items()}


def _attribute(together: Mapping[str, Method], pair: Pair, **offered: object) -> dict[str, Pair]:
    """Both maps by each of these methods, which one sweep serves if they are several."""
    name, method = next(iter(together.items()))
    # Copies: one method of a user's own that writes on its input would change all after it.
    pair = (own_copy(pair[0]), own_copy(pair[1]))
    options = {key: own_copy(offered[key]) for key in abilities(method).options & offered.keys()}
    if len(together) > 1:
        variants = sorted({other.variant for other in together.values()})
        of_variant = method.attribute_variants(*pair, variants=variants, **options)
        return {name: of_variant[other.variant] for name, other in together.items()}
    maps = method.attribute(*pair, **options)
    if not isinstance(maps, tuple | list) or len(maps) != 2:
        raise TypeError(
            f"{name}: its attribute gave a {type(maps).__name__}; want a map of A and a map of B, "
            "(map_a, map_b)"
        )
    return {name: (maps[0], maps[1])}


def _seeded(
    method: Method,
    batch: PairBatch,
    scores: Tensor | None,
    seed: int,
    explain: Callable[[PairBatch, Tensor | None], Maps],
) -> Maps:
    """The maps that `explain` gives, whatever was drawn before and in whichever batch."""
    generator = abilities(method).generator
    if generator is None:
        device = batch.patched_a.device
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed(_pair_seed(seed, batch.numbers[0]))
            return explain(batch, scores)
    before = generator.get_state()
    try:
        parts = []
        for row, number in enumerate(batch.numbers):
            generator.manual_seed(_pair_seed(seed, number))
            score = None if scores is None else scores[[row]]
            parts.append(explain(batch.rows([row]), score))
    finally:
        generator.set_state(before)
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def _pair_seed(seed: int, number: int) -> int:
    # Mixed, since neighbouring seeds would give one seed's pair the draws of another's.
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
