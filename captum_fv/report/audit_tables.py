"""Tables of what DPR cannot show: deletion and insertion, ours and Lu's, and the sanity suite."""

from __future__ import annotations

from typing import get_args

import numpy as np

from captum_fv.benchmark.results import BenchmarkResults
from captum_fv.metrics.deletion_result import AREA_TITLES, Population
from captum_fv.metrics.lu import LuFigures
from captum_fv.metrics.sanity import SanityResult
from captum_fv.report.text_table import Cell, Rounded, TextTable, Verdict


def deletion_table(results: BenchmarkResults) -> TextTable:
    """Areas under the mean cosine, on genuine and on impostor pairs without patches.

    They are those of each method minus those of rnd, or, if rnd was not measured, of each alone.
    """
    with_chance = all("rnd" in model.methods for model in results.models.values())
    minus = ", minus that of rnd in all rows but its own" if with_chance else ""
    rows: list[list[Cell]] = []
    for model, name, result in results.each_method():
        if (audit := result.audit) is None:
            continue
        rnd = results.models[model].methods.get("rnd")
        chance = rnd.audit if rnd else None
        row: list[Cell] = [model, name, str(audit.pairs)]
        for population, curve in AREA_TITLES:
            run = audit.curves.get(population)
            if run is None:
                row.append("-")
            elif name == "rnd" or chance is None:
                row.append(run.auc(curve))
            else:
                row.append(run.difference_to(chance.curves[population], curve))
        rows.append(row)
    return TextTable(
        "deletion",
        "Deletion and insertion on pairs without patches: what a map of A names is blurred, or "
        f"alone is not. Area under the mean cosine{minus}.",
        ["model", "method", "pairs", *AREA_TITLES.values()],
        rows,
        [
            "On genuine pairs the most similar places go first, on impostor pairs the most "
            "dissimilar. What beats chance need not beat the controls."
        ],
        list(AREA_TITLES.values()),
    )


def lu_table(results: BenchmarkResults) -> TextTable:
    """The figures of Lu et al., one row for each model, method and fill; populations by name."""
    rows: list[list[Cell]] = []
    for model, name, result in results.each_method():
        if result.audit is None:
            continue
        for fill, runs in result.audit.lu.items():
            row: list[Cell] = [model, name, fill, str(result.audit.pairs)]
            for population in get_args(Population):
                row += LuFigures.of(runs[population]) if population in runs else ("-", "-")
            rows.append(row)
    populations = ("acceptances, genuine", "rejections, impostor", "accuracy, all")
    titles = [f"{name}: {curve}" for name in populations for curve in LuFigures._fields]
    return TextTable(
        "lu",
        "Deletion (low is good) and insertion (high is good) of Lu et al. on pairs without "
        "patches: areas under the share of right decisions, in per cent, as a tenth of image A at "
        "a time shows the fill in place of what the map names, or alone does not.",
        ["model", "method", "fill", "pairs", *titles],
        rows,
        [
            "Similarity maps on genuine pairs, dissimilarity maps (the lowest values first) on "
            "impostor pairs. Over all pairs the most similar places go first: an emptied image "
            "matches nobody, so deletion tends to the share of impostor pairs, and not to 0. A "
            "published figure is to be compared only once its population is known, and with the "
            "controls beside it."
        ],
        titles,
    )


def sanity_table(results: BenchmarkResults) -> TextTable:
    """Random weights, swap, identity, and the patches found above what patch-free images give."""
    rows: list[list[Cell]] = []
    for model, name, result in results.each_method():
        if result.audit is None or (sanity := result.audit.sanity) is None:
            continue
        rows.append(
            [
                *(model, name, str(len(sanity.swap_error))),
                Rounded.of(np.abs(sanity.randomised_signed).mean(), ".2f"),
                Rounded.of(np.abs(sanity.randomised_absolute).mean(), ".2f"),
                Rounded.of(sanity.swap_error.max(), ".1g"),
                Rounded.of(sanity.identity_error.max(), ".1g"),
                sanity.localisation_gain,
                _verdict(sanity),
            ]
        )
    return TextTable(
        "sanity",
        "Sanity: rank correlation of the maps with those of random weights (want below 0.3), how "
        "far swapping A and B or explaining (A, A) breaks the symmetry (want 0), and the patches' "
        "AUROC above that of the same places without patches.",
        [
            *("model", "method", "pairs", "random weights", "the same, absolute"),
            *("swap error", "identity error", "patch gain", "fails"),
        ],
        rows,
        with_interval=["patch gain"],
    )


def _verdict(sanity: SanityResult) -> Verdict:
    # The figures in brackets stand in the columns before.
    faults = [fault.partition(" (")[0] for fault in sanity.failures()]
    return Verdict("; ".join(faults), "bad") if faults else Verdict("nothing", "good")
