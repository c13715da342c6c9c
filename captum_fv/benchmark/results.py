"""What a benchmark run holds: the results of each model, read from the run's tables."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from captum_fv.benchmark.audit import MapAudit
from captum_fv.benchmark.columns import Table, concatenate, read_table
from captum_fv.benchmark.model_results import Latency, MethodResults, ModelResults
from captum_fv.benchmark.operating_point import OperatingPoint
from captum_fv.core.arrays import BoolArray
from captum_fv.core.notebook import data_frame, html_table
from captum_fv.metrics.dpr_result import DPRResult

CONFIG, SCORES, MAPS = "config.json", "scores", "maps"
LATENCY, AUDIT = "latency", "audit"
"""The files of a run folder: a JSON file, and tables in .npz or .parquet, the last two optional."""


@dataclass(frozen=True)
class BenchmarkResults:
    """A whole run.

    Args:
        config: What config.json holds: versions, seeds, hashes of models and data, the command.
        models: Name -> results, in the order asked for.
    """

    config: dict[str, Any]
    models: dict[str, ModelResults]

    def __repr__(self) -> str:
        models = ", ".join(f"{name}: {model!r}" for name, model in self.models.items())
        return f"BenchmarkResults({models})"

    def _repr_html_(self) -> str:
        rows = [
            [model, name, len(found.pairs), f"{found.dpr.fmr_auc:.2f}", f"{found.dpr.fnmr_auc:.2f}"]
            for model, name, found in self.each_method()
        ]
        header = ["model", "method", "pairs", "FMR area", "FNMR area"]
        return html_table("DPR: lower is better", header, rows)

    def to_pandas(self) -> Any:
        """A pandas.DataFrame of a row for each model, method and pair.

        Columns: model, method, pair, genuine, clean_score, patched_score, area (the pair's under
        its error curve), stratified_area (NaN where it was not measured), auroc and
        average_precision.

        Raises:
            ImportError: pandas is missing.
            ValueError: No method was measured.

        >>> results = BenchmarkResults({}, {})
        >>> results.to_pandas()
        Traceback (most recent call last):
        ValueError: no method was measured, so there are no rows
        """
        tables = [
            {"model": np.full(len(found.pairs), model), "method": np.full(len(found.pairs), name)}
            | self.models[model].rows_of(name)
            for model, name, found in self.each_method()
        ]
        if not tables:
            raise ValueError("no method was measured, so there are no rows")
        return data_frame(concatenate(tables))

    def each_method(self) -> Iterator[tuple[str, str, MethodResults]]:
        """The names of model and method, and the method's results on all of its pairs."""
        for model, found in self.models.items():
            for name, result in found.methods.items():
                yield model, name, result

    @classmethod
    def load(cls, folder: str | Path) -> BenchmarkResults:
        """Read a finished run folder.

        Raises:
            FileNotFoundError: No run, or one that has not ended.
            ValueError: A damaged config, or Parquet tables without pyarrow.
        """
        folder = Path(folder)
        config = read_config(folder)
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
                stratified (T + 1,) or NaN, auroc, average_precision; tied is not in runs of before.
            latency: One row for each model, method and timed pair: model, method, seconds,
                batched_seconds (a pair's share of its batch).
            audit: One row for each model, method and checked pair: model, method, and the columns
                of `audit_method`.
        """
        models = {}
        for model in _names(scores["model"]):
            clean = _select(scores, model=model)
            own = _select(maps, model=model)
            point = OperatingPoint.in_config(config, model)
            methods = {
                method: _method_results(
                    clean,
                    point,
                    _select(own, method=method),
                    None if latency is None else _select(latency, model=model, method=method),
                    None if audit is None else _select(audit, model=model, method=method),
                )
                for method in _names(own["method"])
            }
            models[model] = ModelResults(
                clean["clean_score"], clean["patched_score"], clean["genuine"], methods, point
            )
        return cls(config, models)


def read_config(folder: Path) -> dict[str, Any]:
    """What a run's config.json holds.

    Raises:
        FileNotFoundError: There is none.
        ValueError: It is no JSON, or no object of entries.
    """
    path = folder / CONFIG
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; want a benchmark's folder")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: not JSON ({error}); remove it to begin anew") from error
    if not isinstance(config, dict) or config.get("tables", "npz") not in ("npz", "parquet"):
        raise ValueError(f"{path}: not a run's; remove it to begin anew")
    return config


def _method_results(
    scores: Table, point: OperatingPoint, maps: Table, latency: Table | None, audit: Table | None
) -> MethodResults:
    """One method on one model, from its rows of the run's tables and the model's scores."""
    threshold = point.threshold_on(scores["clean_score"], scores["genuine"])
    # All pairs set the threshold; some of them alone know it rather from elsewhere.
    rule = point.rule if len(maps["pair"]) == len(scores["pair"]) else None

    def genuine(table: Table) -> BoolArray:
        return scores["genuine"][np.searchsorted(scores["pair"], table["pair"])]

    def dpr(column: str) -> DPRResult:
        steps = np.ascontiguousarray(maps[column].T)
        return DPRResult(steps[:-1], steps[-1], genuine(maps), threshold, maps.get("tied"), rule)

    times = checks = None
    if latency and len(latency["seconds"]):
        times = Latency(latency["seconds"], float(latency["batched_seconds"].sum()))
    if audit and len(audit["pair"]):
        checks = MapAudit.from_table(audit, genuine(audit), threshold)
    return MethodResults(
        maps["pair"],
        dpr("replaced"),
        None if np.isnan(maps["stratified"]).all() else dpr("stratified"),
        maps["auroc"],
        maps["average_precision"],
        times,
        checks,
    )


def _names(column: npt.NDArray[Any]) -> list[str]:
    """The different values of a column, in the order of their first rows."""
    values, first = np.unique(column, return_index=True)
    return [str(values[i]) for i in np.argsort(first)]


def _select(table: Table, **wanted: str) -> Table:
    """The rows in which columns have the wanted values."""
    chosen = np.logical_and.reduce([table[name] == value for name, value in wanted.items()])
    return {name: values[chosen] for name, values in table.items()}
