"""DPR against a naive loop written from the protocol, its areas, intervals and errors."""

from itertools import pairwise

import numpy as np
import pytest
import scipy.stats
import torch

from captum_fv.metrics import (
    DecisionPatchReplacement,
    DPRResult,
    decision_patch_replacement,
    eer_threshold,
)
from captum_fv.metrics.ranking import rank_maps
from captum_fv.metrics.replacement import replacement_steps
from tests.support.nets import random_pair, small_siamese
from tests.support.ties import scattered

STEPS, COUNT = 20, 7


@pytest.fixture
def run_input():
    """Pairs with perturbed pixels, random maps with ties, a threshold between their scores."""
    siamese = small_siamese()
    original, img_b = random_pair(COUNT)
    generator = torch.Generator().manual_seed(3)
    mask = torch.rand(COUNT, 1, *original.shape[2:], generator=generator) < 0.4
    mask[2] = False
    patched = torch.where(mask, torch.rand(original.shape, generator=generator), original)
    maps = torch.randn(COUNT, 1, *original.shape[2:], generator=generator).round(decimals=1)
    genuine = torch.arange(COUNT) % 2 == 0
    threshold = float(siamese(patched, img_b).detach().sort().values[3:5].mean())
    return siamese, (patched, img_b), original, maps, threshold, genuine


def naive_scores(siamese, pair, original, maps, threshold):
    """The protocol, pair by pair, step by step and pixel by pixel."""
    scores = np.zeros((STEPS + 1, len(original)))
    for k in range(len(original)):
        patched, img_b = pair[0][k], pair[1][k]
        height, width = patched.shape[1:]
        match = float(siamese(patched[None], img_b[None]).detach()) >= threshold
        positions = scattered([(y, x) for y in range(height) for x in range(width)])
        values = (-1 if match else 1) * maps[k, 0].double().numpy()
        positions.sort(key=values.__getitem__)
        for t in range(STEPS + 1):
            image = patched.clone()
            for y, x in positions[: round(height * width * t / STEPS)]:
                image[:, y, x] = original[k, :, y, x]
            scores[t, k] = float(siamese(image[None], img_b[None]).detach())
    return scores


def test_equals_the_naive_loop(run_input):
    siamese, pair, original, maps, threshold, genuine = run_input
    expected = naive_scores(siamese, pair, original, maps, threshold)
    result = decision_patch_replacement(siamese, pair, original, maps, threshold, genuine)
    assert result.scores.shape == (STEPS, COUNT)
    np.testing.assert_allclose(result.scores, expected[:-1], atol=1e-6)
    np.testing.assert_allclose(result.repaired_scores, expected[-1], atol=1e-6)
    np.testing.assert_allclose(result.fractions, np.arange(0, 1, 0.05))
    match = expected[:-1] >= threshold
    labels = genuine.numpy()
    np.testing.assert_allclose(result.fmr, match[:, ~labels].mean(1))
    np.testing.assert_allclose(result.fnmr, 1 - match[:, labels].mean(1))
    area = sum((a + b) / 2 for a, b in pairwise(result.fmr))
    assert result.fmr_auc == pytest.approx(area)
    area = sum((a + b) / 2 for a, b in pairwise(result.fnmr))
    assert result.fnmr_auc == pytest.approx(area)
    whole = [*result.fmr, ((expected[-1] >= threshold) & ~labels).sum() / (~labels).sum()]
    area = sum((a + b) / 2 for a, b in pairwise(whole)) / STEPS
    assert result.fmr_auc_normalised == pytest.approx(area)


def test_any_forward_function_gives_the_same(run_input):
    siamese, pair, *rest = run_input
    ours = decision_patch_replacement(siamese, pair, *rest)
    plain = decision_patch_replacement(lambda a, b: siamese(a, b), pair, *rest)
    np.testing.assert_allclose(plain.scores, ours.scores, atol=1e-6)


def test_batches_and_updates_do_not_matter(run_input):
    siamese, pair, original, maps, threshold, genuine = run_input
    whole = decision_patch_replacement(siamese, pair, original, maps, threshold, genuine)
    metric = DecisionPatchReplacement(siamese, threshold, batch_size=2)
    for rows in (slice(0, 3), slice(3, 7)):
        images = (pair[0][rows], pair[1][rows])
        metric.update(images, original[rows], maps[rows], genuine[rows])
    parts = metric.compute()
    np.testing.assert_allclose(parts.scores, whole.scores, atol=1e-6)
    np.testing.assert_array_equal(parts.genuine, whole.genuine)
    metric.reset()
    with pytest.raises(ValueError, match="call update"):
        metric.compute()


def test_only_changed_images_are_scored_again(run_input):
    siamese, pair, original, maps, threshold, genuine = run_input
    siamese(*pair)  # the first call asks the backbone more often
    seen = []
    siamese.backbone.register_forward_hook(lambda module, args, out: seen.append(len(args[0])))
    decision_patch_replacement(siamese, pair, original, maps, threshold, genuine, batch_size=8)
    # Pair 2 was never perturbed, and in the others every twentieth of the pixels holds some.
    assert seen[0] == 2 * COUNT
    assert sum(seen[1:]) == (COUNT - 1) * STEPS
    assert max(seen[1:]) == 8


def test_maps_may_have_channels_or_serve_all_pairs(run_input):
    siamese, pair, original, maps, threshold, genuine = run_input
    reference = decision_patch_replacement(siamese, pair, original, maps, threshold, genuine)
    channels = torch.cat([maps - 1, maps, maps + 1], 1)
    spread = decision_patch_replacement(siamese, pair, original, channels, threshold, genuine)
    np.testing.assert_allclose(spread.scores, reference.scores, atol=1e-6)
    repeated = maps[:1].expand_as(maps)
    one = decision_patch_replacement(siamese, pair, original, maps[:1], threshold, genuine)
    all_ = decision_patch_replacement(siamese, pair, original, repeated, threshold, genuine)
    np.testing.assert_array_equal(one.scores, all_.scores)


def test_cells_go_back_whole(run_input):
    _, (patched, img_b), original, maps, _, genuine = run_input
    images = []

    def score(img_a, img_b):
        images.append(img_a.clone())
        return torch.ones(len(img_a))

    decision_patch_replacement(
        score, (patched, img_b), original, maps, 0.5, genuine, steps=4, cells=(4, 3)
    )
    cells = torch.nn.functional.avg_pool2d(maps.double(), (5, 6)).flatten(1)
    for k in (0, 5):
        first = set(cells[k].argsort(descending=True, stable=True)[:3].tolist())
        expected = patched[k].clone()
        for cell in first:
            y, x = 5 * (cell // 3), 6 * (cell % 3)
            expected[:, y : y + 5, x : x + 6] = original[k, :, y : y + 5, x : x + 6]
        assert any(torch.equal(image, expected) for batch in images[1:] for image in batch)


def test_equal_cells_go_in_the_fixed_order_whatever_their_size():
    """A value in every pixel is the mean of its cell, of 4 pixels and of 2 and 1 alike."""
    values = torch.full((1, 5, 5), 0.1 + 0.2, dtype=torch.float64)
    values[0, 0, 0] -= 0.01  # in the first cell alone
    found = replacement_steps(values, torch.tensor([True]), 9, (3, 3))[0]
    order = [cell for cell in scattered(range(9)) if cell != 0] + [0]
    for turn, cell in enumerate(order, 1):
        rows = [k for k in range(5) if k * 3 // 5 == cell // 3]
        columns = [k for k in range(5) if k * 3 // 5 == cell % 3]
        assert {int(found[y, x]) for y in rows for x in columns} == {turn}
    assert rank_maps(values, torch.tensor([True]), (3, 3)).tied_share().tolist() == [8 / 9]


def test_ties_know_no_place(run_input):
    """Row by row an all-zero map would favour whoever has the patches above."""
    zeros, match = torch.zeros(2, 40, 40), torch.tensor([True, False])
    steps = replacement_steps(zeros, match, STEPS).double()
    assert torch.equal(steps[0], steps[1])
    for half in (steps[0, :20], steps[0, 20:], steps[0, :, :20], steps[0, :, 20:]):
        assert float(half.mean()) == pytest.approx(10.5, abs=0.5)
    siamese, pair, original, maps, threshold, genuine = run_input
    with pytest.warns(UserWarning, match="7 of 7 maps are constant and say nothing"):
        run = decision_patch_replacement(siamese, pair, original, 0 * maps, threshold, genuine)
    assert run.tied.tolist() == [1] * COUNT


def test_the_share_of_tied_positions_is_told(run_input):
    siamese, pair, original, maps, threshold, genuine = run_input
    maps = maps.clone()
    maps[0] = torch.randn(maps[0].shape, generator=torch.Generator().manual_seed(9))
    run = decision_patch_replacement(siamese, pair, original, maps, threshold, genuine)
    expected = []
    for one in maps.flatten(1).tolist():
        expected.append(sum(one.count(value) > 1 for value in one) / len(one))
    assert expected[0] == 0 < expected[1]
    np.testing.assert_allclose(run.tied, expected)
    np.testing.assert_array_equal(run.on(np.array([0, 1, 3])).tied, run.tied[[0, 1, 3]])


def test_the_better_map_has_the_smaller_area(run_input):
    siamese, pair, original, _, threshold, genuine = run_input
    patched = (pair[0] != original).any(1, keepdim=True).float()
    sign = torch.where(siamese(*pair).detach() >= threshold, 1.0, -1.0)[:, None, None, None]
    found = decision_patch_replacement(siamese, pair, original, sign * patched, threshold, genuine)
    missed = decision_patch_replacement(
        siamese, pair, original, -sign * patched, threshold, genuine
    )
    np.testing.assert_allclose(found.scores[10], found.repaired_scores, atol=1e-6)
    np.testing.assert_allclose(missed.scores[10], missed.scores[0], atol=1e-6)


def random_result(seed, genuine, threshold=0.0):
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(STEPS, len(genuine)))
    return DPRResult(scores, scores[-1], genuine, threshold)


def test_intervals_agree_with_scipy():
    genuine = np.arange(400) % 2 == 0
    result, baseline = random_result(0, genuine), random_result(1, genuine)
    data = (result.pair_auc[genuine], baseline.pair_auc[genuine])
    for ours, statistic in (
        (result.relative_to(baseline, "fnmr"), lambda x, y, axis: x.mean(axis) / y.mean(axis)),
        (result.difference_to(baseline, "fnmr"), lambda x, y, axis: x.mean(axis) - y.mean(axis)),
    ):
        theirs = scipy.stats.bootstrap(
            data, statistic, paired=True, n_resamples=4000, method="percentile", rng=0
        ).confidence_interval
        width = theirs.high - theirs.low
        assert ours.low == pytest.approx(theirs.low, abs=0.1 * width)
        assert ours.high == pytest.approx(theirs.high, abs=0.1 * width)
        assert ours.value == pytest.approx(statistic(*data, axis=0))


def test_a_method_equals_itself_exactly():
    genuine = np.arange(60) % 2 == 0
    result = random_result(0, genuine)
    assert result.relative_to(result) == (1, 1, 1)
    assert result.difference_to(result, "fmr") == (0, 0, 0)
    mean = result.auc_interval("mean")
    assert mean.value == pytest.approx((result.fmr_auc + result.fnmr_auc) / 2)
    assert mean.low < mean.value < mean.high


def few_errors(rng, count, errors, genuine):
    """Scores in which some of the pairs of one class are in error, for a while."""
    scores = np.tile(np.where(genuine, 1.0, -1.0), (STEPS, 1))
    for pair in rng.choice(np.flatnonzero(~genuine), errors, replace=False):
        scores[: rng.integers(1, STEPS), pair] = 1.0
    return DPRResult(scores, np.where(genuine, 1.0, -1.0), genuine, 0.0)


def test_few_errors_are_not_believed_to_be_none():
    """The rule of three: without an error in 40 pairs the rate may be 3 / 40 and more."""
    genuine = np.arange(80) % 2 == 0
    none = few_errors(np.random.default_rng(0), 80, 0, genuine)
    interval = none.auc_interval("fmr")
    assert interval.value == interval.low == 0
    assert interval.high == pytest.approx(19 * 3 / 42, rel=0.05)
    assert none.errors("fmr") == none.errors() == 0
    another = few_errors(np.random.default_rng(1), 80, 0, genuine)
    assert none.difference_to(another, "fmr").low < -0.5 < 0.5 < none.difference_to(another).high
    assert none.difference_to(none, "fmr") == (0, 0, 0)


def test_intervals_of_few_errors_hold_the_truth():
    """In nine of ten draws at least, where the plain bootstrap held it in five."""
    rng, held = np.random.default_rng(0), 0
    genuine = np.arange(80) % 2 == 0
    for _ in range(100):
        run = few_errors(rng, 80, rng.binomial(40, 0.03), genuine)
        truth = (
            0.03 * 9.5
        )  # in error at step 0 to t - 1, t uniform from 1 to 19: t - 1/2 on average
        interval = run.auc_interval("fmr")
        held += interval.low <= truth <= interval.high
    assert held >= 90


def test_a_threshold_from_the_same_pairs_is_estimated_in_each_resample():
    """Against a plain bootstrap that draws pairs of both classes and begins anew with each."""
    rng = np.random.default_rng(0)
    genuine = np.arange(200) % 2 == 0
    repaired = rng.normal(np.where(genuine, 1.0, -1.0))
    scores = repaired + np.where(genuine, -1, 1) * np.linspace(1, 0, STEPS)[:, None]
    threshold = eer_threshold(repaired, genuine)
    known = DPRResult(scores, repaired, genuine, threshold)
    found = DPRResult(scores, repaired, genuine, threshold, threshold_rule=eer_threshold)
    areas = []
    for _ in range(1000):
        drawn = np.concatenate(
            [rng.choice(np.flatnonzero(genuine == kind), 100) for kind in (0, 1)]
        )
        level = eer_threshold(repaired[drawn], genuine[drawn])
        again = DPRResult(scores[:, drawn], repaired[drawn], genuine[drawn], level)
        areas.append([again.fmr_auc, again.fnmr_auc])
    for rate, expected in zip(
        ("fmr", "fnmr"), np.quantile(areas, [0.025, 0.975], axis=0).T, strict=True
    ):
        interval, width = found.auc_interval(rate), np.ptp(expected)
        assert interval.value == known.auc_interval(rate).value
        np.testing.assert_allclose(interval[1:], expected, atol=0.1 * width)
        assert interval != known.auc_interval(rate)
    assert found.relative_to(found) == (1, 1, 1)
    assert found.on(np.arange(50)).threshold_rule is None
    assert found.on(np.arange(200)).threshold_rule is eer_threshold
    DPRResult(scores, repaired, genuine, np.nextafter(threshold, 1), threshold_rule=eer_threshold)
    with pytest.raises(ValueError, match=r"got the threshold 0\.5, and the rule gives"):
        DPRResult(scores, repaired, genuine, 0.5, threshold_rule=eer_threshold)


def test_errors_name_the_fault(run_input):
    siamese, pair, original, maps, threshold, genuine = run_input

    def run(pair=pair, original=original, maps=maps, genuine=genuine, model=siamese, **options):
        return decision_patch_replacement(
            model, pair, original, maps, threshold, genuine, **options
        )

    broken = maps.clone()
    broken[1, 0, 2, 2] = torch.nan
    with pytest.raises(ValueError, match="attributions: hold NaN"):
        run(maps=broken)
    with pytest.raises(ValueError, match=r"want the map of image A, \(7 or 1, 3 or 1, 20, 18\)"):
        run(maps=maps[:, 0])
    with pytest.raises(ValueError, match="want the map of image A"):
        run(maps=maps[:3])
    with pytest.raises(ValueError, match="original_a: got shape"):
        run(original=original[..., 1:])
    with pytest.raises(ValueError, match="img_b: holds NaN"):
        run(pair=(pair[0], pair[1] * torch.nan))
    with pytest.raises(ValueError, match="7 pairs"):
        run(genuine=genuine[:5])
    with pytest.raises(ValueError, match="7 genuine and 0 impostor"):
        run(genuine=torch.ones(7, dtype=torch.bool))
    with pytest.raises(ValueError, match="NaN or infinite"):
        run(model=lambda a, b: a.sum((1, 2, 3)) * torch.nan)
    with pytest.raises(ValueError, match="steps"):
        run(steps=0)
    with pytest.raises(ValueError, match="cells"):
        run(cells=(30, 30))
    with pytest.raises(ValueError, match="finite"):
        DecisionPatchReplacement(siamese, float("nan"))
    other = random_result(0, np.array([True, False]))
    with pytest.raises(ValueError, match="same pairs"):
        run().relative_to(other)
    perfect = DPRResult(np.array([[1.0, -1.0]] * 20), np.array([1.0, -1.0]), other.genuine, 0.0)
    with pytest.raises(ValueError, match="makes no errors"):
        other.relative_to(perfect)
    with pytest.raises(ValueError, match="rate"):
        other.auc_interval("eer")
    with pytest.raises(ValueError, match="confidence"):
        other.auc_interval(confidence=95)


def test_movement_is_how_far_scores_go_to_the_right_side():
    """Two genuine pairs rise, one impostor pair falls; by hand, trapezoids over four steps."""
    scores = np.array([[0.0, 0.1, 0.8], [0.4, 0.1, 0.6], [0.4, 0.3, 0.2]])
    run = DPRResult(scores, np.array([0.8, 0.5, 0.2]), np.array([True, True, False]), 0.5)
    expected = [
        (0.4 / 2 + 0.4 + 0.6) / 3,
        (0 + 0.1 + 0.3) / 3,
        (0.2 / 2 + 0.4 + 0.6) / 3,
    ]
    np.testing.assert_allclose(run.pair_movement, expected)
    assert run.movement().value == pytest.approx(np.mean(expected))
    assert run.movement(run) == (0, 0, 0)
    assert run.misled.tolist() == [True, True, True]
    with pytest.raises(ValueError, match="not over the same pairs"):
        run.movement(DPRResult(scores, scores[2], np.array([True, False, True]), 0.5))
