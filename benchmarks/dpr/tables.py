"""The tables of what_it_measures.py: what each method's maps show, and what they do not."""

from __future__ import annotations

import numpy as np
import torch
from dpr.study import AVERAGE, MapStudy
from shared.cells import mean_text, ratio, text
from shared.two_faced import two_faced_pairs

from captum_fv.attr.methods import METHODS
from captum_fv.metrics import (
    deal_to_others,
    deletion_insertion,
    equal_strata,
    face_rings,
    patch_localisation,
    patch_polarity,
    sanity_suite,
    unbeaten_controls,
)
from captum_fv.metrics.deletion_result import AREA_TITLES
from captum_fv.report.text_table import Cell, TextTable


def dpr_table(study: MapStudy) -> TextTable:
    """DPR as published, within strata, and against the maps of other pairs."""
    strata = {
        "published": None,
        "rings": face_rings(*study.prior.shape),
        "strata": equal_strata(study.prior, 64),
    }
    names = [*study.names, AVERAGE]
    others = deal_to_others(study.match[True])
    runs = {
        reading: {name: study.replace(study.maps(name), places) for name in names}
        for reading, places in strata.items()
    }
    rows: list[list[Cell]] = []
    for name in names:
        published = runs["published"][name]
        maps = study.maps(name)
        same = torch.equal(maps[others], maps)  # one map serves all pairs with the same decision
        dealt = published if same else study.replace(maps[others])
        row: list[Cell] = [name, published.auc_interval("fmr"), published.auc_interval("fnmr")]
        row += [ratio(published, runs["published"]["centre"])]
        row += [ratio(found[name], found["rnd"]) for found in runs.values()]
        row += [ratio(published, dealt, rate) for rate in ("mean", "fmr", "fnmr")]
        row += [
            ", ".join(unbeaten_controls(name, runs[reading])) or "-"
            for reading in ("published", "strata")
        ]
        rows.append(row)
    header = ["method", "FMR AUC", "FNMR AUC", "mean / centre"]
    header += [f"{reading}: mean / RND" for reading in strata]
    header += [f"own / other's map{rate}" for rate in ("", ", FMR", ", FNMR")]
    header += ["published: does not beat", "strata: does not beat"]
    return TextTable("dpr", "DPR in four readings; lower is better.", header, rows)


def localisation_table(study: MapStudy) -> TextTable:
    """Do maps of the patched images find the patches, better than without patches?"""
    rows: list[list[Cell]] = []
    for name in [*study.names, AVERAGE]:
        auroc, precision = patch_localisation(study.maps(name), study.mask, study.match[True])
        free, gain = "-", "-"
        if name != "oracle":  # which knows patches, and here are none
            without, _ = patch_localisation(
                study.maps(name, patched=False), study.mask, study.match[False]
            )
            free, gain = mean_text(without), mean_text(auroc - without)
        rows.append([name, mean_text(auroc), mean_text(precision), free, gain])
    share = f"{study.mask.double().mean():.2f}"
    return TextTable(
        "localisation",
        f"Patch localisation; by chance AUROC is 0.5 and average precision {share}.",
        ["method", "AUROC", "average precision", "AUROC, no patches there", "gain"],
        rows,
    )


def deletion_table(study: MapStudy) -> TextTable:
    """Deletion and insertion on unpatched pairs, the population explicit."""
    runs = {
        (name, population): deletion_insertion(
            study.siamese,
            (study.original_a, study.img_b),
            study.maps(name, patched=False),
            study.threshold,
            study.genuine,
            population,
            steps=study.steps,
            batch_size=32,
            show_progress=True,
        )
        for name in [*study.names, AVERAGE]
        for population in ("genuine", "impostor")
        if name != "oracle"  # which knows patches, and here are none
    }
    rows: list[list[Cell]] = []
    for name in dict.fromkeys(name for name, _ in runs):
        row: list[Cell] = [name]
        for population, curve in AREA_TITLES:
            run, chance = runs[name, population], runs["rnd", population]
            row.append(text(run.auc(curve) if name == "rnd" else run.difference_to(chance, curve)))
        rows.append(row)
    return TextTable(
        "deletion",
        "Deletion and insertion on pairs without patches: area under the mean cosine minus that "
        "of rnd, whose row gives the area itself.",
        ["method", *AREA_TITLES.values()],
        rows,
    )


def sanity_table(study: MapStudy, pairs: int = 16) -> TextTable:
    """The sanity suite on some pairs, evenly spread."""
    chosen = np.linspace(0, len(study.genuine) - 1, pairs).round().astype(int)
    rows: list[list[Cell]] = []
    for name in study.names:
        if name == "oracle" or name not in METHODS:
            continue
        result = sanity_suite(
            lambda model, name=name: METHODS[name](model, study.threshold),
            study.siamese,
            (study.patched_a[chosen], study.img_b[chosen]),
            study.original_a[chosen],
            study.mask[chosen],
            study.threshold,
        )
        rows.append(
            [
                name,
                f"{np.abs(result.randomised_signed).mean():.2f}",
                f"{np.abs(result.randomised_absolute).mean():.2f}",
                f"{result.swap_error.max():.1g}",
                f"{result.identity_error.max():.1g}",
                "; ".join(result.failures()) or "-",
            ]
        )
    return TextTable(
        "sanity",
        f"Sanity on {pairs} pairs: rank correlation with the maps of random weights, and errors.",
        ["method", "random weights", "the same, absolute", "swap", "identity", "fails"],
        rows,
    )


def polarity_table(study: MapStudy) -> TextTable:
    """Can the maps tell patches for the match from patches against it?"""
    pairs = two_faced_pairs(study.faces, count=min(200, len(study.genuine)))
    scores = study.scores(pairs.img_a, pairs.img_b)
    sign = torch.where(scores >= study.threshold, 1.0, -1.0)[:, None, None, None]
    rows: list[list[Cell]] = []
    maps = {AVERAGE: sign * study.prior}
    for name in [*study.names, AVERAGE]:
        if name == "oracle":
            continue
        if name not in maps:
            maps |= study.explain(name, pairs.img_a, pairs.img_b)
        auroc = patch_polarity(maps[name], pairs.similar, pairs.dissimilar)
        rows.append([name, mean_text(auroc)])
    return TextTable(
        "polarity",
        f"Polarity on {len(scores)} genuine pairs of mean cosine {scores.mean():.2f}: do patches "
        "from another photo of B's person rank above patches of a stranger? 0.5 is chance.",
        ["method", "AUROC"],
        rows,
    )


PARTS = {
    "dpr": dpr_table,
    "localisation": localisation_table,
    "polarity": polarity_table,
    "deletion": deletion_table,
    "sanity": sanity_table,
}
"""Name of a part -> the function that measures it."""
