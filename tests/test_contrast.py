"""Why B and not C: maps of the partner's embedding less another's."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import normalize

from captum_fv.attr import IntegratedArgumentGradient
from captum_fv.attr.contrast import less_others
from tests.support.nets import THRESHOLD, random_pair, small_siamese

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


UNIT = normalize(torch.ones(6, 4))


@pytest.mark.parametrize(
    ("against", "error", "says"),
    [
        (UNIT[:, :3], ValueError, r"got \(6, 3\) for 3 pairs"),
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
        less_others(torch.zeros(3, 2, 4), against)


def test_what_has_no_meaning_is_refused(siamese, trio):
    against = siamese.embed_images(trio[2]).detach()
    with pytest.raises(ValueError, match="decided at 0"):
        IntegratedArgumentGradient(siamese, 0.1).attribute(trio[:2], against=against, threshold=0.2)
    with pytest.raises(ValueError, match="agreement"):
        IntegratedArgumentGradient(siamese, 0.1, agreement=1.0).attribute(trio[:2], against=against)
