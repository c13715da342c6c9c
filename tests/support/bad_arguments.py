"""Arguments of the metrics, and what a user may write in their place."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st

from captum_fv.metrics import (
    deal_to_others,
    deletion_insertion,
    equal_strata,
    face_rings,
    least_replacement,
    lu_deletion_insertion,
    model_randomisation,
    patch_localisation,
    patch_polarity,
    randomised_copy,
    sanity_suite,
    sensitivity_strata,
    swap_error,
)
from tests.support.bad_input import ALL_IMAGES
from tests.support.nets import random_pair, small_siamese
from tests.test_contract import CASES

SIAMESE = small_siamese()
METHOD = CASES["sensitivity"].build(SIAMESE)
PAIR = random_pair(4)
ORIGINAL = random_pair(4, seed=2)[0]
MAPS = random_pair(4, seed=3)[0] - 0.5
MASK = torch.zeros(4, 1, *PAIR[0].shape[2:], dtype=torch.bool)
MASK[..., 3:9, 4:10] = True
OTHER_MASK = torch.zeros_like(MASK)
OTHER_MASK[..., 12:15, 1:9] = True
LABELS = [True, False, True, False]

SOME_IMAGES = st.one_of(
    st.sampled_from([*ALL_IMAGES.values()]).map(lambda spoil: lambda image: spoil(image)),
    st.sampled_from([torch.nan, torch.inf]).map(lambda value: lambda image: image + value),
)
SOME_LABELS = st.one_of(
    st.lists(st.booleans(), min_size=3, max_size=5),
    st.lists(st.integers(-1, 2), min_size=4, max_size=4),
    st.sampled_from([None, "yes", 1, [LABELS], torch.tensor(LABELS), np.array(LABELS, float)]),
    st.sampled_from([[np.nan] * 4, torch.zeros(4, device="meta"), list("abcd")]),
)
SOME_NUMBERS = st.one_of(
    st.floats(),
    st.integers(-2, 5),
    st.sampled_from([None, "0.3", 1j, np.float32(0.3), torch.tensor(0.3), torch.zeros(4), b""]),
)
SOME_COUNTS = st.one_of(st.integers(-1, 30), st.sampled_from([None, "4", 2.5, True, np.int64(3)]))
SOME_FUNCTIONS = st.sampled_from(
    [
        SIAMESE,
        SIAMESE.backbone,
        None,
        "siamese",
        small_siamese().train(),
        small_siamese().double(),
        small_siamese().to("meta"),
        lambda a, b: None,
        lambda a, b: a.mean(),
        lambda a, b: [0.5] * len(a),
        lambda a, b: (a * b).mean((1, 2, 3)),
        lambda a, b: (a * b).mean((1, 2, 3)).half(),
        lambda a, b: (a * b).mean((1, 2, 3))[:, None],
        lambda a, b: (a * b).sum((1, 2, 3)).long(),
        lambda a, b: (a * b).sum((1, 2, 3)).to(torch.complex64),
        lambda a, b: (a * b).mean((1, 2, 3)) * torch.nan,
    ]
)


FUNCTIONS = ("forward_func", "model", "backbone", "head", "output")
"""Arguments that are functions themselves; for others a function spoils the usual value."""


@st.composite
def one_of_them_wrong(draw: st.DrawFn, **arguments: Any) -> dict[str, Any]:
    """Usual arguments of a call, of which one or two are drawn anew."""
    changed = draw(st.lists(st.sampled_from(sorted(arguments)), min_size=0, max_size=2))
    values = {}
    for name, (usual, strategy) in arguments.items():
        drawn = draw(strategy) if name in changed else None
        callable_on = callable(drawn) and name not in FUNCTIONS
        values[name] = usual if name not in changed else drawn(usual) if callable_on else drawn
    return values


ONE = st.sampled_from([*ALL_IMAGES.values()]).map(lambda spoil: lambda image: spoil(image))
PAIRS_OF_ANY = st.sampled_from(
    [
        lambda pair, spoil=spoil: (spoil(pair[0]), pair[1])
        for spoil in (*ALL_IMAGES.values(), lambda image: image * torch.nan)
    ]
    + [
        lambda pair: pair[0],
        lambda pair: pair[:1],
        lambda pair: (*pair, pair[0]),
        lambda pair: None,
    ]
)
SOME_MASKS = st.sampled_from(
    [
        lambda mask, change=change: change(mask)
        for change in (
            lambda m: m.long(),
            lambda m: m[:2],
            lambda m: m[:, 0],
            lambda m: m & False,
            lambda m: m | True,
            lambda m: m.numpy(),
            lambda m: None,
            lambda m: m.expand(-1, 3, -1, -1),
            lambda m: m[..., :4],
            lambda m: m[:0],
            lambda m: m.to("meta"),
            lambda m: m.to_sparse(),
        )
    ]
)
PRIOR = MAPS[0, 0]
SOME_PRIORS = st.sampled_from(
    [None, "x", MAPS, PRIOR * 1j, PRIOR / 0, PRIOR.numpy(), PRIOR.half(), PRIOR.to_sparse()]
)
PAIRED = {"pair": (PAIR, PAIRS_OF_ANY)}
ASKING = {"forward_func": (SIAMESE, SOME_FUNCTIONS), **PAIRED}
MAPPED = {"attributions": (MAPS, ONE)}
FIRST = {"pair": ((PAIR[0][:1], PAIR[1][:1]), PAIRS_OF_ANY)}


def _build(model):
    return type(METHOD)(model, 0.3)


METRICS = {
    deletion_insertion: {
        **ASKING,
        **MAPPED,
        "threshold": (0.3, SOME_NUMBERS),
        "genuine": (LABELS, SOME_LABELS),
        "population": ("genuine", st.sampled_from(["impostor", "all", None, 1])),
        "steps": (3, SOME_COUNTS),
        "batch_size": (2, SOME_COUNTS),
        "fill": ("blur", st.one_of(st.sampled_from(["mean", "black", "red"]), SOME_NUMBERS)),
    },
    lu_deletion_insertion: {
        **ASKING,
        **MAPPED,
        "threshold": (0.3, SOME_NUMBERS),
        "genuine": (LABELS, SOME_LABELS),
        "population": ("all", st.sampled_from(["impostor", "both", None, 1])),
        "fill": ("black", st.one_of(st.sampled_from(["road", "red"]), SOME_NUMBERS, SOME_IMAGES)),
        "batch_size": (2, SOME_COUNTS),
    },
    least_replacement: {
        "forward_func": (SIAMESE, SOME_FUNCTIONS),
        **FIRST,
        "original_a": (ORIGINAL[:1], ONE),
        "attributions": (MAPS[:1], ONE),
        "threshold": (0.3, SOME_NUMBERS),
        "steps": (3, SOME_COUNTS),
        "batch_size": (2, SOME_COUNTS),
    },
    sensitivity_strata: {**ASKING, "count": (4, SOME_COUNTS), "batch_size": (2, SOME_COUNTS)},
    patch_localisation: {**MAPPED, "mask": (MASK, SOME_MASKS), "match": (LABELS, SOME_LABELS)},
    patch_polarity: {
        **MAPPED,
        "similar": (MASK, SOME_MASKS),
        "dissimilar": (OTHER_MASK, SOME_MASKS),
    },
    sanity_suite: {
        "build": (_build, st.none()),
        "siamese": (SIAMESE, st.none()),
        **PAIRED,
        "original_a": (ORIGINAL, ONE),
        "mask": (MASK, SOME_MASKS),
        "threshold": (0.3, SOME_NUMBERS),
    },
    swap_error: {"method": (METHOD, st.just(METHOD)), **PAIRED},
    model_randomisation: {
        "build": (_build, st.none()),
        "model": (SIAMESE, st.none()),
        **PAIRED,
        "stages": (1, st.integers(-1, 2)),
    },
    randomised_copy: {"model": (SIAMESE, st.none()), "share": (1.0, SOME_NUMBERS)},
    deal_to_others: {"match": (LABELS, SOME_LABELS)},
    equal_strata: {"prior": (PRIOR, SOME_PRIORS), "count": (4, SOME_COUNTS)},
    face_rings: {
        "height": (9, SOME_COUNTS),
        "width": (9, SOME_COUNTS),
        "count": (3, SOME_COUNTS),
        "centre": ((0.5, 0.5), st.sampled_from([None, 1, (1,), (np.nan, 0.5), (9.0, 9.0)])),
    },
}
"""Each metric's arguments: the usual one, and the strategy of others."""
