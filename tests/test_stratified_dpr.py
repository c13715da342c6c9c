"""Stratified DPR against a naive loop, and against maps that know their position alone."""

import numpy as np
import pytest
import torch

from captum_fv.attr import CentrePrior
from captum_fv.metrics import decision_patch_replacement, equal_strata, face_rings
from captum_fv.metrics.replacement import replacement_steps

SIZE, STEPS = (20, 18), 20


def steps_of(values, match=True, strata=None, steps=STEPS):
    return replacement_steps(values[None], torch.tensor([match]), steps, strata=strata)[0]


@pytest.mark.parametrize("match", [True, False])
def test_equals_the_naive_loop(match):
    values = torch.randn(SIZE, generator=torch.Generator().manual_seed(0))
    strata = face_rings(*SIZE, count=5)
    found = steps_of(values, match, strata)
    for stratum in range(5):
        places = [tuple(place) for place in (strata == stratum).nonzero().tolist()]
        places.sort(key=lambda place: float(values[place]), reverse=match)
        for rank, place in enumerate(places):
            first = next(t for t in range(STEPS + 1) if round(len(places) * t / STEPS) > rank)
            assert found[place] == first


def test_one_stratum_is_the_published_order():
    values = torch.randn(SIZE, generator=torch.Generator().manual_seed(0))
    whole = torch.zeros(SIZE, dtype=torch.long)
    assert torch.equal(steps_of(values, strata=whole), steps_of(values))


def test_a_map_constant_in_each_stratum_is_as_good_as_any_other():
    strata = face_rings(*SIZE, count=5)
    inwards = steps_of(-strata.double(), strata=strata)
    assert torch.equal(inwards, steps_of(strata.double(), strata=strata))
    assert torch.equal(inwards, steps_of(torch.zeros(SIZE), strata=strata))
    # By chance: the mean step is the same in the upper and lower and in the left and right half.
    steps = inwards.double()
    for half in (steps[:10], steps[10:], steps[:, :9], steps[:, 9:]):
        assert float(half.mean()) == pytest.approx(float(steps.mean()), abs=1)
    # The same order without strata, which only hand each step an equal share.
    plain = steps_of(torch.zeros(SIZE)).double()
    assert float(torch.corrcoef(torch.stack([plain.flatten(), steps.flatten()]))[0, 1]) > 0.95


def test_knowing_the_centre_gains_nothing():
    """A score that counts good pixels, weighted by nearness to the centre."""
    generator = torch.Generator().manual_seed(0)
    count, size = 60, (40, 40)
    rows, columns = torch.meshgrid(torch.arange(40.0), torch.arange(40.0), indexing="ij")
    weight = torch.exp(-((rows - 22) ** 2 + (columns - 20) ** 2) / 100)

    def score(img_a, img_b):
        return (img_a[:, 0] * weight).sum((1, 2)) / weight.sum()

    genuine = torch.arange(count) % 2 == 0
    original = genuine[:, None, None, None].float().expand(count, 1, *size)
    mask = torch.rand(count, 1, *size, generator=generator) < 0.8
    patched = torch.where(mask, 1 - original, original)
    pair = (patched, torch.zeros_like(patched))
    centre, _ = CentrePrior(score, 0.5).attribute(pair)
    chance = torch.rand(count, 1, *size, generator=generator)

    def area(maps, strata=None):
        run = decision_patch_replacement(
            score, pair, original, maps, 0.5, genuine, batch_size=256, strata=strata
        )
        return run.fmr_auc + run.fnmr_auc

    assert area(centre) < 0.6 * area(chance)
    rings = face_rings(*size, count=64)
    assert area(centre, rings) == pytest.approx(area(chance, rings), rel=0.1)
    # What lies within a ring still counts.
    oracle = torch.where(genuine[:, None, None, None], -1.0, 1.0) * mask
    assert area(oracle, rings) < 0.9 * area(chance, rings)


def test_rings_are_equal_in_number_and_grow_outwards():
    rings = face_rings()
    counts = rings.unique(return_counts=True)[1]
    assert len(counts) == 16
    assert float(counts.double().std()) < 10
    assert rings[62, 56] == 0
    assert rings[0, 0] == 15
    row = rings[62, 56:]
    assert (row.diff() >= 0).all()


def test_equal_strata_keep_equal_priors_together():
    prior = torch.randn(SIZE, generator=torch.Generator().manual_seed(0)).round()
    strata = equal_strata(prior, 4)
    for value in prior.unique():
        assert len(strata[prior == value].unique()) == 1
    order = prior.flatten().argsort()
    assert (strata.flatten()[order].diff() >= 0).all()


def test_errors_name_the_fault():
    values, match = torch.zeros(1, *SIZE), torch.tensor([True])
    strata = face_rings(*SIZE)
    with pytest.raises(ValueError, match=r"strata: got torch\.float32 \(20, 18\)"):
        replacement_steps(values, match, STEPS, strata=strata.float())
    with pytest.raises(ValueError, match=r"want the integer number .* face_rings\(20, 18\)"):
        replacement_steps(values, match, STEPS, strata=strata.T)
    with pytest.raises(ValueError, match="got both"):
        replacement_steps(values, match, STEPS, (4, 3), strata)
    with pytest.raises(ValueError, match="prior: got"):
        equal_strata(torch.zeros(3))
    with pytest.raises(ValueError, match="prior: got"):
        equal_strata(torch.full((2, 2), np.nan))
    with pytest.raises(ValueError, match="count: got 5"):
        equal_strata(torch.zeros(2, 2), 5)
