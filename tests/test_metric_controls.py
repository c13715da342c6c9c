"""Which controls a method is said to beat."""

import numpy as np
import pytest

from captum_fv.metrics import DPRResult, unbeaten_controls

GENUINE = np.arange(200) % 2 == 0


def run_with(impostor_errors, genuine_errors, seed):
    """A run whose pairs are each wrong for about so many of 20 steps."""
    rng = np.random.default_rng(seed)
    errors = np.where(GENUINE, genuine_errors, impostor_errors) + rng.normal(size=len(GENUINE))
    wrong = np.arange(20)[:, None] < errors
    scores = np.where(wrong != GENUINE, 1.0, -1.0)
    return DPRResult(scores, scores[-1], GENUINE, 0.0)


RUNS = {
    "mine": run_with(5, 8, 0),
    "rnd": run_with(12, 12, 1),
    "centre": run_with(9, 4, 2),
    "difference": run_with(5, 8, 3),
    "other": run_with(1, 1, 4),
}


@pytest.mark.parametrize(
    ("name", "rate", "expected"),
    [
        ("mine", "fmr", ["difference"]),
        ("mine", "fnmr", ["centre", "difference"]),
        ("mine", "mean", ["centre", "difference"]),
        ("other", "mean", []),
        ("rnd", "mean", ["centre", "difference"]),
        ("centre", "fnmr", []),
    ],
)
def test_a_control_is_beaten_if_the_interval_is_clear_of_zero(name, rate, expected):
    assert unbeaten_controls(name, RUNS, rate) == expected


def test_nobody_beats_an_equal():
    assert unbeaten_controls("mine", {"mine": RUNS["mine"], "rnd": RUNS["mine"]}) == ["rnd"]


def test_errors_name_the_fault():
    with pytest.raises(ValueError, match="name: got 'yours'; want one of the runs, mine, rnd"):
        unbeaten_controls("yours", RUNS)
    half = DPRResult(RUNS["rnd"].scores[:, :9], RUNS["rnd"].repaired_scores[:9], GENUINE[:9], 0.0)
    with pytest.raises(ValueError, match="same pairs"):
        unbeaten_controls("mine", {"mine": RUNS["mine"], "rnd": half})
