"""Why B and not C: maps of the partner's embedding less another's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from captum_fv.attr import (
    CorrelationRiseAttribution,
    FeatureGuidedGradient,
    IntegratedArgumentGradient,
    LocalAgreement,
    MinPlusAttribution,
    OcclusionPairAttribution,
    PairGradCam,
    PairInputXGradient,
    PairInteraction,
    PairSaliency,
    SensitivityControl,
    SimilarityArgumentGradient,
    grid_regions,
)
from captum_fv.attr.contrast import as_others
from tests.support.nets import SIZE, THRESHOLD, random_pair, small_siamese

# A start that depends on no decision, so that three questions share their paths.
BLURRED = {"alternative": 0.0, "partner": 0.0}


@pytest.fixture
def siamese():
    return small_siamese().double()


@pytest.fixture
def trio():
    img_a, img_b = (image.double() for image in random_pair(3))
    return img_a, img_b, random_pair(3, seed=5)[0].double()


def test_the_polarity_is_that_of_b_less_that_of_c(siamese, trio):
    img_a, img_b, img_c = trio
    method = IntegratedArgumentGradient(siamese, THRESHOLD, "polarity", **BLURRED)
    against = siamese.embed_images(img_c).detach()
    map_a, map_b = method.attribute((img_a, img_b), against=against)
    a_of_b, b_of_a = method.attribute((img_a, img_b))
    a_of_c, _ = method.attribute((img_a, img_c))
    b_of_c, _ = method.attribute((img_b, img_c))
    torch.testing.assert_close(map_a, a_of_b - a_of_c)
    torch.testing.assert_close(map_b, b_of_a - b_of_c)
    assert not torch.allclose(map_a, a_of_b, rtol=0.1)


def test_a_cohort_is_the_mean_of_its_members(siamese, trio):
    img_a, img_b, img_c = trio
    method = IntegratedArgumentGradient(siamese, THRESHOLD, "polarity", **BLURRED)
    cohort = siamese.embed_images(torch.cat([img_c, 1 - img_c])).detach()
    maps = method.attribute((img_a, img_b), against=cohort[None])
    single = [method.attribute((img_a, img_b), against=one)[0] for one in cohort]
    torch.testing.assert_close(maps[0], torch.stack(single).mean(0))
    own = cohort.reshape(2, 3, -1).transpose(0, 1)  # (N, n, d), two for each pair
    maps = method.attribute((img_a, img_b), against=own)
    single = [method.attribute((img_a, img_b), against=own[:, k])[0] for k in (0, 1)]
    torch.testing.assert_close(maps[0], torch.stack(single).mean(0))


@pytest.mark.parametrize("output", ["polarity", "relevance", "decision"])
def test_pairs_are_asked_against_their_own(siamese, trio, output):
    img_a, img_b, img_c = trio
    method = IntegratedArgumentGradient(siamese, THRESHOLD, output)
    against = siamese.embed_images(img_c).detach()
    maps, _ = method.attribute((img_a, img_b), against=against)
    for k in range(3):
        alone, _ = method.attribute((img_a[[k]], img_b[[k]]), against=against[k])
        torch.testing.assert_close(alone[0], maps[k])


def test_it_is_complete(siamese, trio):
    img_a, img_b, img_c = trio
    method = IntegratedArgumentGradient(siamese, THRESHOLD, "polarity", steps=40, **BLURRED)
    against = siamese.embed_images(img_c).detach()
    maps, delta = method.attribute((img_a, img_b), against=against, return_convergence_delta=True)
    start = method._start(torch.stack([img_a, img_b], 1).flatten(0, 1), torch.ones(6) > 0, None)
    changes = [siamese(image, img_b) - siamese(image, img_c) for image in (img_a, start[0::2])]
    added = maps[0].sum((1, 2, 3))
    torch.testing.assert_close(added - delta[:, 0], (changes[0] - changes[1]).detach())
    assert delta.abs().max() < 0.02 * added.abs().max()


def test_the_decision_is_which_of_the_two_it_is_more_like(siamese, trio):
    img_a, img_b, img_c = trio
    method = IntegratedArgumentGradient(siamese, 0.99)  # the threshold is not asked
    nearer = (siamese(img_a, img_b) - siamese(img_a, img_c)) >= 0
    map_a, _ = method.attribute((img_a, img_b), against=siamese.embed_images(img_c).detach())
    assert nearer.any()
    assert not nearer.all()
    for mapped, is_b in zip(map_a, nearer, strict=True):
        assert mapped.any()
        assert (mapped >= 0).all() if is_b else (mapped <= 0).all()


def test_without_against_nothing_changes(siamese, trio):
    method = IntegratedArgumentGradient(siamese, THRESHOLD)
    plain = method.attribute(trio[:2])
    assert torch.equal(method.attribute(trio[:2], against=None)[0], plain[0])


def own_vectors(siamese, img_a, img_b, img_c):
    """Gradients of s(A, B) - s(A, C) to A, and of s(A, B) - s(B, C) to B, pair by pair."""
    grads = []
    for own, partner in ((img_a, img_b), (img_b, img_a)):
        leaf = own.clone().requires_grad_()
        score = (siamese(leaf, partner) - siamese(leaf, img_c)).sum()
        grads.append(torch.autograd.grad(score, leaf)[0])
    return grads


def test_plain_gradients_are_those_of_the_difference_of_scores(siamese, trio):
    img_a, img_b, img_c = trio
    against = siamese.embed_images(img_c).detach()
    grads = own_vectors(siamese, *trio)
    saliency = PairSaliency(siamese).attribute(trio[:2], against=against)
    control = SensitivityControl(siamese, 0.9).attribute(trio[:2], against=against)
    similarity = SimilarityArgumentGradient(siamese, 0.9, "similarity")
    dissimilarity = SimilarityArgumentGradient(siamese, 0.9, "dissimilarity")
    both = SimilarityArgumentGradient(siamese, 0.9).attribute(trio[:2], against=against)
    parts = [m.attribute(trio[:2], against=against) for m in (similarity, dissimilarity)]
    for side, (own, partner) in enumerate(((img_a, img_b), (img_b, img_a))):
        torch.testing.assert_close(saliency[side], grads[side].abs())
        nearer = siamese(own, partner) >= siamese(own, img_c)
        sign = torch.where(nearer, 1.0, -1.0)[:, None, None, None]
        torch.testing.assert_close(control[side], sign * grads[side].abs())
        # xSSAB: the arguments of the difference, split at 0.
        leaf = own.clone().requires_grad_()
        vector = (siamese.embed_images(partner) - siamese.embed_images(img_c)).detach()
        arguments = siamese.embed_images(leaf) * vector
        speaks_for = arguments.detach() >= 0
        for part, kept in zip(parts, (speaks_for, ~speaks_for), strict=True):
            (grad,) = torch.autograd.grad((arguments * kept).sum(), leaf, retain_graph=True)
            torch.testing.assert_close(part[side], grad.abs())
        torch.testing.assert_close(both[side], parts[0][side] - parts[1][side])


LINEAR = {
    "input x gradient": lambda s: PairInputXGradient(s),
    "grad-cam": lambda s: PairGradCam(s),
    "fggb at 0": lambda s: FeatureGuidedGradient(s, 0.0),
    "xface2": lambda s: OcclusionPairAttribution(s, 2, (3, 6), 4),
}


@pytest.mark.parametrize("build", LINEAR.values(), ids=LINEAR.keys())
def test_what_is_linear_in_the_partner_gives_the_difference_of_two_maps(siamese, trio, build):
    img_a, img_b, img_c = trio
    method = build(siamese)
    maps = method.attribute(trio[:2], against=siamese.embed_images(img_c).detach())
    of_b, of_a = method.attribute((img_a, img_b))
    torch.testing.assert_close(maps[0], of_b - method.attribute((img_a, img_c))[0])
    torch.testing.assert_close(maps[1], of_a - method.attribute((img_b, img_c))[0])


BANKS = {
    "corrrise": lambda s: CorrelationRiseAttribution(s, num_masks=40),
    "minplus": lambda s: MinPlusAttribution(s, "avg", points=3, signed=True),
    "xface2": lambda s: OcclusionPairAttribution(s, 2, (3, 6), 4),
}


@pytest.mark.parametrize("build", BANKS.values(), ids=BANKS.keys())
def test_a_bank_answers_it_with_the_difference_of_embeddings(siamese, trio, build):
    img_a, img_b, img_c = trio
    method = build(siamese)
    v_b, v_c = (siamese.embed_images(image).detach() for image in (img_b, img_c))
    map_a, _ = method.attribute(trio[:2], against=v_c)
    for k in range(3):
        bank = method.bank(img_a[k])
        torch.testing.assert_close(method.map_of(bank, v_b[k] - v_c[k]), map_a[k, 0])
        both = method.linear_map_of(bank, torch.stack([v_b[k], v_c[k], v_b[k] - v_c[k]]))
        torch.testing.assert_close(both[2], both[0] - both[1])


def test_interactions_take_away_what_a_region_adds_against_c_as_she_is(siamese, trio):
    img_a, img_b, img_c = trio
    method = PairInteraction(siamese, (2, 2), masks=20, keep=0.6)
    v_c = siamese.embed_images(img_c).detach()
    plain, maps = method.attribute(trio[:2]), method.attribute(trio[:2], against=v_c)
    labels = torch.from_numpy(grid_regions(SIZE, (2, 2)).labels)
    for k, sides in enumerate(method.hidden_cells(img_a, img_b)):
        for side in (0, 1):
            design = np.hstack([np.ones((20, 1)), sides[side].masks[2:22].numpy()])
            scores = (sides[side].embeddings[2:22] @ v_c[k]).numpy()
            effects = np.linalg.lstsq(design, scores, rcond=None)[0][1:]
            for region, effect in enumerate(effects):
                fell = (plain[side] - maps[side])[k, 0][labels == region]
                np.testing.assert_allclose(fell, effect / len(fell), atol=1e-7)


def test_the_alternative_shows_the_partner_where_c_is_nearer(siamese, trio):
    """Each image is decided on by itself, so the fills of A and of B may differ in kind."""
    img_a, img_b, img_c = trio
    against = siamese.embed_images(img_c).detach()
    somebody = torch.full((3, *SIZE), 0.25, dtype=torch.float64)
    options = {"fill": "alternative", "threshold": 0.9, "reference": somebody}
    method = OcclusionPairAttribution(siamese, 2, (6,), 4, **options)
    maps = method.attribute(trio[:2], against=against)
    decided = set()
    for side, (own, partner) in enumerate(((img_a, img_b), (img_b, img_a))):
        for k in range(3):
            nearer = bool(siamese(own, partner)[k] >= siamese(own, img_c)[k])
            decided.add(nearer)
            vector = siamese.embed_images(partner)[k].detach() - against[k]
            bank = method.bank(own[k], somebody if nearer else partner[k])
            torch.testing.assert_close(maps[side][k, 0], method.map_of(bank, vector))
    assert decided == {True, False}


UNIT = normalize(torch.ones(6, 4))


@pytest.mark.parametrize(
    ("against", "error", "says"),
    [
        (UNIT, ValueError, r"write against\[None\]"),
        (UNIT[None, :0], ValueError, r"got \(1, 0, 4\)"),
        (UNIT[None].expand(2, -1, -1), ValueError, r"got \(2, 6, 4\)"),
        (UNIT[0] / 2, ValueError, "lengths 0.5 to 0.5; want 1"),
        (UNIT[0] * torch.nan, ValueError, "NaN"),
        (UNIT[0].long(), TypeError, "int64"),
        ([0.5] * 4, TypeError, "got list"),
    ],
)
def test_what_is_no_embedding_is_named(against, error, says):
    with pytest.raises(error, match=says):
        as_others(against, 3)


def test_embeddings_of_another_model_are_named(siamese, trio):
    with pytest.raises(ValueError, match="embeddings of 4 numbers; this model gives 16"):
        PairSaliency(siamese).attribute(trio[:2], against=UNIT[0].double())


def test_what_has_no_meaning_is_refused(siamese, trio):
    against = siamese.embed_images(trio[2]).detach()
    with pytest.raises(ValueError, match="decided at 0"):
        IntegratedArgumentGradient(siamese, 0.1).attribute(trio[:2], against=against, threshold=0.2)
    with pytest.raises(ValueError, match="agreement"):
        IntegratedArgumentGradient(siamese, 0.1, agreement=1.0).attribute(trio[:2], against=against)
    with pytest.raises(TypeError, match="no answer to why B and not C"):
        LocalAgreement(siamese).attribute(trio[:2], against=against)
    with pytest.raises(ValueError, match="take variant=2"):
        OcclusionPairAttribution(siamese, 3).attribute(trio[:2], against=against)
    with pytest.raises(TypeError, match="reads the embeddings"):
        PairSaliency(lambda a, b: a.mean((1, 2, 3))).attribute(trio[:2], against=against)
