"""What is taken away from DPR: the mean sensitivity, and whatever is the same for all pairs."""

import numpy as np
import pytest
import torch

from captum_fv.metrics import (
    deal_to_others,
    decision_patch_replacement,
    equal_strata,
    sensitivity_strata,
)
from tests.support.nets import SIZE, THRESHOLD, random_pair, small_siamese


def test_sensitivity_strata_are_those_of_the_mean_gradient():
    siamese, (img_a, img_b) = small_siamese(), random_pair(5)
    prior = torch.zeros(SIZE, dtype=torch.float64)
    for k in range(5):
        leaf = img_a[k : k + 1].clone().requires_grad_()
        (gradient,) = torch.autograd.grad(siamese(leaf, img_b[k : k + 1]).sum(), leaf)
        prior += gradient[0].abs().double().mean(0)
    expected = equal_strata(prior, 6)
    for batch_size in (2, 32):
        with torch.inference_mode():
            found = sensitivity_strata(siamese, (img_a, img_b), 6, batch_size)
        assert (found != expected).float().mean() < 0.02  # rounding moves who is on an edge
    assert not img_a.requires_grad


def test_every_map_goes_to_another_pair_with_the_same_decision():
    match = torch.rand(101, generator=torch.Generator().manual_seed(0)) < 0.3
    others = deal_to_others(match)
    assert sorted(others) == list(range(101))
    assert (others != np.arange(101)).all()
    assert torch.equal(match[others], match)
    assert not np.array_equal(others, deal_to_others(match, seed=1))
    np.testing.assert_array_equal(others, deal_to_others(match.numpy()))


def test_what_is_the_same_for_all_pairs_loses_nothing_by_the_deal():
    siamese, original = small_siamese(), random_pair(12)[0]
    patched, img_b = random_pair(12, seed=2)
    match = siamese(patched, img_b).detach() >= THRESHOLD
    sign = torch.where(match, 1.0, -1.0)[:, None, None, None]
    maps = sign * torch.rand(1, 1, *SIZE, generator=torch.Generator().manual_seed(3))
    genuine = np.arange(12) % 2 == 0

    def scores(maps):
        pair = (patched, img_b)
        return decision_patch_replacement(siamese, pair, original, maps, THRESHOLD, genuine).scores

    np.testing.assert_array_equal(scores(maps), scores(maps[deal_to_others(match)]))


def test_errors_name_the_fault():
    siamese, (img_a, img_b) = small_siamese(), random_pair(3)
    with pytest.raises(ValueError, match="img_b: got shape"):
        sensitivity_strata(siamese, (img_a, img_b[:2]))
    with pytest.raises(ValueError, match="scores that are NaN"):
        sensitivity_strata(lambda a, b: (a * torch.nan).sum((1, 2, 3)), (img_a, img_b))
    with pytest.raises(ValueError, match="only pair 1 is False"):
        deal_to_others(torch.tensor([True, False, True]))
    with pytest.raises(ValueError, match="match: got"):
        deal_to_others(torch.tensor([0, 1, 2]))
