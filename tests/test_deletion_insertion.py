"""Deletion and insertion against a naive loop, pixel by pixel, and against maps that are known."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from captum_fv.metrics import deletion_insertion
from tests.support.nets import SIZE, THRESHOLD, random_pair, small_siamese
from tests.support.ties import scattered

COUNT, STEPS = 6, 5
GENUINE = np.arange(COUNT) % 3 > 0


@pytest.fixture
def run_input():
    generator = torch.Generator().manual_seed(4)
    maps = torch.randn(COUNT, 1, *SIZE, generator=generator).round(decimals=1)
    return small_siamese(), random_pair(COUNT), maps


def naive_curves(siamese, img_a, img_b, values, fill, highest_first):
    places = scattered([(y, x) for y in range(SIZE[0]) for x in range(SIZE[1])])
    places.sort(key=lambda place: -values[place] if highest_first else values[place])
    curves = []
    for start, end in ((img_a, fill), (fill, img_a)):
        scores = []
        for t in range(STEPS + 1):
            image = start.clone()
            for y, x in places[: round(len(places) * t / STEPS)]:
                image[:, y, x] = end[:, y, x]
            scores.append(float(siamese(image[None], img_b[None]).detach()))
        curves.append(scores)
    return curves


@pytest.mark.parametrize("population", ["genuine", "impostor"])
@pytest.mark.parametrize("fill", ["mean", "black", 0.3])
def test_equals_the_naive_loop(run_input, population, fill):
    siamese, (img_a, img_b), maps = run_input
    result = deletion_insertion(
        siamese, (img_a, img_b), maps, THRESHOLD, GENUINE, population, STEPS, fill=fill
    )
    chosen = np.flatnonzero(GENUINE if population == "genuine" else ~GENUINE)
    assert result.deletion.shape == result.insertion.shape == (STEPS + 1, len(chosen))
    for column, k in enumerate(chosen):
        level = {"mean": img_a[k].mean((1, 2)), "black": torch.zeros(3)}.get(fill)
        level = torch.full((3,), fill) if level is None else level
        filled = level[:, None, None].expand(3, *SIZE)
        deletion, insertion = naive_curves(
            siamese, img_a[k], img_b[k], maps[k, 0].numpy(), filled, population == "genuine"
        )
        np.testing.assert_allclose(result.deletion[:, column], deletion, atol=1e-6)
        np.testing.assert_allclose(result.insertion[:, column], insertion, atol=1e-6)


def test_curves_and_areas_are_means_and_trapezoids(run_input):
    siamese, pair, maps = run_input
    result = deletion_insertion(siamese, pair, maps, THRESHOLD, GENUINE, "genuine", STEPS)
    np.testing.assert_allclose(result.fractions, [0, 0.2, 0.4, 0.6, 0.8, 1])
    for curve in ("deletion", "insertion"):
        scores = getattr(result, curve)
        for points, of in (
            (scores.mean(1), "score"),
            ((scores >= THRESHOLD).mean(1), "match"),
        ):
            np.testing.assert_allclose(result.means(curve, of), points)
            area = sum((a + b) / 2 / STEPS for a, b in pairwise(points))
            interval = result.auc(curve, of)
            assert interval.value == pytest.approx(area)
            assert interval.low <= area <= interval.high
    # Both walks are between the same two images.
    np.testing.assert_allclose(result.deletion[0], result.insertion[-1], atol=1e-6)
    np.testing.assert_allclose(result.deletion[-1], result.insertion[0], atol=1e-6)


def test_the_fill_blurs_the_image_itself(run_input):
    siamese, pair, maps = run_input
    grey = (torch.full_like(pair[0], 0.5), pair[1])
    result = deletion_insertion(siamese, grey, maps, THRESHOLD, GENUINE, "genuine", STEPS)
    np.testing.assert_allclose(result.deletion, result.deletion[:1].repeat(STEPS + 1, 0), atol=1e-6)
    blurred = deletion_insertion(siamese, pair, maps, THRESHOLD, GENUINE, "genuine", STEPS)
    assert np.abs(blurred.deletion[-1] - blurred.deletion[0]).min() > 1e-3


def test_the_better_map_removes_what_counts_first():
    """A score that counts the bright pixels on the left, so that a perfect map is known."""
    img_a = torch.ones(2, 1, 8, 8)
    left = (torch.arange(8) < 4).double().expand(1, 1, 8, 8)

    def score(img_a, img_b):
        return (img_a * left).mean((1, 2, 3)) * 2

    def run(maps, population):
        return deletion_insertion(
            score, (img_a, img_a), maps, 0.5, [True, False], population, 10, fill=0.0
        )

    for population, sign in (("genuine", 1), ("impostor", -1)):
        good, bad = run(sign * left, population), run(-sign * left, population)
        assert good.difference_to(bad, "deletion").high < 0
        assert good.difference_to(bad, "insertion").low > 0
        assert good.auc("deletion").value == pytest.approx(0.25, abs=0.01)
        assert good.auc("insertion", "match").value == pytest.approx(0.75, abs=0.05)


def test_only_the_population_is_scored_and_b_is_embedded_once(run_input):
    siamese, pair, maps = run_input
    siamese(*pair)  # the first call asks the backbone more often
    seen = []
    siamese.backbone.register_forward_hook(lambda module, args, out: seen.append(len(args[0])))
    result = deletion_insertion(
        siamese, pair, maps, THRESHOLD, GENUINE, "impostor", STEPS, batch_size=3
    )
    impostors = int((~GENUINE).sum())
    assert result.deletion.shape[1] == impostors
    assert seen[0] == 2 * impostors
    assert sum(seen) == impostors * (2 + 1 + 2 * STEPS)
    assert max(seen[1:]) == 3


def test_any_function_and_batch_size_gives_the_same(run_input):
    siamese, pair, maps = run_input
    rest = (pair, maps, THRESHOLD, GENUINE, "genuine", STEPS)
    ours = deletion_insertion(siamese, *rest)
    for other in (
        deletion_insertion(lambda a, b: siamese(a, b), *rest),
        deletion_insertion(siamese, *rest, batch_size=1),
    ):
        np.testing.assert_allclose(other.deletion, ours.deletion, atol=1e-6)
        np.testing.assert_allclose(other.insertion, ours.insertion, atol=1e-6)


def test_a_constant_map_is_named(run_input):
    siamese, pair, maps = run_input
    with pytest.warns(UserWarning, match="4 of 4 maps are constant"):
        deletion_insertion(siamese, pair, 0 * maps + 0.3, THRESHOLD, GENUINE, "genuine", STEPS)


def test_errors_name_the_fault(run_input):
    siamese, pair, maps = run_input

    def run(population="genuine", genuine=GENUINE, maps=maps, **options):
        model, threshold = options.pop("model", siamese), options.pop("threshold", THRESHOLD)
        return deletion_insertion(model, pair, maps, threshold, genuine, population, **options)

    with pytest.raises(ValueError, match="population: got 'both'"):
        run("both")
    with pytest.raises(ValueError, match="none of the 6 pairs is impostor"):
        run("impostor", np.ones(COUNT))
    with pytest.raises(ValueError, match="genuine: got"):
        run(genuine=GENUINE[:2])
    with pytest.raises(ValueError, match="hold NaN"):
        run(maps=maps * torch.nan)
    with pytest.raises(ValueError, match="steps: got 0"):
        run(steps=0)
    with pytest.raises(ValueError, match="threshold: got nan"):
        run(threshold=float("nan"))
    with pytest.raises(ValueError, match="fill: got 'white'"):
        run(fill="white")
    with pytest.raises(ValueError, match="write its value, as in fill="):
        run(fill="black", model=lambda a, b: siamese(a, b))
    with pytest.raises(ValueError, match="scores that are NaN"):
        run(model=lambda a, b: siamese(a, b) * torch.nan)
    with pytest.raises(ValueError, match="curve: got 'both'"):
        run().auc("both")
    with pytest.raises(ValueError, match="same pairs"):
        run().difference_to(run("impostor"), "deletion")
