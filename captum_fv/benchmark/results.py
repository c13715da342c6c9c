"""What a benchmark run holds: scores, DPR, localisation and latency of methods on models."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from captum_fv.benchmark.audit import MapAudit
from captum_fv.benchmark.columns import Table, read_table
from captum_fv.metrics.dpr_result import DPRResult
from captum_fv.metrics.rates import ErrorRates, eer_threshold, equal_error_rate, error_rates

Array = npt.NDArray[np.float64]

CONFIG, SCORES, MAPS = "config.json", "scores", "maps"
LATENCY, AUDIT = "latency", "audit"
"""The files of a run folder: a JSON file, and tables in .npz or .parquet, the last two optional."""


@dataclass(frozen=True)
class Latency:
    """How long a method takes to explain, both maps of a pair.

    Args:
        seconds: (n,), one pair at a time.
        batched_total: The same pairs in batches, seconds for all of them.
    """

    seconds: Array
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

    pairs: npt.NDArray[np.int64]
    dpr: DPRResult
    stratified: DPRResult | None
    auroc: Array
    average_precision: Array
    latency: Latency | None = None
    audit: MapAudit | None = None

    def rows(self, pairs: npt.NDArray[np.int64]) -> npt.NDArray[np.intp]:
        """Where some of the measured pairs stand.

        Raises:
            ValueError: A pair that was not measured.
        """
        rows = np.searchsorted(self.pairs, pairs)
        if not np.array_equal(self.pairs[np.minimum(rows, len(self.pairs) - 1)], pairs):
            raise ValueError(f"want pairs among the {len(self.pairs)} that were measured")
        return rows

    def on(self, pairs: npt.NDArray[np.int64]) -> MethodResults:
        """The results on some of the measured pairs, of both kinds.

        Raises:
            ValueError: A pair that was not measured, or pairs of one kind alone.
        """
        rows = self.rows(pairs)
        return MethodResults(
            np.asarray(pairs),
            _rows(self.dpr, rows),
            None if self.stratified is None else _rows(self.stratified, rows),
            self.auroc[rows],
            self.average_precision[rows],
            self.latency,
            self.audit,
        )


@dataclass(frozen=True)
class ModelResults:
    """One model: its scores of all N pairs, and what each method made of it.

    Args:
        clean_scores, patched_scores: (N,) cosines of the pairs without and with patches.
        genuine: (N,) bool.
        methods: Name -> results, in the order asked for.
    """

    clean_scores: Array
    patched_scores: Array
    genuine: npt.NDArray[np.bool_]
    methods: dict[str, MethodResults]

    @property
    def threshold(self) -> float:
        """The EER threshold of the clean pairs."""
        return eer_threshold(self.clean_scores, self.genuine)

    @property
    def eer(self) -> float:
        """The equal error rate of the clean pairs, in [0, 1]."""
        return equal_error_rate(self.clean_scores, self.genuine)

    @property
    def patched_errors(self) -> ErrorRates:
        """FMR and FNMR of the patched pairs at the threshold."""
        return error_rates(self.patched_scores, self.genuine, self.threshold)

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

    def dpr_on_pairs_of(self, name: str) -> dict[str, DPRResult]:
        """DPR of all methods on the pairs of one of them."""
        return {other: result.dpr for other, result in self.on_pairs_of(name).items()}


@dataclass(frozen=True)
class BenchmarkResults:
    """A whole run.

    Args:
        config: What config.json holds: versions, seeds, hashes of models and data, the command.
        models: Name -> results, in the order asked for.
    """

    config: dict[str, Any]
    models: dict[str, ModelResults]

    @classmethod
    def load(cls, folder: str | Path) -> BenchmarkResults:
        """Read a finished run folder.

        Raises:
            FileNotFoundError: No run, or one that has not ended.
            ValueError: A damaged config, or Parquet tables without pyarrow.
        """
        folder = Path(folder)
        if not (folder / CONFIG).is_file():
            raise FileNotFoundError(f"{folder / CONFIG}: no such file; want a benchmark's folder")
        try:
            config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{folder / CONFIG}: not JSON ({error})") from error
        scores, maps = (read_table(folder / name) for name in (SCORES, MAPS))
        optional: list[Table | None] = []
        for name in (LATENCY, AUDIT):
            try:
                optional.append(read_table(folder / name))
            except FileNotFoundError:
                optional.append(None)
        return cls.from_tables(config, scores, maps, *optional)

    @classmethod
    def from_tables(
        cls,
        config: dict[str, Any],
        scores: Table,
        maps: Table,
        latency: Table | None = None,
        audit: Table | None = None,
    ) -> BenchmarkResults:
        """The results in a run's tables.

        Args:
            config: See the class.
            scores: One row for each model and pair: model, pair, genuine, clean_score,
                patched_score.
            maps: One row for each model, method and pair: model, method, pair, replaced (T + 1,),
                stratified (T + 1,) or NaN, auroc, average_precision.
            latency: One row for each model, method and timed pair: model, method, seconds,
                batched_seconds (a pair's share of its batch).
            audit: One row for each model, method and checked pair: model, method, and the columns
                of `audit_method`.
        """
        models = {}
        for model in _names(scores["model"]):
            clean = _select(scores, model=model)
            genuine = clean["genuine"]
            threshold = eer_threshold(clean["clean_score"], genuine)
            own = _select(maps, model=model)
            methods = {}
            for method in _names(own["method"]):
                rows = _select(own, method=method)
                labels = genuine[np.searchsorted(clean["pair"], rows["pair"])]
                stratified = rows["stratified"]
                methods[method] = MethodResults(
                    rows["pair"],
                    replaced_result(rows["replaced"], labels, threshold),
                    None
                    if np.isnan(stratified).all()
                    else replaced_result(stratified, labels, threshold),
                    rows["auroc"],
                    rows["average_precision"],
                    None if latency is None else _latency(latency, model, method),
                    None if audit is None else _audit(audit, model, method, clean, threshold),
                )
            models[model] = ModelResults(
                clean["clean_score"], clean["patched_score"], genuine, methods
            )
        return cls(config, models)


def replaced_result(replaced: Array, genuine: npt.NDArray[np.bool_], threshold: float) -> DPRResult:
    """DPR from the scores of all steps and of the whole image, one row for each pair."""
    steps = np.ascontiguousarray(replaced.T)
    return DPRResult(steps[:-1], steps[-1], genuine, threshold)


def _names(column: npt.NDArray[Any]) -> list[str]:
    """The different values of a column, in the order of their first rows."""
    values, first = np.unique(column, return_index=True)
    return [str(values[i]) for i in np.argsort(first)]


def _select(table: Table, **wanted: str) -> Table:
    """The rows in which columns have the wanted values."""
    chosen = np.logical_and.reduce([table[name] == value for name, value in wanted.items()])
    return {name: values[chosen] for name, values in table.items()}


def _rows(run: DPRResult, rows: Sequence[int] | npt.NDArray[np.int64]) -> DPRResult:
    return DPRResult(
        run.scores[:, rows], run.repaired_scores[rows], run.genuine[rows], run.threshold
    )


def _latency(table: Table, model: str, method: str) -> Latency | None:
    rows = _select(table, model=model, method=method)
    if not len(rows["seconds"]):
        return None
    return Latency(rows["seconds"], float(rows["batched_seconds"].sum()))


def _audit(
    table: Table, model: str, method: str, scores: Table, threshold: float
) -> MapAudit | None:
    rows = _select(table, model=model, method=method)
    if not len(rows["pair"]):
        return None
    genuine = scores["genuine"][np.searchsorted(scores["pair"], rows["pair"])]
    return MapAudit.from_table(rows, genuine, threshold)
