"""RND and the controls against their formulas."""

import pytest
import torch

from captum_fv.attr import (
    CentrePrior,
    PatchOracle,
    PixelDifference,
    RandomPairBaseline,
    SensitivityControl,
)
from tests.support.nets import SIZE, random_pair, small_siamese


@pytest.fixture
def pair():
    return random_pair(3)


def signs(siamese, pair, threshold):
    return [1.0 if float(score) >= threshold else -1.0 for score in siamese(pair)]


@pytest.fixture
def siamese():
    return small_siamese()


@pytest.fixture
def threshold(siamese, pair):
    """The middle score, which matches by equality; one pair is above and one below."""
    return float(siamese(pair).median())


def test_rnd_is_uniform_seeded_and_one_value_per_pixel():
    pair = random_pair(2, size=(60, 60))
    map_a, map_b = RandomPairBaseline(None, torch.Generator().manual_seed(5)).attribute(pair)
    again = RandomPairBaseline(None, torch.Generator().manual_seed(5)).attribute(pair)
    assert torch.equal(map_a, again[0])
    assert torch.equal(map_a[:, 0], map_a[:, 2])
    values = torch.stack([map_a[:, 0], map_b[:, 0]])
    assert -1 <= values.min() < -0.99
    assert 0.99 < values.max() < 1
    assert abs(values.mean()) < 0.02
    assert len(values.flatten(2).flatten(0, 1).unique(dim=0)) == 4
    other = RandomPairBaseline(None, torch.Generator().manual_seed(6)).attribute(pair)
    assert not torch.equal(map_a, other[0])


def test_rnd_moves_on_unless_the_order_is_shared(pair):
    method = RandomPairBaseline(None)
    assert not torch.equal(method.attribute(pair)[0], method.attribute(pair)[0])
    shared = RandomPairBaseline(None, shared_order=True)
    first, second = shared.attribute(pair), shared.attribute(pair)
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[0][0], first[1][2])


def test_sensitivity_is_the_signed_gradient_magnitude(siamese, pair, threshold):
    map_a, map_b = SensitivityControl(siamese, threshold).attribute(pair)
    sign = signs(siamese, pair, threshold)
    assert sorted(sign) == [-1, 1, 1]
    for k in range(3):
        leaves = [image[k : k + 1].clone().requires_grad_() for image in pair]
        grads = torch.autograd.grad(siamese(*leaves).sum(), leaves)
        torch.testing.assert_close(map_a[k], sign[k] * grads[0][0].abs(), rtol=1e-4, atol=1e-7)
        torch.testing.assert_close(map_b[k], sign[k] * grads[1][0].abs(), rtol=1e-4, atol=1e-7)


def test_centre_prior_is_the_signed_bump(siamese, pair, threshold):
    map_a, map_b = CentrePrior(siamese, threshold).attribute(pair)
    sign = signs(siamese, pair, threshold)
    height, width = SIZE
    for k in range(3):
        for y, x in [(0, 0), (11, 9), (19, 17)]:
            distance = (y - 62 / 112 * height) ** 2 + (x - 56 / 112 * width) ** 2
            bump = torch.tensor(-distance / (2 * (0.25 * height) ** 2)).exp()
            assert float(map_a[k, 1, y, x]) == pytest.approx(sign[k] * float(bump), rel=1e-5)
    assert torch.equal(map_a, map_b)
    with pytest.raises(ValueError, match="sigma"):
        CentrePrior(siamese, threshold, sigma=0)


def test_pixel_difference(pair):
    map_a, map_b = PixelDifference(None).attribute(pair)
    assert torch.equal(map_a, -(pair[0] - pair[1]).abs())
    assert torch.equal(map_a, map_b)


def test_patch_oracle_knows_the_mask_and_the_sign(siamese, pair, threshold):
    mask = torch.rand(3, 1, *SIZE, generator=torch.Generator().manual_seed(0)) < 0.4
    map_a, map_b = PatchOracle(siamese, threshold).attribute(pair, patch_mask=mask)
    for k, sign in enumerate(signs(siamese, pair, threshold)):
        assert torch.equal(map_a[k], (sign * mask[k].float()).expand(3, -1, -1))
    assert not map_b.any()
    chance = PatchOracle(siamese, threshold, torch.Generator().manual_seed(0))
    ranked, _ = chance.attribute(pair, patch_mask=mask)
    assert torch.equal(ranked != 0, map_a != 0)
    assert (ranked.abs()[map_a != 0] > 0.5).all()
    assert len(ranked[0, 0][mask[0, 0]].unique()) == mask[0].sum()
    with pytest.raises(ValueError, match=r"torch.bool \(3, 1, 20, 18\)"):
        PatchOracle(siamese, threshold).attribute(pair, patch_mask=mask.float())


def test_a_black_box_will_do(pair):
    def scores(img_a, img_b, shift=0.0):
        return (img_a * img_b).mean((1, 2, 3)) + shift

    for method in (SensitivityControl(scores, 5.0), CentrePrior(scores, 5.0)):
        below, _ = method.attribute(pair)
        above, _ = method.attribute(pair, additional_forward_args=9.0)
        torch.testing.assert_close(above, -below)
        with pytest.raises(ValueError, match="one score for each"):
            type(method)(lambda a, b: a, 5.0).attribute(pair)
        with pytest.raises(ValueError, match="NaN"):
            type(method)(lambda a, b: a.mean((1, 2, 3)) / 0, 5.0).attribute(pair)


def test_the_oracle_asks_for_no_score_that_is_known():
    pair, mask = random_pair(3), torch.rand(3, 1, 20, 18) > 0.5
    siamese = small_siamese()
    scores = siamese(*pair).detach().double()
    threshold = float(scores.median())
    asked = PatchOracle(siamese, threshold).attribute(*pair, patch_mask=mask)
    told = PatchOracle(None, threshold).attribute(*pair, patch_mask=mask, scores=scores)
    assert torch.equal(told[0], asked[0])
    with pytest.raises(ValueError, match=r"scores: got \(2,\); want one for each pair, \(3,\)"):
        PatchOracle(None, 0.3).attribute(*pair, patch_mask=mask, scores=scores[:2])
