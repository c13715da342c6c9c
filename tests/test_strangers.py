"""Maps and scores against those of strangers: by hand, by loops, and silent where nothing is."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import captum_fv as fv
from captum_fv.attr import (
    OcclusionBank,
    correlation_map,
    s_norm,
    significant_share,
    split_half_reliability,
    square_masks,
    stranger_score,
    z_map,
)
from captum_fv.core.vectors import unit_length
from captum_fv.data import lfw_pairs
from tests.support.nets import SIZE, random_pair, small_siamese
from tests.support.shared import SHARED, needs_shared


@pytest.fixture(scope="module")
def siamese():
    return small_siamese()


@pytest.fixture(scope="module")
def bank(siamese):
    return OcclusionBank.of(siamese, random_pair()[0][0], square_masks(200, SIZE))


@pytest.fixture(scope="module")
def people():
    """Directions of 300 people, as far apart as chance has them."""
    generator = torch.Generator().manual_seed(5)
    return unit_length(torch.randn(300, 16, generator=generator))


def test_z_by_its_definition(bank, people):
    own, cohort = people[0], people[1:20]
    seen = (~bank.hidden).float()
    z = z_map(bank, own, cohort)
    assert z.shape == SIZE
    for y, x in ((0, 1), (9, 9), (18, 4)):

        def covariance(partner, y=y, x=x):
            scores = bank.embeddings @ partner
            return float(((scores - scores.mean()) * seen[:, y, x]).mean())

        strangers = [covariance(stranger) for stranger in cohort]
        expected = (covariance(own) - np.mean(strangers)) / np.std(strangers, ddof=1)
        assert float(z[y, x]) == pytest.approx(expected, rel=1e-3)


def test_the_slope_of_a_regression_gives_the_same_z(bank, people):
    """As does whatever else differs from the covariance by a factor of the pixel's own."""
    own, cohort = people[0], people[1:40]
    variance = (~bank.hidden).double().var(0, correction=0)
    slopes = bank.covariance_map(torch.cat([own[None], cohort])).double() / variance
    expected = (slopes[0] - slopes[1:].mean(0)) / slopes[1:].std(0)
    covered = variance > 0
    z = z_map(bank, own, cohort).double()
    torch.testing.assert_close(z[covered], expected[covered], atol=1e-4, rtol=1e-4)


def test_pixels_that_are_never_hidden_say_nothing(siamese, people):
    hidden = square_masks(20, SIZE)
    hidden[:, :6] = False
    bank = OcclusionBank.of(siamese, random_pair()[0][0], hidden)
    assert not z_map(bank, people[0], people[1:30])[:6].any()
    assert significant_share(bank, people[0], people[1:30]).chance < 0.1


def test_chance_is_every_stranger_among_the_others(bank, people):
    cohort = people[:12]
    shares = []
    for k in range(len(cohort)):
        others = torch.cat([cohort[:k], cohort[k + 1 :]])
        shares.append(float((z_map(bank, cohort[k], others).abs() > 1.5).float().mean()))
    share = significant_share(bank, people[20], cohort, level=1.5)
    assert share.chance == pytest.approx(np.mean(shares), abs=1e-4)
    z = z_map(bank, people[20], cohort)
    assert share.found == pytest.approx(float((z.abs() > 1.5).float().mean()), abs=1e-6)


def test_strangers_are_found_as_often_as_chance_says(bank, people):
    """The share of |z| > 2 is .046 of a Gaussian."""
    cohort, strangers = people[:150], people[150:]
    shares = [significant_share(bank, stranger, cohort) for stranger in strangers]
    assert np.mean([share.found for share in shares]) == pytest.approx(0.046, abs=0.02)
    assert shares[0].chance == pytest.approx(0.046, abs=0.02)


def test_somebody_known_stands_out(bank, people):
    """A partner whose score rests on one place: there, and hardly elsewhere."""
    covers = bank.hidden[:, 10, 9].float()
    partner = -(bank.embeddings.T @ (covers - covers.mean()))
    z = z_map(bank, 5 * unit_length(partner[None])[0], people[:200])
    assert z[10, 9] > 4
    share = significant_share(bank, 5 * unit_length(partner[None])[0], people[:200])
    assert share.found > 3 * share.chance


def test_scores_against_strangers(people):
    own, partner, cohort = people[0], people[1], people[2:]
    mine, theirs = (cohort @ vector for vector in (own, partner))
    score = own @ partner
    sides = [float((score - s.mean()) / s.std()) for s in (mine, theirs)]
    assert stranger_score(own, partner, cohort) == pytest.approx(sides[0], rel=1e-4)
    assert s_norm(own, partner, cohort) == pytest.approx(sum(sides) / 2, rel=1e-4)
    assert s_norm(partner, own, cohort) == pytest.approx(s_norm(own, partner, cohort))


def test_a_cohort_of_one_person_again_and_again_says_nothing(bank, people):
    again = people[2:3].repeat(5, 1)
    assert s_norm(people[0], people[1], again) == 0
    assert not z_map(bank, people[1], again).any()


def test_reliability_by_spearman_and_brown(bank, people):
    for map_of in (OcclusionBank.covariance_map, correlation_map):
        halves = [map_of(bank.half(which), people[0]).flatten().numpy() for which in (0, 1)]
        r = np.corrcoef(*halves)[0, 1]
        expected = 2 * r / (1 + abs(r))
        found = split_half_reliability(bank, people[0], map_of)
        assert found == pytest.approx(expected, abs=1e-4)


def test_noise_is_not_reliable_and_more_masks_are(siamese, people):
    image = random_pair()[0][0]
    masks = square_masks(800, SIZE)
    generator = torch.Generator().manual_seed(0)
    noise = OcclusionBank(masks, torch.randn(800, 16, generator=generator), people[0])
    mean = np.mean([split_half_reliability(noise, person) for person in people[:40]])
    assert abs(mean) < 0.15
    many = OcclusionBank.of(siamese, image, masks)
    few = OcclusionBank(masks[:40], many.embeddings[:40], many.clean)
    reliable, less = (
        np.mean([split_half_reliability(bank, person) for person in people[:40]])
        for bank in (many, few)
    )
    assert reliable > 0.8 > less


def test_a_map_without_any_structure_has_no_reliability(people):
    masks = square_masks(10, SIZE)
    still = OcclusionBank(masks, people[:1].expand(10, -1), people[0])
    assert split_half_reliability(still, people[1]) == 0


BAD = {
    "one stranger": (lambda b, p: z_map(b, p[0], p[:1]), ValueError, "of 2 strangers or more"),
    "two": (lambda b, p: significant_share(b, p[0], p[:2]), ValueError, "of 3 strangers"),
    "several partners": (lambda b, p: z_map(b, p[:2], p), ValueError, "want one embedding"),
    "another size": (lambda b, p: z_map(b, p[0], p[:, :3]), ValueError, r"want \(16,\)"),
    "no tensor": (lambda b, p: z_map(b, p[0].numpy(), p), TypeError, "partner: got ndarray"),
    "level": (lambda b, p: significant_share(b, p[0], p, 0), ValueError, "above 0"),
    "few masks": (
        lambda b, p: split_half_reliability(
            OcclusionBank(b.hidden[:3], b.embeddings[:3], b.clean), p[0]
        ),
        ValueError,
        "want 4 or more",
    ),
}


@pytest.mark.parametrize(("call", "error", "says"), BAD.values(), ids=BAD.keys())
def test_what_is_wrong_is_said(bank, people, call, error, says):
    with pytest.raises(error, match=says):
        call(bank, people)


@pytest.mark.extended
@needs_shared
def test_impostors_of_lfw_are_strangers_and_genuine_pairs_are_not():
    siamese = fv.SiameseCosine(
        fv.load_backbone(SHARED / "models" / "edgeface_xxs.pt2"), mean=0.5, std=0.5
    )
    pairs = lfw_pairs(SHARED / "data" / "lfw_aligned_112", SHARED / "data" / "pairs_folds_1_4.txt")
    genuine, impostor = (np.flatnonzero(pairs.genuine == same) for same in (True, False))
    with torch.no_grad():
        cohort = siamese.embed_images(pairs.tensors(impostor[100:140])[0])
    masks = square_masks(80, (112, 112))
    found = {}
    for name, chosen in (("genuine", genuine[:3]), ("impostor", impostor[:4])):
        shares, norms = [], []
        for img_a, img_b in zip(*pairs.tensors(chosen), strict=True):
            bank = OcclusionBank.of(siamese, img_a, masks)
            with torch.no_grad():
                partner = siamese.embed_images(img_b[None])[0]
            shares.append(significant_share(bank, partner, cohort))
            norms.append(s_norm(bank.clean, partner, cohort))
        found[name] = np.mean([share.found for share in shares]), np.mean(norms)
        assert np.mean([share.chance for share in shares]) == pytest.approx(0.045, abs=0.02)
    assert found["impostor"][0] < 0.12
    assert found["genuine"][0] > found["impostor"][0]
    assert found["genuine"][1] > 3 > abs(found["impostor"][1])
