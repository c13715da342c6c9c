"""What DPR cannot show of a method: deletion and insertion, and the sanity suite, on some pairs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from captum_fv.attr.methods import Builder
from captum_fv.benchmark.columns import Table
from captum_fv.benchmark.maps import maps_of_a, reads_patches
from captum_fv.benchmark.settings import evenly
from captum_fv.core.arrays import BoolArray, FloatArray
from captum_fv.data.patched_pairs import PairBatch
from captum_fv.metrics.deletion import DeletionInsertionResult, Population, deletion_insertion
from captum_fv.metrics.localisation import PatchLocalisation
from captum_fv.metrics.sanity import SanityResult, sanity_suite
from captum_fv.siamese.model import SiameseCosine

STEPS = 20
"""Of the deletion and insertion curves."""

SANITY_PAIRS = 10
"""Each is explained some ten times."""

POPULATIONS: Mapping[Population, bool] = {"genuine": True, "impostor": False}

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
    """

    curves: Mapping[Population, DeletionInsertionResult]
    sanity: SanityResult | None

    @property
    def pairs(self) -> int:
        """How many pairs the curves are over."""
        return sum(run.deletion.shape[1] for run in self.curves.values())

    @classmethod
    def from_table(cls, table: Table, genuine: BoolArray, threshold: float) -> MapAudit:
        """From the rows that `audit_method` gave, and their labels."""
        curves = {
            population: DeletionInsertionResult(
                table["deletion"][genuine == label].T,
                table["insertion"][genuine == label].T,
                population,
                threshold,
            )
            for population, label in POPULATIONS.items()
            if (genuine == label).any()
        }
        known = np.isfinite(table["swap_error"])
        if not known.any():
            return cls(curves, None)
        fields: list[Any] = [table[name][known] for name in _SANITY]
        fields[5:] = PatchLocalisation(*fields[5:7]), PatchLocalisation(*fields[7:])
        return cls(curves, SanityResult(*fields))


def audit_method(
    build: Builder,
    siamese: SiameseCosine,
    pairs: PairBatch,
    threshold: float,
    seed: int = 0,
    batch_size: int = 32,
) -> Table:
    """Deletion and insertion of the pairs without patches, and the sanity suite on a few of them.

    Args:
        build: The method for a model and a threshold.
        siamese: The model.
        pairs: Some pairs, on its device.
        threshold: The decision threshold.
        seed: Of random maps and random weights.
        batch_size: Pairs explained together.

    Returns:
        One row for each pair: pair, deletion and insertion (STEPS + 1,), and the columns of
        SanityResult, NaN where a pair was not among the few. No rows for a method that is told
        where the patches are: most images here have none.
    """
    if reads_patches(build(siamese, threshold)):
        pairs = pairs.rows([])
    curves = [np.empty((2, 0, STEPS + 1))]
    for batch in pairs.split(batch_size):
        curves.append(_curves(build, siamese, batch, threshold, seed))
    deletion, insertion = np.concatenate(curves, 1)
    return {
        "pair": pairs.numbers,
        "deletion": deletion,
        "insertion": insertion,
        **_sanity(build, siamese, pairs, threshold, seed),
    }


def _curves(
    build: Builder, siamese: SiameseCosine, batch: PairBatch, threshold: float, seed: int
) -> FloatArray:
    """Deletion and insertion scores, (2, n, STEPS + 1)."""
    clean = replace(batch, patched_a=batch.original_a)
    ((_, maps),) = maps_of_a({"method": build(siamese, threshold)}, clean, seed)
    curves = np.empty((2, len(batch), STEPS + 1))
    for population, label in POPULATIONS.items():
        chosen = batch.genuine == label
        if chosen.any():
            pair, labels = (clean.patched_a, clean.img_b), batch.genuine
            run = deletion_insertion(siamese, pair, maps, threshold, labels, population, STEPS)
            curves[:, chosen] = run.deletion.T, run.insertion.T
    return curves


def _sanity(
    build: Builder, siamese: SiameseCosine, pairs: PairBatch, threshold: float, seed: int
) -> Table:
    table = {name: np.full(len(pairs), np.nan) for name in _SANITY}
    partly = (pairs.mask.any((1, 2, 3)) & ~pairs.mask.all((1, 2, 3))).cpu().numpy()
    rows = np.flatnonzero(partly)
    if not len(rows):
        return table
    rows = rows[evenly(len(rows), SANITY_PAIRS)]
    few, device = pairs.rows(rows), pairs.patched_a.device
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        found = sanity_suite(
            lambda model: build(model, threshold),
            siamese,
            (few.patched_a, few.img_b),
            few.original_a,
            few.mask,
            threshold,
            seed,
        )
    *rest, patched, patch_free = vars(found).values()
    for name, values in zip(_SANITY, (*rest, *patched, *patch_free), strict=True):
        table[name][rows] = values
    return table
