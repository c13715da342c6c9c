"""Error rates against counting, and the threshold against trying every score."""

import numpy as np
import pytest
import torch

from captum_fv.metrics import det_curve, eer_threshold, equal_error_rate, error_rates, fmr, fnmr


def counted(scores, genuine, threshold):
    false_matches = sum(s >= threshold for s, g in zip(scores, genuine, strict=True) if not g)
    false_non_matches = sum(s < threshold for s, g in zip(scores, genuine, strict=True) if g)
    return false_matches / sum(~genuine), false_non_matches / sum(genuine)


@pytest.fixture(params=range(20))
def data(request):
    rng = np.random.default_rng(request.param)
    genuine = np.append(rng.random(59) < 0.4, [True, False])[:60]
    genuine[:2] = [True, False]
    # Rounded, so that scores are often equal.
    return (rng.normal(size=60) + genuine).round(1), genuine


def test_rates_are_counts(data):
    scores, genuine = data
    for threshold in [-9.0, *scores, 9.0]:
        expected = counted(scores, genuine, threshold)
        assert error_rates(scores, genuine, threshold) == pytest.approx(expected)
        assert fmr(torch.tensor(scores), torch.tensor(genuine), threshold) == expected[0]
        assert fnmr(list(scores), list(genuine), threshold) == expected[1]


def test_eer_threshold_is_the_lowest_of_the_best_scores(data):
    scores, genuine = data
    impostors, mates = sum(~genuine), sum(genuine)

    def gap(threshold):
        far, frr = counted(scores, genuine, threshold)
        return abs(round(far * impostors) * mates - round(frr * mates) * impostors)

    best = min(sorted(set(scores)), key=gap)
    assert eer_threshold(scores, genuine) == best
    assert equal_error_rate(scores, genuine) == pytest.approx(
        np.mean(counted(scores, genuine, best))
    )


def test_det_curve_has_a_point_for_every_score(data):
    scores, genuine = data
    curve = det_curve(scores, genuine)
    np.testing.assert_array_equal(curve.thresholds, np.unique(scores))
    for point in zip(*curve, strict=True):
        assert point[1:] == pytest.approx(counted(scores, genuine, point[0]))
    assert curve.fmr[0] == 1
    assert curve.fnmr[0] == 0


def test_perfectly_separated_scores():
    assert eer_threshold([0.1, 0.2, 0.8, 0.9], [0, 0, 1, 1]) == 0.5
    assert equal_error_rate([0.1, 0.2, 0.8, 0.9], [0, 0, 1, 1]) == 0


@pytest.mark.parametrize(
    ("scores", "genuine", "says"),
    [
        ([0.1, np.nan], [True, False], "finite"),
        ([[0.1, 0.2]], [True, False], r"\(1, 2\)"),
        ([0.1, 0.2], [True], "2 pairs"),
        ([0.1, 0.2], [0.5, 1], "True and False"),
        ([0.1, 0.2], [True, True], "2 genuine and 0 impostor"),
    ],
)
def test_bad_input_is_named(scores, genuine, says):
    with pytest.raises(ValueError, match=says):
        eer_threshold(scores, genuine)


def test_separable_classes_meet_in_the_middle_of_the_gap():
    """The lowest genuine score as threshold would fail the next genuine pair by chance."""
    rng = np.random.default_rng(0)
    for gap in (1.0, 1e-3):
        impostor, genuine = -rng.random(12), gap + rng.random(9)
        scores, labels = np.concatenate([impostor, genuine]), np.arange(21) >= 12
        threshold = eer_threshold(scores, labels)
        assert threshold == pytest.approx((impostor.max() + genuine.min()) / 2)
        assert equal_error_rate(scores, labels) == 0
    low = 0.3
    high = np.nextafter(low, 1)
    assert eer_threshold([low, high], [False, True]) == high  # nothing lies between
    assert eer_threshold([low, low], [False, True]) == low
    assert eer_threshold([-1.5e308, 1.5e308], [False, True]) == 0
