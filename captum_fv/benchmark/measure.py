"""The core of every run: some patched pairs, one model, several methods -> one row for each map."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from captum_fv.attr.methods import Method
from captum_fv.attr.pair import abilities
from captum_fv.benchmark.columns import Table
from captum_fv.benchmark.intact import check_untouched, state_of
from captum_fv.benchmark.maps import maps_of_a
from captum_fv.core.arrays import BoolArray, FloatArray
from captum_fv.core.checks import check_images
from captum_fv.core.waiting import step
from captum_fv.data.pairs import PairSet
from captum_fv.data.patched_pairs import PairBatch
from captum_fv.metrics.localisation import localised
from captum_fv.metrics.positions import position_values
from captum_fv.metrics.ranking import rank_maps, tied_shares
from captum_fv.metrics.rates import eer_threshold, equal_error_rate
from captum_fv.metrics.replacement import (
    ScoreInPlace,
    differing,
    ranked_together,
    replacing,
    score_and_hold_partners,
    turning_steps,
)
from captum_fv.siamese.batch_size import images_at_once
from captum_fv.siamese.model import SiameseCosine

STEPS = 20
"""Points of a DPR curve, as in the paper: 0, 5, ... 95 % of the positions; then the whole image."""


@dataclass(frozen=True)
class ScoredBatch:
    """Pairs whose patched and original images are scored, once for all methods.

    Args:
        batch: The pairs.
        patched, original: Their scores with patched A and with the original, (n,).
        score: Scores other images in the place of A.
    """

    batch: PairBatch
    patched: Tensor
    original: Tensor
    score: ScoreInPlace

    @cached_property
    def mask(self) -> Tensor:
        """Where A was patched, (n, 1, H, W) bool on the CPU: the metrics of all methods ask."""
        return self.batch.mask.cpu()

    @cached_property
    def differs(self) -> Tensor:
        """Where patched A and the original differ, likewise, (n, H, W)."""
        return differing(self.batch.patched_a, self.batch.original_a)

    def rows(self, chosen: list[int]) -> ScoredBatch:
        """Some of the pairs."""
        where = torch.tensor(chosen)
        return ScoredBatch(
            self.batch.rows(chosen),
            self.patched[where],
            self.original[where],
            lambda images, rows: self.score(images, where[rows]),
        )


@torch.no_grad()
def score_batch(
    siamese: SiameseCosine, batch: PairBatch, batch_size: int | None = None
) -> ScoredBatch:
    """Embed B, patched A and original A of some pairs, at most `batch_size` originals at a time."""
    check_images(patched_a=batch.patched_a, original_a=batch.original_a, img_b=batch.img_b)
    at_once = images_at_once(siamese, batch.img_b, batch_size=batch_size)
    first, score = score_and_hold_partners(siamese, (batch.patched_a, batch.img_b))
    every = torch.arange(len(batch))
    original = [score(batch.original_a[some], some) for some in torch.split(every, at_once)]
    return ScoredBatch(batch, first, torch.cat(original).cpu().double(), score)


def measure_batch(
    siamese: SiameseCosine,
    methods: Mapping[str, Method],
    batch: PairBatch,
    threshold: float,
    *,
    seed: int = 0,
    strata: Tensor | None = None,
    batch_size: int | None = None,
    rows_of: Mapping[str, list[int]] | None = None,
    on_map: Callable[[str, int], None] = lambda name, count: None,
) -> tuple[Tensor, dict[str, Table]]:
    """Explain patched pairs by every method and measure the maps.

    B, patched A and original A are embedded once, whatever the number of methods.

    Args:
        siamese: The recogniser.
        methods: Name -> method for this model and threshold.
        batch: The pairs, on the model's device.
        threshold: The clean pairs' decision threshold.
        seed: Of random maps.
        strata: Also DPR with a map's ranks within these strata alone, (H, W) integers.
        batch_size: Images per forward of the replacement, which bounds the memory. None: 16, and
            on CUDA what a trial finds to be fastest.
        rows_of: Name -> the rows of the batch that this method is measured on; all if it is not
            named.
        on_map: Told of every method's name and number of maps once they are measured.

    Returns:
        Scores (n,) of the patched pairs, and for each method a table with one row for each of its
        pairs: pair, tied, replaced (STEPS + 1,), stratified (STEPS + 1,), auroc, average_precision.

    Raises:
        ValueError, TypeError: A method's map that is none, or a method that changes the model, with
            the method's name.
    """
    at_once = images_at_once(siamese, batch.img_b, batch_size=batch_size)
    whole = score_batch(siamese, batch, at_once)
    before = state_of(siamese)
    groups: dict[tuple[int, ...], dict[str, Method]] = {}
    for name, method in methods.items():
        rows = tuple((rows_of or {}).get(name, range(len(batch))))
        groups.setdefault(rows, {})[name] = method
    tables = {}
    for rows, group in groups.items():
        if not rows:
            continue
        scored = whole if len(rows) == len(batch) else whole.rows(list(rows))
        for name, map_a in maps_of_a(group, scored.batch, seed, scores=scored.patched):
            check_untouched(siamese, before, name)
            cells = abilities(group[name]).cells
            try:
                tables[name] = _measure_map(map_a, scored, threshold, cells, strata, at_once)
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from error
            on_map(name, len(rows))
    return whole.patched.cpu(), {name: tables[name] for name in methods if name in tables}


@step()
@torch.no_grad()
def _measure_map(
    map_a: Tensor,
    scored: ScoredBatch,
    threshold: float,
    cells: tuple[int, int] | None,
    strata: Tensor | None,
    batch_size: int,
) -> Table:
    batch, match = scored.batch, scored.patched >= threshold
    values = position_values(map_a, batch.patched_a)
    auroc, precision, tied = np.full((3, len(batch)), np.nan)
    covered = scored.mask.flatten(1)
    partly = (covered.any(1) & ~covered.all(1)).numpy()
    replaced: list[Callable[[], Tensor]] = []
    stratified: list[Callable[[], Tensor]] = []
    wanted: list[tuple[list[Callable[[], Tensor]], Tensor | None]] = [(replaced, None)]
    if strata is not None and cells is None:  # cells are too coarse to be ranked within strata
        wanted.append((stratified, strata))
    for rows in ranked_together(len(batch), STEPS, batch_size):
        ranking = rank_maps(values[rows], match[rows], cells)
        for begun, within in wanted:
            step_of = turning_steps(ranking, STEPS, values.shape[1:], cells, within)
            scores = replacing(
                scored.score,
                scored.patched,
                batch.patched_a,
                batch.original_a,
                scored.differs,
                step_of,
                STEPS,
                batch_size,
                scored.original,
                rows,
            )
            begun.append(scores)
        # A GPU is at work meanwhile.
        tied[rows] = tied_shares(values[rows], ranking)
        inside = partly[rows]
        if inside.any():
            positions = ranking if cells is None else rank_maps(values[rows], match[rows])
            found = localised(positions.rows(inside), scored.mask[rows][inside])
            auroc[rows][inside], precision[rows][inside] = found
    curves = _joined(replaced)
    return {
        "pair": batch.numbers,
        "tied": tied,
        "replaced": curves,
        "stratified": _joined(stratified) if stratified else np.full_like(curves, np.nan),
        "auroc": auroc,
        "average_precision": precision,
    }


def _joined(begun: list[Callable[[], Tensor]]) -> FloatArray:
    """The scores of all rows, (n, STEPS + 1), when they are there."""
    scores = torch.cat([finish() for finish in begun], 1)
    return scores.T.contiguous().numpy()


@dataclass(frozen=True)
class CleanScores:
    """Scores of unpatched pairs, (N,), and the operating point that they set."""

    scores: FloatArray
    genuine: BoolArray

    @property
    def threshold(self) -> float:
        """The EER threshold."""
        return eer_threshold(self.scores, self.genuine)

    @property
    def eer(self) -> float:
        """The equal error rate, in [0, 1]."""
        return equal_error_rate(self.scores, self.genuine)


@torch.no_grad()
def score_clean_pairs(
    siamese: SiameseCosine,
    pairs: PairSet,
    *,
    batch_size: int | None = None,
    device: str | torch.device = "cpu",
    show_progress: bool = False,
) -> CleanScores:
    """Score all pairs of a set, at most `batch_size` at a time; None: as `images_at_once` finds."""
    scores = []
    some = pairs.tensors([0])[0].to(device)
    at_once = images_at_once(siamese, some, batch_size=batch_size)
    with tqdm(total=len(pairs), unit="pair", desc="clean", disable=not show_progress) as bar:
        for img_a, img_b in pairs.batches(at_once):
            scores.append(siamese(img_a.to(device), img_b.to(device)).cpu().double())
            bar.update(len(img_a))
    return CleanScores(torch.cat(scores).numpy(), pairs.genuine)
