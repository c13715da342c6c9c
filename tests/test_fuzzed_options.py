"""Bad options of every kind to every method: a clear error or finite maps, and nothing changed."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from captum_fv.attr import (
    CentrePrior,
    CorrelationRiseAttribution,
    IntegratedArgumentGradient,
    MinPlusAttribution,
    OcclusionPairAttribution,
    PatchedCosineAttribution,
    PatchOracle,
    RandomPairBaseline,
    SensitivityControl,
    SimilarityArgumentGradient,
)
from captum_fv.siamese import SiameseCosine
from tests.support.bad_arguments import SOME_COUNTS, SOME_NUMBERS, one_of_them_wrong
from tests.support.bad_input import clear_error, fuzzed, model_state, world
from tests.support.nets import THRESHOLD, random_pair, small_head, small_siamese

NAMES = st.sampled_from(["both", "all", "black", "weight", "", None, 1, ["both"], torch.zeros(2)])
SIZES = st.one_of(
    SOME_COUNTS,
    st.lists(st.integers(-1, 25), max_size=3),
    st.tuples(SOME_NUMBERS, SOME_COUNTS),
    st.sampled_from([None, "37", torch.tensor([3, 6]), {3}]),
)
GENERATORS = st.sampled_from([torch.Generator(), 0, "seed", torch.zeros(2)])
MODELS = st.sampled_from([None, "demo", small_siamese().backbone, torch.zeros(2)])
FLAGS = st.sampled_from([True, False])
THRESHOLDS = (THRESHOLD, SOME_NUMBERS)

OPTIONS: dict[type, dict[str, Any]] = {
    SimilarityArgumentGradient: {"threshold": THRESHOLDS, "polarity": ("both", NAMES)},
    OcclusionPairAttribution: {
        "variant": (1, st.one_of(st.integers(0, 4), SOME_COUNTS)),
        "patch_sizes": ((3, 6), SIZES),
        "stride": (4, st.one_of(SIZES, SOME_NUMBERS)),
        "shape": ("square", st.one_of(NAMES, st.just("circle"))),
        "cover_edges": (False, FLAGS),
        "fill": ("black", st.one_of(NAMES, SOME_NUMBERS, st.sampled_from(["mean", "noise"]))),
        "generator": (None, GENERATORS),
        "normalise_coverage": (False, FLAGS),
        "remove_offset": (False, FLAGS),
    },
    CorrelationRiseAttribution: {
        "masks": ("squares", st.one_of(NAMES, st.just("rise"))),
        "num_masks": (9, SOME_COUNTS),
        "correlation": ("spearman", st.one_of(NAMES, st.just("pearson"))),
        "fill": ("black", st.one_of(NAMES, SOME_NUMBERS, st.sampled_from(["mean", "blur"]))),
        "generator": (None, GENERATORS),
    },
    MinPlusAttribution: {
        "output": ("s0-", st.one_of(NAMES, st.sampled_from(["s0+", "s1-", "s1+", "avg"]))),
        "signed": (False, FLAGS),
        "points": (2, SOME_COUNTS),
        "sigma": (0.1, SOME_NUMBERS),
        "steps": (2, SOME_COUNTS),
    },
    PatchedCosineAttribution: {
        "head": (small_head(), MODELS),
        "output": ("weight", NAMES),
        "threshold": THRESHOLDS,
        "symmetrise": (False, FLAGS),
    },
    IntegratedArgumentGradient: {
        "threshold": THRESHOLDS,
        "output": ("decision", NAMES),
        "arguments": ("all", NAMES),
        "steps": (3, SOME_COUNTS),
        "blur": (0.1, SOME_NUMBERS),
        "partner": (0.25, SOME_NUMBERS),
        "grain": (0.05, SOME_NUMBERS),
        "smoothing": (0.1, SOME_NUMBERS),
        "batch_size": (4, SOME_COUNTS),
    },
    RandomPairBaseline: {"generator": (None, GENERATORS), "shared_order": (False, FLAGS)},
    PatchOracle: {"threshold": THRESHOLDS, "generator": (None, GENERATORS)},
    SensitivityControl: {"threshold": THRESHOLDS},
    CentrePrior: {
        "threshold": THRESHOLDS,
        "centre": ((0.5, 0.5), SIZES),
        "sigma": (0.25, SOME_NUMBERS),
    },
}
CALLS: dict[type, dict[str, Any]] = {
    OcclusionPairAttribution: {
        "explain": ("both", st.one_of(NAMES, st.sampled_from("ab"))),
        "perturbations_per_eval": (8, SOME_COUNTS),
    },
    CorrelationRiseAttribution: {
        "explain": ("both", st.one_of(NAMES, st.sampled_from("ab"))),
        "perturbations_per_eval": (8, SOME_COUNTS),
    },
    IntegratedArgumentGradient: {"return_convergence_delta": (False, FLAGS)},
}


@pytest.mark.extended
@pytest.mark.parametrize("kind", OPTIONS, ids=lambda kind: kind.__name__)
def test_any_options(kind):
    @fuzzed(8 * len(OPTIONS[kind]))
    @given(data=st.data())
    def holds(data):
        assert_clear_error_or_maps(kind, data)

    holds()


def assert_clear_error_or_maps(kind, data):
    options = data.draw(one_of_them_wrong(**OPTIONS[kind]))
    arguments = data.draw(one_of_them_wrong(**CALLS.get(kind, {}))) if kind in CALLS else {}
    if kind is PatchOracle:
        arguments = {"patch_mask": torch.ones(1, 1, 20, 18, dtype=torch.bool)}
    siamese, pair = small_siamese(), random_pair(2)
    before = [world(), model_state(siamese)]
    maps, _ = clear_error(lambda: kind(siamese, **options).attribute(pair, **arguments))
    assert before == [world(), model_state(siamese)]
    if maps is not None:
        maps = maps[0] if isinstance(maps[0], tuple) else maps
        assert all(torch.isfinite(mapped).all() for mapped in maps)
        assert [mapped.shape for mapped in maps] == [image.shape for image in pair]


@pytest.mark.parametrize("kind", OPTIONS, ids=lambda kind: kind.__name__)
@fuzzed(10)
@given(model=MODELS)
def test_any_model(kind, model):
    usual = {name: value for name, (value, _) in OPTIONS[kind].items()}
    mask = {"patch_mask": torch.ones(1, 1, 20, 18, dtype=torch.bool)}
    arguments = mask if kind is PatchOracle else {}
    maps, _ = clear_error(lambda: kind(model, **usual).attribute(random_pair(2), **arguments))
    assert maps is None or kind is RandomPairBaseline


@fuzzed(60)
@given(
    arguments=one_of_them_wrong(
        backbone=(small_siamese().backbone, MODELS),
        mean=(0.5, st.one_of(SOME_NUMBERS, SIZES)),
        std=(0.5, st.one_of(SOME_NUMBERS, SIZES)),
        output=(None, st.sampled_from([0, 5, "embedding", len, lambda out: out, torch.zeros(2)])),
    )
)
def test_options_of_the_model(arguments):
    scores, _ = clear_error(lambda: SiameseCosine(**arguments)(*random_pair(2)))
    assert scores is None or torch.isfinite(scores).all()
