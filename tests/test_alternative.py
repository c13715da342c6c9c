"""The alternative to a decision: what it is, as a fill, as the start of a path, and in a run."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from captum_fv.attr import (
    Alternative,
    IntegratedArgumentGradient,
    OcclusionPairAttribution,
)
from captum_fv.attr.methods import METHODS
from captum_fv.attr.smoothing import smooth
from captum_fv.benchmark import BenchmarkSettings, run_benchmark
from captum_fv.benchmark.maps import maps_of_a
from captum_fv.benchmark.source import as_source
from captum_fv.core.vectors import cosine
from captum_fv.data import PairSet, generated_pairs, patch_pairs, reference_face, to_tensor
from tests.support.nets import SIZE, random_pair, small_siamese

HALF = torch.full((3, *SIZE), 0.5)


@pytest.fixture
def siamese():
    return small_siamese()


def between(siamese, pair):
    """A threshold with which some of these pairs match and some do not."""
    return float(siamese(*pair).detach().median())


def test_somebody_else_after_a_match_and_the_partner_after_a_non_match():
    images, partners = random_pair(3)
    match = torch.tensor([True, False, True])
    own = Alternative(HALF).images(images, partners, match)
    assert torch.equal(own[0], HALF)
    assert torch.equal(own[1], partners[1])
    stand_in = Alternative().images(images, partners, match)
    torch.testing.assert_close(stand_in[2], smooth(images, 16 / 112 * SIZE[0])[2])
    each = Alternative().images(images, partners, match, reference=partners.flip(0))
    assert torch.equal(each[0], partners[2])


@pytest.mark.parametrize(
    ("reference", "error"),
    [
        (HALF[:, :-1], ValueError),
        (HALF.expand(2, -1, -1, -1), ValueError),
        (HALF * torch.nan, ValueError),
        (HALF.long(), TypeError),
        ("face.png", TypeError),
    ],
    ids=["size", "count", "nan", "integers", "path"],
)
def test_a_reference_that_does_not_fit_is_named(siamese, reference, error):
    pair = random_pair(3)
    methods = (
        IntegratedArgumentGradient(siamese, -1.0),
        OcclusionPairAttribution(siamese, 2, (3,), 6, fill="alternative", threshold=-1.0),
    )
    for method in methods:
        with pytest.raises(error, match="reference"):
            method.attribute(pair, reference=reference)


@pytest.mark.parametrize("output", ["decision", "polarity"])
def test_the_map_adds_up_to_the_difference_to_the_alternative(siamese, output):
    """c, taken one pixel and one step at a time from its definition."""
    pair = random_pair(4)
    threshold = between(siamese, pair)
    method = IntegratedArgumentGradient(siamese, threshold, output, steps=5, reference=HALF)
    share = {"decision": 0.4, "polarity": 1.0}[output]
    assert method.alternative == share
    (map_a, map_b), delta = method.attribute(pair, return_convergence_delta=True)
    scores = siamese(*pair).detach()
    height = SIZE[0]
    for mapped, (own, other), side in (((map_a), pair, 0), (map_b, pair[::-1], 1)):
        match = (scores >= threshold)[:, None, None, None]
        assert match.any()
        assert not match.all()
        alternative = torch.where(match, HALF[None], other)
        if share < 1:
            alternative = smooth(alternative, 3 / 112 * height)
        start = (1 - share) * smooth(own, 6 / 112 * height) + share * alternative
        if output == "polarity":
            start_scores = siamese(start, other).detach()
            promised = mapped.sum((1, 2, 3)) - delta[:, side]
            torch.testing.assert_close(promised, scores - start_scores, atol=1e-4, rtol=1e-3)
        nodes, weights = np.polynomial.legendre.leggauss(5)
        partner = siamese.embed_images(other).detach()
        added = torch.zeros_like(own)
        for node, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
            point = (start + float(node) * (own - start)).requires_grad_()
            (gradient,) = torch.autograd.grad(
                cosine(siamese.embed_images(point), partner).sum(), point
            )
            added += float(weight) * gradient
        evidence = ((own - start) * added).sum(1, keepdim=True)
        if output == "decision":
            sign = match.float() * 2 - 1
            evidence = smooth(evidence, 1 / 112 * height)
            evidence = smooth(2 * sign * (sign * evidence).clamp(min=0), 3 / 112 * height)
        else:
            evidence = smooth(evidence, 5 / 112 * height)
        torch.testing.assert_close(mapped.sum(1, keepdim=True), evidence, atol=1e-6, rtol=1e-4)


def test_the_settings_of_before_are_reachable(siamese):
    """A path from the blurred faces alone, whatever was decided."""
    pair = random_pair(2)
    options = {"alternative": 0.0, "partner": 0.25, "grain": 1.5 / 112, "smoothing": 5 / 112}
    low, high = (
        IntegratedArgumentGradient(siamese, threshold, "polarity", **options).attribute(pair)
        for threshold in (-0.9, 0.9)
    )
    torch.testing.assert_close(low, high)


@pytest.mark.parametrize("variant", [1, 2, 3])
def test_occlusion_covers_with_the_alternative(siamese, variant):
    """The published formula, with faces that were covered by hand."""
    pair = random_pair(2)
    threshold = between(siamese, pair)
    references = random_pair(2, seed=9)[0]
    method = OcclusionPairAttribution(
        siamese, variant, (4,), 7, fill="alternative", threshold=threshold
    )
    maps = method.attribute(pair, reference=references)
    scores = siamese(*pair)
    for i in range(2):
        other = (
            (references[i], references[i]) if scores[i] >= threshold else (pair[1][i], pair[0][i])
        )
        by_hand = []
        for side in (0, 1):
            partner = OcclusionPairAttribution(siamese, 2, (4,), 7, fill="partner")
            # "partner" fills from the image beside: hand it the alternative as that image, and look
            # at the covered faces alone.
            grid = partner.patches.grids(pair[0])[0]
            covered = grid.cover(pair[side][i], other[side], 8)
            by_hand.append(torch.cat([images.clone() for images in covered]))
        seen = [siamese.embed_images(images).detach() for images in by_hand]
        clean = [siamese.embed_images(pair[side][i][None])[0].detach() for side in (0, 1)]
        fall = (
            clean[0] @ clean[1]
            - {
                1: seen[0] @ seen[1].mean(0),
                2: seen[0] @ clean[1],
                3: (seen[0] * seen[1]).sum(1),
            }[variant]
        )
        spread = grid.spread(fall[None]) / 4**2 / len(grid)
        from captum_fv.attr.smoothing import gaussian_blur

        expected = gaussian_blur(spread[None])[0, 0]
        torch.testing.assert_close(maps[0][i, 0], expected, atol=1e-6, rtol=1e-4)


def test_the_alternative_wants_a_threshold(siamese):
    with pytest.raises(ValueError, match=r"threshold=0\.3"):
        OcclusionPairAttribution(siamese, fill="alternative")
    with pytest.raises(TypeError, match="asks for no decision"):
        OcclusionPairAttribution(siamese, 2, (3,), 6).attribute(random_pair(1), threshold=0.3)


def test_the_mean_face_leaves_people_out():
    pairs = generated_pairs(6)
    photos = to_tensor([pairs.load(i) for i in range(12)])
    torch.testing.assert_close(reference_face(pairs)[0], photos.mean(0))
    out = set(pairs.people[:2])
    rest = [i for i in range(12) if pairs.people[i] not in out]
    torch.testing.assert_close(reference_face(pairs, out)[0], photos[rest].mean(0))
    some = [round(i * 11 / 3) for i in range(4)]
    torch.testing.assert_close(reference_face(pairs, at_most=4)[0], photos[some].mean(0))
    with pytest.raises(ValueError, match="nobody is left"):
        reference_face(pairs, set(pairs.people))


def test_a_batch_knows_other_peoples_mean_face():
    patched = patch_pairs(generated_pairs(6))
    batch = patched.batch([1, 4]).rows([1]).to("cpu")
    expected = reference_face(patched.clean, set(patched.clean.people[8:10]))
    torch.testing.assert_close(batch.reference, expected)
    # Without names, a pair's own photos are all that can be left out.
    a, original, b = patched.tensors(range(6))
    source = as_source(
        [(a[:4], original[:4], b[:4], [1, 1, 1, 0]), (a[4:], original[4:], b[4:], [0, 0])], 2
    )
    others = torch.cat([original[[0, 1, 2, 3, 5]], b[[0, 1, 2, 3, 5]]]).mean(0)
    torch.testing.assert_close(source.batch([4]).reference[0], others)


def test_two_people_have_no_other():
    pairs = PairSet("two", ["ann", "ann", "ann", "bob"], generated_pairs(2).load)
    assert patch_pairs(pairs).batch([0]).reference is None


def test_a_run_asks_against_the_mean_face(siamese, tmp_path):
    """And its maps are those of the method with each pair's own reference."""
    faces = PairSet(
        "small", generated_pairs(6).people, lambda i: generated_pairs(6).load(i)[46:66, 48:66]
    )
    patched = patch_pairs(faces, count=3, patch=6)
    batch = patched.batch(range(6))
    for name in ("iag_decision", "xface2_alt"):
        if name == "xface2_alt":
            method = OcclusionPairAttribution(
                siamese, 2, (3,), 6, fill="alternative", threshold=0.1
            )
        else:
            method = METHODS[name](siamese, 0.1)
        ((_, maps),) = maps_of_a({name: method}, batch)
        expected, _ = method.attribute((batch.patched_a, batch.img_b), reference=batch.reference)
        torch.testing.assert_close(maps, expected)
        stand_in, _ = method.attribute((batch.patched_a, batch.img_b))
        assert not torch.allclose(maps, stand_in)
    settings = BenchmarkSettings(stratified=False, latency_pairs=0)
    results = run_benchmark({"net": siamese}, patched, ["iag_polarity", "rnd"], tmp_path, settings)
    assert np.isfinite(results.models["net"].methods["iag_polarity"].dpr.scores).all()
