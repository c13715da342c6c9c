"""What was measured of one model: its scores, and of each method DPR, places found and latency."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from captum_fv.benchmark.audit import MapAudit
from captum_fv.benchmark.columns import Table
from captum_fv.benchmark.operating_point import OperatingPoint
from captum_fv.core.arrays import BoolArray, FloatArray, IntArray
from captum_fv.metrics.dpr_result import DPRResult
from captum_fv.metrics.rates import ErrorRates, equal_error_rate, error_rates


@dataclass(frozen=True)
class Latency:
    """How long a method takes to explain, both maps of a pair.

    Args:
        seconds: (n,), one pair at a time.
        batched_total: The same pairs in batches, seconds for all of them.
    """

    seconds: FloatArray
    batched_total: float

    @property
    def pairs(self) -> int:
        """How many pairs were timed."""
        return len(self.seconds)


@dataclass(frozen=True)
class MethodResults:
    """One method on one model.

    Args:
        pairs: (n,) numbers of the measured pairs, ascending: all, or the subset for slow methods.
        dpr: DPR of the maps of image A on these pairs.
        stratified: The same with ranks only within strata of equal mean sensitivity; None if it was
            not asked for, or the method ranks cells.
        auroc, average_precision: (n,) patch localisation of the maps of A; NaN for a pair whose
            patches cover nothing or everything.
        latency: None if it was not timed.
        audit: Deletion and insertion, and sanity; None if they were not asked for.
    """

    pairs: IntArray
    dpr: DPRResult
    stratified: DPRResult | None
    auroc: FloatArray
    average_precision: FloatArray
    latency: Latency | None = None
    audit: MapAudit | None = None

    def __repr__(self) -> str:
        return f"MethodResults({self.dpr!r})"

    def rows(self, pairs: IntArray) -> npt.NDArray[np.intp]:
        """Where some of the measured pairs stand.

        Raises:
            ValueError: A pair that was not measured.
        """
        rows = np.searchsorted(self.pairs, pairs)
        if not np.array_equal(self.pairs[np.minimum(rows, len(self.pairs) - 1)], pairs):
            raise ValueError(f"want pairs among the {len(self.pairs)} that were measured")
        return rows

    def on(self, pairs: IntArray) -> MethodResults:
        """The results on some of the measured pairs, of both kinds.

        Raises:
            ValueError: A pair that was not measured, or pairs of one kind alone.
        """
        rows = self.rows(pairs)
        return replace(
            self,
            pairs=np.asarray(pairs),
            dpr=self.dpr.on(rows),
            stratified=self.stratified and self.stratified.on(rows),
            auroc=self.auroc[rows],
            average_precision=self.average_precision[rows],
        )


@dataclass(frozen=True)
class ModelResults:
    """One model: its scores of all N pairs, and what each method made of it.

    Args:
        clean_scores, patched_scores: (N,) cosines of the pairs without and with patches.
        genuine: (N,) bool.
        methods: Name -> results, in the order asked for.
        point: How the threshold is set.
    """

    clean_scores: FloatArray
    patched_scores: FloatArray
    genuine: BoolArray
    methods: dict[str, MethodResults]
    point: OperatingPoint = field(default_factory=OperatingPoint)

    def __repr__(self) -> str:
        return (
            f"ModelResults({len(self.genuine)} pairs, EER {self.eer:.4f}, threshold "
            f"{self.threshold:.4f}; {', '.join(self.methods) or 'no method'})"
        )

    @property
    def threshold(self) -> float:
        """As given, for an FMR of the clean pairs, or their EER threshold."""
        return self.point.threshold_on(self.clean_scores, self.genuine)

    @property
    def eer(self) -> float:
        """The equal error rate of the clean pairs, in [0, 1]."""
        return equal_error_rate(self.clean_scores, self.genuine)

    @property
    def patched_errors(self) -> ErrorRates:
        """FMR and FNMR of the patched pairs at the threshold."""
        return error_rates(self.patched_scores, self.genuine, self.threshold)

    def rows_of(self, name: str) -> Table:
        """What was measured of one method, a row for each of its pairs."""
        found = self.methods[name]
        pairs, stratified = found.pairs, found.stratified
        return {
            "pair": pairs,
            "genuine": self.genuine[pairs],
            "clean_score": self.clean_scores[pairs],
            "patched_score": self.patched_scores[pairs],
            "area": found.dpr.pair_auc,
            "stratified_area": np.full(len(pairs), np.nan)
            if stratified is None
            else stratified.pair_auc,
            "auroc": found.auroc,
            "average_precision": found.average_precision,
        }

    def on_pairs_of(self, name: str) -> dict[str, MethodResults]:
        """All methods on the pairs of one of them, to compare a slow method with its controls.

        Methods that were not measured on all of these pairs are left out.
        """
        pairs = self.methods[name].pairs
        return {
            other: result.on(pairs)
            for other, result in self.methods.items()
            if np.isin(pairs, result.pairs).all()
        }

    def on_same_pairs(self) -> list[dict[str, MethodResults]]:
        """All methods on each set of pairs that some were measured on, the largest set first."""
        first_on = {tuple(found.pairs): name for name, found in reversed(self.methods.items())}
        by_size = sorted(first_on.items(), key=lambda item: -len(item[0]))
        return [self.on_pairs_of(name) for _, name in by_size]
