"""What DPR cannot show of a method: deletion and insertion, and the sanity suite, on some pairs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

import numpy as np
import torch
from torch import Tensor

from captum_fv.attr.alternative import Alternative
from captum_fv.attr.methods import Builder
from captum_fv.benchmark.columns import Table, concatenate
from captum_fv.benchmark.maps import maps_of_a, reads_patches
from captum_fv.benchmark.settings import BenchmarkSettings, LuFill, evenly
from captum_fv.core.arrays import BoolArray, FloatArray
from captum_fv.data.patched_pairs import PairBatch
from captum_fv.metrics.deletion import deletion_insertion
from captum_fv.metrics.deletion_result import Curve, DeletionInsertionResult, Population
from captum_fv.metrics.localisation import PatchLocalisation
from captum_fv.metrics.lu import LU_STEPS
from captum_fv.metrics.removal import Fill
from captum_fv.metrics.sanity import SanityResult, sanity_suite
from captum_fv.siamese.model import SiameseCosine

STEPS = 20
"""Of the deletion and insertion curves under the mean cosine."""

POPULATIONS: Mapping[Population, bool] = {"genuine": True, "impostor": False}

CURVES: tuple[Curve, ...] = get_args(Curve)

_SANITY = (
    *("randomised_signed", "randomised_absolute", "swap_error", "identity_error"),
    *("identity_similar", "patched_auroc", "patched_precision"),
    *("patch_free_auroc", "patch_free_precision"),
)
"""Columns for the fields of SanityResult, in their order; each localisation has two."""


@dataclass(frozen=True)
class MapAudit:
    """What was found of one method.

    Args:
        curves: Population -> deletion and insertion on its pairs, which carry no patches.
        sanity: The sanity suite on some of the pairs; None if none of them has patches.
        lu: Fill -> population -> the curves of Lu et al. on the same pairs.
    """

    curves: Mapping[Population, DeletionInsertionResult]
    sanity: SanityResult | None
    lu: Mapping[str, Mapping[Population, DeletionInsertionResult]]

    @property
    def pairs(self) -> int:
        """How many pairs the curves are over."""
        return sum(run.deletion.shape[1] for run in self.curves.values())

    @classmethod
    def from_table(cls, table: Table, genuine: BoolArray, threshold: float) -> MapAudit:
        """From the rows that `audit_method` gave, and their labels."""

        def curves_on(population: Population, source: str) -> DeletionInsertionResult:
            rows = _rows_of(population, genuine)
            deletion, insertion = (table[f"{source}{curve}"][rows].T for curve in CURVES)
            return DeletionInsertionResult(
                deletion, insertion, population, threshold, genuine[rows]
            )

        there = [name for name, label in POPULATIONS.items() if (genuine == label).any()]
        curves = {population: curves_on(population, "") for population in there}
        lu = {
            fill: {
                **{population: curves_on(population, f"lu_{fill}_") for population in there},
                "all": curves_on("all", f"lu_{fill}_all_"),
            }
            for fill in get_args(LuFill)
            if f"lu_{fill}_deletion" in table
        }
        known = np.isfinite(table["swap_error"])
        if not known.any():
            return cls(curves, None, lu)
        fields: list[Any] = [table[name][known] for name in _SANITY]
        fields[5:] = PatchLocalisation(*fields[5:7]), PatchLocalisation(*fields[7:])
        return cls(curves, SanityResult(*fields), lu)


def audit_method(
    build: Builder,
    siamese: SiameseCosine,
    pairs: PairBatch,
    threshold: float,
    settings: BenchmarkSettings,
) -> Table:
    """Deletion and insertion of the pairs without patches, and the sanity suite on a few of them.

    Args:
        build: The method for a model and a threshold.
        siamese: The model.
        pairs: Some pairs, on its device.
        threshold: The decision threshold.
        settings: The seed is also that of random weights.

    Returns:
        One row for each pair: pair, deletion and insertion (STEPS + 1,); the same by Lu et al. for
        each fill, as in lu_black_deletion (LU_STEPS + 1,), of the pair's own population, and with
        the most similar places first, lu_black_all_deletion; and the columns of SanityResult, NaN
        where a pair was not among the few. No rows for a method that is told where the patches
        are: most images here have none.
    """
    if reads_patches(build(siamese, threshold)):
        pairs = pairs.rows([])
    batches = pairs.split(settings.pairs_at_once)
    parts = [_curves(build, siamese, batch, threshold, settings) for batch in batches]
    return {
        "pair": pairs.numbers,
        **concatenate(parts or [_no_curves(settings.lu_fills)]),
        **_sanity(build, siamese, pairs, threshold, settings),
    }


def _curves(
    build: Builder,
    siamese: SiameseCosine,
    batch: PairBatch,
    threshold: float,
    settings: BenchmarkSettings,
) -> Table:
    """Deletion and insertion scores, a row for each pair."""
    clean = replace(batch, patched_a=batch.original_a)
    pair, genuine = (clean.patched_a, clean.img_b), batch.genuine
    ((_, maps),) = maps_of_a({"method": build(siamese, threshold)}, clean, settings.seed)

    def scores(populations: Iterable[Population], steps: int, fill: Fill | Tensor) -> FloatArray:
        curves = np.empty((len(CURVES), len(batch), steps + 1))
        for population in populations:
            rows = _rows_of(population, genuine)
            if rows.any():
                run = deletion_insertion(
                    siamese, pair, maps, threshold, genuine, population, steps, fill=fill
                )
                curves[:, rows] = run.deletion.T, run.insertion.T
        return curves

    found = {"": scores(POPULATIONS, STEPS, "blur")}
    for name in settings.lu_fills:
        fill = _alternatives(siamese, clean, threshold) if name == "alternative" else name
        found[f"lu_{name}_"] = scores(POPULATIONS, LU_STEPS, fill)
        found[f"lu_{name}_all_"] = scores(["all"], LU_STEPS, fill)
    return {
        f"{source}{curve}": values
        for source, curves in found.items()
        for curve, values in zip(CURVES, curves, strict=True)
    }


def _no_curves(lu_fills: Sequence[LuFill]) -> Table:
    """The columns of `_curves` without rows."""
    steps = {"": STEPS}
    for fill in lu_fills:
        steps |= {f"lu_{fill}_": LU_STEPS, f"lu_{fill}_all_": LU_STEPS}
    return {
        f"{source}{curve}": np.empty((0, count + 1))
        for source, count in steps.items()
        for curve in CURVES
    }


def _rows_of(population: Population, genuine: BoolArray) -> BoolArray:
    """Which pairs are of a population, (N,)."""
    return genuine == POPULATIONS[population] if population in POPULATIONS else genuine | True


@torch.no_grad()
def _alternatives(siamese: SiameseCosine, batch: PairBatch, threshold: float) -> Tensor:
    """What each image A would be if the other decision had been right."""
    pair = batch.patched_a, batch.img_b
    return Alternative().images(*pair, siamese(*pair) >= threshold, batch.reference)


def _sanity(
    build: Builder,
    siamese: SiameseCosine,
    pairs: PairBatch,
    threshold: float,
    settings: BenchmarkSettings,
) -> Table:
    table = {name: np.full(len(pairs), np.nan) for name in _SANITY}
    partly = (pairs.mask.any((1, 2, 3)) & ~pairs.mask.all((1, 2, 3))).cpu().numpy()
    rows = np.flatnonzero(partly)
    if not len(rows):
        return table
    rows = rows[evenly(len(rows), settings.sanity_pairs)]
    few, device = pairs.rows(rows), pairs.patched_a.device
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(settings.seed)
        found = sanity_suite(
            lambda model: build(model, threshold),
            siamese,
            (few.patched_a, few.img_b),
            few.original_a,
            few.mask,
            threshold,
            settings.seed,
        )
    *rest, patched, patch_free = vars(found).values()
    for name, values in zip(_SANITY, (*rest, *patched, *patch_free), strict=True):
        table[name][rows] = values
    return table
