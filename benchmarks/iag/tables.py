"""What else maps must show: places, signs, sanity, other patches, deletion."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from iag.bars import RATES, bars_table, before, dpr_table, gap
from iag.costs import cost_table
from iag.stress import feathered, inexact, outer_ring, quarter_block
from iag.study import BUILD, Study
from shared.cells import mean_text, ratio, text
from shared.two_faced import two_faced_pairs

from captum_fv.metrics import (
    DPRResult,
    deal_to_others,
    deletion_insertion,
    model_randomisation,
    patch_localisation,
    patch_polarity,
    sensitivity_strata,
)
from captum_fv.metrics.deletion_result import AREA_TITLES
from captum_fv.report.text_table import Cell, TextTable


def corrected_table(study: Study) -> TextTable:
    """DPR that knowing where the model looks in any face does not help."""
    strata = sensitivity_strata(study.siamese, (study.batch.patched_a, study.batch.img_b))
    runs = {name: study.replace(study.maps(name), strata) for name in study.names}
    others = deal_to_others(study.match)
    rows: list[list[Cell]] = []
    for name, run in runs.items():
        row: list[Cell] = [name]
        row += [ratio(run, runs["rnd"], rate) for rate in ("fmr", "fnmr", "mean")]
        row += [gap(run, runs.get(before(name)), rate) for rate in RATES]
        dealt = study.replace(study.maps(name)[others])
        rows.append([*row, ratio(study.run(name), dealt)])
    header = ["method", "FMR / RND", "FNMR / RND", "mean / RND", "FMR - before", "FNMR - before"]
    header += ["own / other pair's map"]
    return TextTable("corrected", "DPR within 64 strata of equal mean sensitivity.", header, rows)


def stress_table(study: Study) -> TextTable:
    """The mean of both errors relative to chance on other patches."""
    sets = {
        "feathered patches": study.on(feathered(study.batch)),
        "patches in the outer ring": study.on(outer_ring(study.batch)),
        "a quarter block": study.on(quarter_block(study.pairs, study.batch)),
        "inexact patches": study.on(inexact(study.batch)),
    }
    rows: list[list[Cell]] = []
    for name in study.names:
        row: list[Cell] = [name]
        for other in sets.values():
            run, chance = other.run(name), other.run("rnd")
            row += [_mean_or_fnmr(run, chance), text(run.movement(chance))]
        rows.append(row)
    header = ["method"]
    for kind in sets:
        header += [kind, f"{kind}: movement above RND's"]
    caption = "DPR AUC over RND's, mean (low is good); how far scores move above RND's (high is)."
    return TextTable("stress", caption, header, rows)


def _mean_or_fnmr(run: DPRResult, chance: DPRResult) -> Cell:
    """The mean of both ratios, or that of the FNMR where hardly an impostor pair matches."""
    mean = ratio(run, chance)
    return f"FNMR {ratio(run, chance, 'fnmr')}" if mean == "-" else mean


def localisation_table(study: Study) -> TextTable:
    """Do maps of the patched images find the patches, better than maps of the same without?"""
    batch = study.batch
    clean = study.scores(batch.original_a, batch.img_b) >= study.threshold
    rows: list[list[Cell]] = []
    for name in study.names:
        auroc, precision = patch_localisation(study.maps(name), batch.mask, study.match)
        maps = study.explain(name, batch.original_a, batch.img_b, study.reference)
        free, _ = patch_localisation(maps, batch.mask, clean)
        row: list[Cell] = [name, *map(mean_text, (auroc, precision, free, auroc - free))]
        misled = study.match.numpy() != batch.genuine
        row += [mean_text(auroc[misled & kind]) for kind in (~batch.genuine, batch.genuine)]
        rows.append(row)
    header = ["method", "AUROC", "average precision", "AUROC, no patches there", "gain"]
    header += ["AUROC on false matches", "on false non-matches"]
    share = f"{batch.mask.double().mean():.2f}"
    return TextTable("localisation", f"By chance 0.5 and {share}.", header, rows)


def polarity_table(study: Study) -> TextTable:
    """Do patches of B's person rank above patches of a stranger in the same image?"""
    pairs = two_faced_pairs(study.faces, len(study.batch))
    rows: list[list[Cell]] = []
    for name in study.names:
        maps = study.explain(name, pairs.img_a, pairs.img_b)
        rows.append([name, mean_text(patch_polarity(maps, pairs.similar, pairs.dissimilar))])
    caption = f"Two kinds of patches in {len(pairs.img_a)} genuine pairs; 0.5 is chance."
    return TextTable("polarity", caption, ["method", "AUROC"], rows)


def deletion_table(study: Study) -> TextTable:
    """Deletion and insertion on pairs without patches, minus those of chance."""
    batch = study.batch
    runs = {}
    for name in study.names:
        maps = study.explain(name, batch.original_a, batch.img_b, study.reference)
        for population in ("genuine", "impostor"):
            runs[name, population] = deletion_insertion(
                study.siamese,
                (batch.original_a, batch.img_b),
                maps,
                study.threshold,
                batch.genuine,
                population,
                steps=min(10, study.steps),
            )
    rows: list[list[Cell]] = []
    for name in study.names:
        row: list[Cell] = [name]
        for population, curve in AREA_TITLES:
            chance = runs["rnd", population]
            row.append(text(runs[name, population].difference_to(chance, curve)))
        rows.append(row)
    header = ["method", *AREA_TITLES.values()]
    return TextTable("deletion", "Areas under the mean cosine minus rnd's.", header, rows)


def sanity_table(study: Study, pairs: int = 40) -> TextTable:
    """Rank correlation with the maps of models whose weights are shuffled, in three ways."""
    pairs = min(pairs, len(study.batch))
    chosen = np.linspace(0, len(study.batch) - 1, pairs).round().astype(int)
    batch = study.batch.rows(chosen)
    rows: list[list[Cell]] = []
    for name in study.names:
        build = partial(_build, name, study.threshold)
        found = [
            model_randomisation(build, study.siamese, (batch.patched_a, batch.img_b), seed=seed)
            for seed in range(3)
        ]
        signed = np.array([np.abs(result.signed[0]) for result in found])
        absolute = np.array([np.abs(result.absolute[0]) for result in found])
        seeds = ", ".join(f"{value:.2f}" for value in absolute.mean(1))
        rows.append([name, mean_text(signed.mean(0)), mean_text(absolute.mean(0)), seeds])
    header = ["method", "signed", "absolute", "absolute, each of three shuffles"]
    return TextTable("sanity", f"Magnitude of the correlation, {pairs} pairs.", header, rows)


def _build(name: str, threshold: float, siamese: torch.nn.Module) -> object:
    return BUILD[name](siamese, threshold)


PARTS = {
    "dpr": dpr_table,
    "bars": bars_table,
    "cost": cost_table,
    "sanity": sanity_table,
    "localisation": localisation_table,
    "polarity": polarity_table,
    "corrected": corrected_table,
    "stress": stress_table,
    "deletion": deletion_table,
}
"""Name of a part -> the function that measures it."""
