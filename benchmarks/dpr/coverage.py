"""How often the 95 % intervals of DPR hold the true area, by simulation; prints two tables.

    python benchmarks/dpr/coverage.py

Pairs are drawn from a population whose area is known: cosines of genuine pairs about 1 and of
impostor pairs about -1, of which a share is perturbed and comes back at a step of its own. Those of
the first table come to lie as far beyond the threshold as the others lie before it; those of the
second lie about it, where it decides most. `plain` is the bootstrap over pairs alone. What is
printed draws from two pairs more where errors are few, and estimates an EER threshold of the very
pairs anew in each resample; `as known` does only the former. Some minutes on one core.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np

from captum_fv.metrics import DPRResult, eer_threshold
from captum_fv.metrics.bootstrap import mean_interval

STEPS = 20

SHARES = ((0.01, 0.2), (0.05, 0.2), (0.2, 0.2), (0.2, 0.6), (0.5, 0.6))

CASES: dict[float, list[tuple[int, float, float]]] = {
    2.0: [(count, *share) for count in (25, 50, 150, 500) for share in SHARES],
    1.0: [(50, 0.9, 0.6), (150, 0.9, 0.6), (500, 0.9, 0.6), (150, 0.5, 0.6), (150, 0.9, 1.0)],
}
"""How far perturbed cosines are shifted -> pairs of a class, share of them perturbed, spread."""


def draw(
    rng: np.random.Generator, count: int, share: float, spread: float, shift: float
) -> DPRResult:
    """A run over `count` pairs of each class, at the threshold of the population, 0."""
    genuine = np.repeat([True, False], count)
    sign = np.where(genuine, 1, -1)
    clean = sign + spread * rng.normal(size=2 * count)
    back_at = np.where(rng.random(2 * count) < share, rng.integers(1, STEPS, 2 * count), 0)
    scores = np.where(np.arange(STEPS)[:, None] < back_at, clean - shift * sign, clean)
    return DPRResult(scores, clean, genuine, 0.0)


def coverage(
    rng: np.random.Generator, trials: int, count: int, share: float, spread: float, shift: float
) -> list[str]:
    """One row: the shares of intervals of the FMR area that hold the truth."""
    whole = draw(rng, 200_000, share, spread, shift)
    truth = whole.fmr_auc
    held = np.zeros(5)
    for _ in range(trials):
        run = draw(rng, count, share, spread, shift)
        level = eer_threshold(run.repaired_scores, run.genuine)
        from_pairs = DPRResult(run.scores, run.repaired_scores, run.genuine, level)
        intervals = [
            mean_interval(run.pair_auc[~run.genuine]),
            run.auc_interval("fmr"),
            mean_interval(from_pairs.pair_auc[~run.genuine]),
            from_pairs.auc_interval("fmr"),
            replace(from_pairs, threshold_rule=eer_threshold).auc_interval("fmr"),
        ]
        held += [interval.low <= truth <= interval.high for interval in intervals]
    drawn = [str(count), f"{share:g}", f"{spread:g}", f"{truth:.2f}"]
    return drawn + [f"{part:.2f}" for part in held / trials]


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=100)
    trials = parser.parse_args().trials
    for shift, cases in CASES.items():
        rng = np.random.default_rng(0)
        print(
            "| pairs of a class | perturbed | spread | true area | plain | as printed "
            "| EER threshold: plain | as known | as printed |"
        )
        print("|" + "---|" * 9)
        for case in cases:
            print("| " + " | ".join(coverage(rng, trials, *case, shift)) + " |", flush=True)
        print()


if __name__ == "__main__":
    main()
