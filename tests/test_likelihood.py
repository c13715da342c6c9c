"""Likelihood ratios against lir, scikit-learn, loops and closed forms; files, words and limits."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from captum_fv.metrics import Calibration, cllr, cllr_min, error_rates, xface_confidence
from captum_fv.metrics.bootstrap import person_draws
from captum_fv.metrics.cost import pav_posteriors
from captum_fv.metrics.logistic import fit_line
from captum_fv.metrics.rates import fmr_rules
from captum_fv.report import plot_calibration


def some_scores(genuine=80, impostor=120, apart=2.0, seed=0, digits=2):
    """Scores with ties, and which are genuine, in mixed order."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(genuine + impostor) < genuine)
    scores = rng.standard_normal(len(labels)) * 0.1 + 0.1 * apart * labels
    return np.round(scores, digits), labels


SCORES, GENUINE = some_scores()
PEOPLE = [
    f"p{k % 25}" if side == 0 or same else f"q{k % 25}"
    for k, same in enumerate(GENUINE)
    for side in (0, 1)
]


def test_cllr_by_a_loop():
    rng = np.random.default_rng(1)
    ratios = rng.normal(0, 2, len(GENUINE))
    bits = {True: [], False: []}
    for ratio, same in zip(10**ratios, GENUINE, strict=True):
        bits[bool(same)].append(np.log2(1 + 1 / ratio) if same else np.log2(1 + ratio))
    assert cllr(ratios, GENUINE) == pytest.approx((np.mean(bits[True]) + np.mean(bits[False])) / 2)
    assert cllr(np.zeros(4), [1, 1, 0, 1]) == 1
    assert np.isfinite(cllr([-400.0, 400.0], [True, False]))  # beyond what a float's exponent holds


def pooled(scores, labels):
    """Posteriors by pooling adjacent violators, one block after the other."""
    blocks = []
    for level in sorted(set(scores)):
        at = scores == level
        blocks.append(
            [(at & labels).sum() / labels.sum(), (at & ~labels).sum() / (~labels).sum(), 1]
        )
        while len(blocks) > 1 and share(blocks[-2]) >= share(blocks[-1]):
            last = blocks.pop()
            blocks[-1] = [a + b for a, b in zip(blocks[-1], last, strict=True)]
    return np.concatenate([[share(block)] * block[2] for block in blocks])


def share(block):
    return block[0] / (block[0] + block[1])


def test_the_least_cllr_by_pooling_adjacent_violators():
    levels, posteriors = pav_posteriors(SCORES, GENUINE)
    expected = pooled(SCORES, GENUINE)
    np.testing.assert_array_equal(levels, np.unique(SCORES))
    np.testing.assert_allclose(posteriors, expected, atol=1e-12)
    at = dict(zip(levels, expected, strict=True))
    own = np.mean([-np.log2(at[score]) for score in SCORES[GENUINE]])
    impostor = np.mean([-np.log2(1 - at[score]) for score in SCORES[~GENUINE]])
    assert cllr_min(SCORES, GENUINE) == pytest.approx((own + impostor) / 2)
    assert cllr_min(SCORES, GENUINE) <= cllr(fit_line(SCORES, GENUINE).at(SCORES), GENUINE)
    assert cllr_min([0.1, 0.2], [False, True]) == 0
    assert cllr_min([0.2, 0.1], [False, True]) == 1


def test_costs_are_those_of_lir():
    """Of the Netherlands Forensic Institute: lir 1.3.1, `lir.metrics.cllr` and `cllr_min`."""
    ratios = [-2.1, -1.4, -0.9, -0.3, 0.2, 0.2, 0.7, -0.6, 0.2, 0.8, 1.1, 1.9, 2.4, 3.0]
    genuine = [False] * 7 + [True] * 7
    # of LLRData(features=np.array(ratios)[:, None], labels=np.array(genuine, int))
    assert cllr(ratios, genuine) == pytest.approx(0.6802034805236483)
    assert cllr_min(ratios, genuine) == pytest.approx(0.3935553574519241)


def as_posteriors(scores, genuine, counts):
    """Every pair under both labels, weighing as its target says; both classes weigh alike."""
    rows, labels, weights = [], [], []
    for score, same, count in zip(scores, genuine, counts, strict=True):
        total = counts[genuine == same].sum()
        for label in (True, False):
            rows.append([score])
            labels.append(label)
            target = (total + 1) / (total + 2) if label == same else 1 / (total + 2)
            weights.append(count / total * target)
    return np.array(rows), np.array(labels), np.array(weights)


@pytest.mark.parametrize("apart", [0.5, 2.0, 8.0])  # the last is separable
def test_the_line_is_that_of_scikit_learn(apart):
    linear = pytest.importorskip("sklearn.linear_model")
    scores, genuine = some_scores(apart=apart)
    counts = np.random.default_rng(3).integers(0, 4, len(scores)).astype(float)
    for counted in (np.ones(len(scores)), counts):
        rows, labels, weights = as_posteriors(scores, genuine, counted)
        model = linear.LogisticRegression(C=np.inf, tol=1e-12, max_iter=10_000)
        model.fit(rows, labels, weights)
        line = fit_line(scores, genuine, counted)
        assert line.slope == pytest.approx(model.coef_[0, 0] / np.log(10), rel=1e-3)
        assert line.intercept == pytest.approx(model.intercept_[0] / np.log(10), rel=1e-3, abs=1e-3)


def test_the_line_where_a_formula_gives_it():
    """Of two scores alone, the ratio of each is that of the targets' shares there."""
    scores, genuine = np.repeat([0.2, 0.6], [5, 7]), np.array([0, 0, 0, 0, 1] + [1] * 5 + [0] * 2)
    genuine = genuine.astype(bool)
    target = {True: 7 / 8, False: 7 / 8}  # six pairs of each class
    for level in (0.2, 0.6):
        at = scores == level
        own, other = (at & genuine).sum() / 6, (at & ~genuine).sum() / 6
        same = own * target[True] + other * (1 - target[False])
        different = other * target[False] + own * (1 - target[True])
        line = fit_line(scores, genuine)
        assert line.at(np.array(level)) == pytest.approx(np.log10(same / different))


def test_scores_of_any_scale_have_the_same_ratios():
    line = fit_line(SCORES, GENUINE)
    for scale, shift in ((1e6, -3e6), (1e-6, 5.0)):
        other = fit_line(scale * SCORES + shift, GENUINE)
        np.testing.assert_allclose(
            other.at(scale * SCORES + shift), line.at(SCORES), atol=1e-5, rtol=1e-5
        )


def test_people_are_drawn_and_not_pairs():
    """A genuine pair counts as its person, an impostor pair as the product of both."""
    people = ["a", "a", "b", "b", "a", "b", "c", "a", "c", "c", "b", "b"]
    draws = list(person_draws(people, 6, 300, seed=1))
    for a, b, a_with_b, c_with_a, c, b_again in draws:
        assert a_with_b == a * b
        assert c_with_a == c * a
        assert b_again == b
        assert a + b + c == 3  # as many as there are people
    assert np.mean(draws, axis=0)[0] == pytest.approx(1, abs=0.15)
    unknown = list(person_draws(None, 6, 5))
    assert [counts.sum() for counts in unknown] == [6] * 5


@pytest.fixture(scope="module")
def calibration():
    return Calibration.fit(
        SCORES, GENUINE, PEOPLE, fmr=0.05, data="photos", model="net", model_hash="12ab"
    )


def test_a_calibration_holds_what_was_measured(calibration):
    line = fit_line(SCORES, GENUINE)
    assert calibration.line == line
    bounded = np.clip(line.at(SCORES), -np.log10(80), np.log10(120))
    np.testing.assert_array_equal(calibration.log10_lrs(SCORES), bounded)
    assert calibration.cllr == cllr(bounded, GENUINE)
    assert calibration.cllr_min == cllr_min(SCORES, GENUINE)
    assert (calibration.genuine, calibration.impostor) == (80, 120)
    assert calibration.people == len(set(PEOPLE))
    rates = error_rates(SCORES, GENUINE, calibration.threshold)
    assert rates.fmr == calibration.false_matches / 120 <= 0.05
    assert rates.fnmr == calibration.false_non_matches / 80
    said = str(calibration)
    for words in ("net on photos (80 genuine and 120 impostor pairs", "rule of 3:", "rule of 30:"):
        assert words in said


def test_the_interval_is_over_people(calibration):
    found = calibration.evidence(0.15)
    drawn = [
        fit_line(SCORES, GENUINE, counts).at(np.array(0.15))
        for counts in person_draws(PEOPLE, len(SCORES), 200)
    ]
    expected = np.quantile(np.clip(drawn, *calibration.limits), [0.025, 0.975])
    np.testing.assert_allclose(found.interval, expected)
    assert found.interval[0] < found.log10_lr < found.interval[1]


@pytest.mark.parametrize(
    ("score", "words"),
    [
        (
            9.0,
            [
                "at least 120 times more probable if the photos show one person than if they",
            ],
        ),
        (-9.0, ["at least 80 times more probable if the photos show two people than", "the most"]),
        (0.15, ["about ", "(95 % interval over people: "]),
    ],
)
def test_ratios_are_said_with_their_data_and_no_percentage(calibration, score, words):
    found = calibration.evidence(score)
    for part in (*words, "among photos like those of photos (80 genuine and 120 impostor pairs"):
        assert part in found.sentence
    assert re.findall(r"\d+ %", found.sentence) in ([], ["95 %"])
    assert found.capped == (abs(score) == 9.0)


def test_a_ratio_for_two_people_is_said_upside_down():
    calibration = Calibration.fit(SCORES, GENUINE, resamples=50)
    found = calibration.evidence(0.0)
    assert found.log10_lr < 0
    times, low, high = re.search(
        r"about ([\d.]+) times.*two people than if they show one person "
        r"\(95 % interval over pairs: ([\d.]+) to ([\d.]+)\)",
        found.sentence,
    ).groups()
    assert float(times) == pytest.approx(10**-found.log10_lr, rel=0.06)
    assert float(low) == pytest.approx(10 ** -found.interval[1], rel=0.06)
    assert float(high) == pytest.approx(10 ** -found.interval[0], rel=0.06)


def test_separable_scores_have_ratios_that_the_pairs_can_carry():
    scores = np.r_[np.linspace(0, 0.2, 30), np.linspace(0.6, 0.9, 40)]
    calibration = Calibration.fit(scores, scores > 0.4)
    assert calibration.cllr_min == 0
    assert 0 < calibration.cllr < 0.1
    assert calibration.evidence(0.9).log10_lr <= np.log10(30)
    assert calibration.evidence(0.0).log10_lr >= -np.log10(40)
    assert abs(calibration.evidence(0.4).log10_lr) < 0.5  # in the gap nobody knows


def test_fewer_pairs_give_weaker_ratios():
    few, many = np.array([0.1, 0.2, 0.8, 0.9]), np.repeat([0.1, 0.2, 0.8, 0.9], 50)
    lines = [fit_line(scores, scores > 0.5) for scores in (few, many)]
    assert 0 < lines[0].slope < lines[1].slope


def test_a_file_is_read_as_it_was_written(calibration, tmp_path):
    path = tmp_path / "calibration.json"
    calibration.save(path)
    assert Calibration.load(path) == calibration
    again = Calibration.load(path)
    assert again.evidence(0.1) == calibration.evidence(0.1)
    assert json.loads(path.read_text())["threshold"] == calibration.threshold


@pytest.mark.parametrize(
    "change",
    [
        {"format": "captum_fv calibration 99"},
        {"format": None},
        {"line": [0.1]},
        {"line": [0.1, -2.0]},
        {"line": [0.1, float("nan")]},
        {"line": "ab"},
        {"draws": []},
        {"draws": [[1.0, 2.0], [1.0]]},
        {"draws": {"a": 1}},
        {"draws": [["1", "2"], ["1", "2"]]},
        {"fmr": 7.0},
        {"genuine": 0},
        {"impostor": 2.5},
        {"people": -1},
        {"threshold": "high"},
        {"threshold": float("inf")},
        {"false_matches": -3},
        {"model": 7},
        {"surplus": 1},
    ],
)
def test_damaged_files_are_refused(calibration, tmp_path, change):
    path = tmp_path / "calibration.json"
    calibration.save(path)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ValueError, match=r"calibration.json: is no calibration .*captum-fv calib"):
        Calibration.load(path)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"[]", b"7", b"{}", b"[" * 100_000])
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "other.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="is no calibration"):
        Calibration.load(path)
    with pytest.raises(FileNotFoundError):
        Calibration.load(tmp_path / "none.json")


def test_another_model_is_refused(calibration):
    calibration.check_model("12ab")
    with pytest.raises(ValueError, match=r"set for net \(12ab\), and the model is another one"):
        calibration.check_model("34cd")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"genuine": np.ones(200, bool)}, "200 genuine and 0 impostor pairs; want both"),
        ({"scores": np.full(200, 0.5)}, "all 200 are 0.5; want scores that differ"),
        ({"scores": -SCORES}, "if these are distances, write -scores"),
        ({"scores": np.r_[np.nan, SCORES[1:]]}, "finite numbers"),
        ({"scores": SCORES[:-1]}, "200"),
        ({"persons": PEOPLE[:-1]}, "got 399 names for 200 pairs; want two for each"),
        ({"persons": ["a"] * 400}, "of 120 pairs the names say otherwise"),
        ({"fmr": 0}, "fmr: got 0; want a share above 0"),
        ({"resamples": 0}, "resamples: got 0"),
    ],
)
def test_bad_pairs_are_named(change, says):
    arguments = {"scores": SCORES, "genuine": GENUINE, "persons": PEOPLE} | change
    with pytest.raises(ValueError, match=says):
        Calibration.fit(**arguments)


def test_pairs_too_few_to_draw_from_are_named():
    with pytest.raises(ValueError, match=r"pairs: .* draws of them leave .*; want more pairs"):
        Calibration.fit([0.1, 0.5], [False, True])


def test_people_too_few_to_draw_from_are_named():
    """All genuine pairs of one person: every third draw or so is without."""
    with pytest.raises(ValueError, match="want more people"):
        Calibration.fit([0.9, 0.1], [True, False], ["a", "a", "b", "c"])


def test_bad_scores_are_named(calibration):
    for score, error in (("high", TypeError), (float("nan"), ValueError), ([1, 2], TypeError)):
        with pytest.raises(error, match="score: got"):
            calibration.evidence(score)


def test_the_rules_of_3_and_of_30():
    three, thirty = fmr_rules(30_000, 0.001)
    assert "below 0.0001" in three
    assert "not" not in three
    assert "0.001 and above to 30 %; 0.001 takes 30,000" in thirty
    three, thirty = fmr_rules(3, 0.01)
    assert three.endswith("would show nothing of the FMR")
    assert thirty.endswith("they measure no FMR to 30 %; 0.01 takes 3,000 of them")


def test_xface_finds_the_curve_that_it_fits():
    """Shares of genuine pairs in the bins along a known curve."""
    middles = (np.arange(2000) + 0.5) / 1000
    shares = 1 / (1 + np.exp(30 * (middles - 0.8)))
    own = np.round(shares * 200).astype(int)
    distances = np.concatenate([np.repeat(middles, own), np.repeat(middles, 200 - own)])
    labels = np.arange(len(distances)) < own.sum()
    confidence = xface_confidence(1 - distances, labels)
    assert confidence.steepness == pytest.approx(-30, rel=0.01)
    assert confidence.centre == pytest.approx(0.8, abs=1e-3)
    assert confidence.genuine_share(0.2) == pytest.approx(0.5, abs=0.01)
    assert confidence(0.1) == pytest.approx(1 / (1 + np.exp(-3)), abs=0.01)
    assert confidence(0.1) == 1 - confidence.genuine_share(0.1)


def test_xface_takes_cosines():
    with pytest.raises(ValueError, match=r"want cosines in \[-1, 1\]"):
        xface_confidence([3.0, 0.1], [True, False])
    with pytest.raises(ValueError, match="want both"):
        xface_confidence([0.3, 0.1], [True, True])


def test_the_picture_says_what_the_file_holds(calibration, tmp_path):
    figure = plot_calibration(calibration, SCORES, GENUINE)
    figure.savefig(tmp_path / "calibration.png")
    titles = [axis.get_title() for axis in figure.axes]
    assert titles[:4] == [
        "Scores",
        f"Reliability: Cllr {calibration.cllr:.3f}, at best {calibration.cllr_min:.3f}",
        "Tippett plot",
        "DET",
    ]
    shown = figure.axes[2].lines[0].get_xdata()
    np.testing.assert_allclose(shown, np.sort(calibration.log10_lrs(SCORES[GENUINE])))
    above = figure.axes[2].lines[0].get_ydata()
    for ratio, part in zip(shown[::17], above[::17], strict=True):
        assert (calibration.log10_lrs(SCORES[GENUINE]) >= ratio).mean() >= part - 1e-12
