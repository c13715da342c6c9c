"""What the tables say: the paper's Tables 1-3, with intervals and controls beside every figure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import get_args

import numpy as np

from captum_fv.attr.methods import GROUPS
from captum_fv.benchmark.results import BenchmarkResults
from captum_fv.core.arrays import BoolArray, FloatArray
from captum_fv.metrics.bootstrap import Interval, mean_interval
from captum_fv.metrics.controls import CONTROLS, unbeaten_controls
from captum_fv.metrics.dpr_result import DPRResult, Rate
from captum_fv.metrics.rates import FEW_PAIRS
from captum_fv.report.audit_tables import deletion_table, lu_table, sanity_table
from captum_fv.report.text_table import CONTROL, Cell, Rounded, TextTable, Verdict

BASELINES = {"rnd": "RND", "centre": "centre"}
"""Controls to which every area is also given as a ratio, and what the columns call them."""

ALL_CONTROLS = frozenset(CONTROLS) | frozenset(GROUPS["controls"])
"""Methods that stand in the tables only to be compared with."""

TOO_FEW_ERRORS = 5
"""With fewer pairs in error, tables give a figure without an interval, and say why."""

MANY_TIES = 0.1
"""From this mean share of equal values on, tables say how much chance ranks in a method's maps."""

DPR_CAPTION = (
    "Decision-based patch replacement: areas under the error curves, and their ratios to "
    "controls on the same pairs, with 95 % intervals over pairs; lower is better."
)

STRATIFIED_CAPTION = (
    "Stratified DPR: the same with positions ranked only within strata of equal mean sensitivity, "
    "so that it earns nothing to know where the model looks in any face."
)

CONTROLS_NOTE = (
    "Controls explain nothing: rnd is chance, centre a fixed bump on the face, difference uses no "
    "model, sensitivity has no polarity (oracle knows the patches). A method beats a control if "
    "the paired 95 % interval of its mean AUC minus the control's lies below zero; those that it "
    "does not beat are named."
)

FEW_PAIRS_NOTE = (
    "There are only {} pairs of one class: thresholds and error rates are coarse below "
    + f"{FEW_PAIRS}. With a few hundred pairs they say more."
)

NO_RATIO = "A dash: too few errors for a ratio."

SUBSET_NOTE = (
    "Some methods were measured on fewer pairs. Ratios and comparisons are always over the same "
    "pairs; areas compare only between methods with equally many."
)


def benchmark_tables(results: BenchmarkResults) -> list[TextTable]:
    """All tables that a run has figures for: errors, DPR, stratified DPR, places, checks, times."""
    measured = [result for *_, result in results.each_method()]
    tables = [error_table(results)]
    if measured:
        tables.append(benchmark_dpr_table(results))
    if any(result.stratified is not None for result in measured):
        tables.append(benchmark_dpr_table(results, stratified=True))
    if any(np.isfinite(result.auroc).any() for result in measured):
        tables.append(localisation_table(results))
    if any(result.audit is not None for result in measured):
        tables.append(deletion_table(results))
    if any(result.audit is not None and result.audit.lu for result in measured):
        tables.append(lu_table(results))
    if any(result.audit is not None and result.audit.sanity for result in measured):
        tables.append(sanity_table(results))
    if any(result.latency is not None for result in measured):
        tables.append(latency_table(results))
    return tables


def error_table(results: BenchmarkResults) -> TextTable:
    """Table 1: what each model errs on clean pairs and, at the same threshold, on patched ones."""
    points = [str(model.point) for model in results.models.values()]
    rows = [
        [
            name,
            str(len(model.genuine)),
            Rounded.of(model.eer, ".4f"),
            Rounded.of(model.threshold, ".4f"),
            *(Rounded.of(rate, ".3f") for rate in model.patched_errors),
        ]
        for name, model in results.models.items()
    ]
    notes = few_pairs_notes(model.genuine for model in results.models.values())
    notes += _precision_notes(results)
    return TextTable(
        "table1",
        "Errors of the models on the clean pairs, and on the patched pairs at the clean pairs' "
        f"threshold: {', '.join(dict.fromkeys(points))}.",
        ["model", "pairs", "EER", "threshold", "patched FMR", "patched FNMR"],
        rows,
        notes,
    )


def dpr_table(runs: Mapping[str, DPRResult]) -> TextTable:
    """Table 2 for one model: DPR areas, their ratios to the baselines, the controls not beaten.

    Args:
        runs: Method's name -> its DPR, all on the same pairs.
    """
    table = _dpr_table("table2", DPR_CAPTION, [("", name, runs) for name in runs])
    return replace(table, header=table.header[1:], rows=[row[1:] for row in table.rows])


def benchmark_dpr_table(results: BenchmarkResults, *, stratified: bool = False) -> TextTable:
    """Table 2 for all models; `stratified`: of DPR in which a map ranks within strata alone."""
    lines: list[_Line] = []
    for model, name, _ in results.each_method():
        runs = {
            other: run
            for other, result in results.models[model].on_pairs_of(name).items()
            if (run := result.stratified if stratified else result.dpr) is not None
        }
        if name in runs:
            lines.append((model, name, runs))
    if stratified:
        return _dpr_table("table2_stratified", STRATIFIED_CAPTION, lines)
    return _dpr_table("table2", DPR_CAPTION, lines)


def localisation_table(results: BenchmarkResults) -> TextTable:
    """How well the maps point at the patches, whose places are known."""
    rows: list[list[Cell]] = []
    for model, name, own in results.each_method():
        misled, genuine = own.dpr.misled, own.dpr.genuine
        row: list[Cell] = [model, name, str(len(own.pairs))]
        for values in (own.auroc, own.average_precision):
            chosen = (np.ones_like(misled), misled & ~genuine, misled & genuine)
            row += [_mean(values[some]) for some in chosen]
        rows.append(row)
    figures = ("AUROC", "average precision")
    kinds = ("", " on false matches", " on false non-matches")
    titles = [figure + kind for figure in figures for kind in kinds]
    return TextTable(
        "localisation",
        "Patch localisation: mean AUROC and average precision of the maps of A against the true "
        "patches, with 95 % intervals; higher is better.",
        ["model", "method", "pairs", *titles],
        rows,
        [
            "By chance AUROC is 0.5, and average precision the patched share of the image.",
            "Only where the patches turned the decision do they explain it: over all pairs no "
            "honest map comes near 1. The patches of an impostor pair are copies of B, so what "
            "compares A with B finds them.",
        ],
        titles,
    )


def latency_table(results: BenchmarkResults) -> TextTable:
    """Table 3: seconds to explain both images of a pair, one pair at a time and in batches."""
    rows = []
    for model, name, result in results.each_method():
        if (latency := result.latency) is not None:
            seconds = (latency.seconds.mean(), latency.seconds.sum(), latency.batched_total)
            rows.append([model, name, str(latency.pairs), *map(seconds_of, seconds)])
    return TextTable(
        "table3",
        "Latency: seconds to make the maps of both images, one pair at a time and in batches.",
        ["model", "method", "pairs", "mean of a pair", "total one by one", "total in batches"],
        rows,
    )


_Line = tuple[str, str, Mapping[str, DPRResult]]
"""A model, a method, and the runs on its pairs, its own among them."""


def _dpr_table(table: str, caption: str, lines: Sequence[_Line]) -> TextTable:
    runs = {name: run for *_, compared in lines for name, run in compared.items()}
    baselines = [name for name in BASELINES if name in runs]
    controlled = not runs.keys().isdisjoint(CONTROLS)
    header = ["model", "method", "pairs"]
    for title in ("FMR", "FNMR", "mean"):
        header += [f"{title} AUC"] if title != "mean" else []
        header += [f"{title} / {BASELINES[baseline]}" for baseline in baselines]
    header += ["does not beat"] if controlled else []
    rows: list[list[Cell]] = []
    for model, name, compared in lines:
        row: list[Cell] = [model, name, str(len(compared[name].genuine))]
        for rate in get_args(Rate):
            row += [_area(compared[name], rate)] if rate != "mean" else []
            row += [ratio_to(compared.get(b), compared[name], rate) or "-" for b in baselines]
        row += [_verdict(name, compared)] if controlled else []
        rows.append(row)
    notes = [f"Areas run from 0 to {len(next(iter(runs.values())).scores) - 1}."]
    if baselines:
        notes.append("Under mean stands the mean of the ratios of FMR and FNMR.")
    if any(isinstance(cell, Interval) and np.isnan(cell.low) for row in rows for cell in row):
        notes.append(f"Too few errors: of fewer than {TOO_FEW_ERRORS} pairs at any step.")
    if any(cell == "-" for row in rows for cell in row):
        notes.append(NO_RATIO)
    if controlled:
        notes.append(CONTROLS_NOTE)
    if len({len(compared[name].genuine) for _, name, compared in lines}) > 1:
        notes.append(SUBSET_NOTE)
    notes += few_pairs_notes(compared[name].genuine for _, name, compared in lines)
    notes += _tie_notes(lines)
    with_interval = [title for title in header if "AUC" in title or " / " in title]
    return TextTable(table, caption, header, rows, notes, with_interval)


def few_pairs_notes(labels: Iterable[BoolArray]) -> list[str]:
    """That there are few pairs of one class, if there are, from the labels (N,) of each row."""
    fewest = min((min(some.sum(), (~some).sum()) for some in labels), default=FEW_PAIRS)
    return [FEW_PAIRS_NOTE.format(fewest)] if fewest < FEW_PAIRS else []


def _precision_notes(results: BenchmarkResults) -> list[str]:
    """Which models computed otherwise than in single precision."""
    identities = results.config.get("models", {})
    used = {name: identities.get(name, {}).get("precision", "float32") for name in results.models}
    coarse = [f"{name} in {kind}" for name, kind in used.items() if kind != "float32"]
    return [f"Computed {', '.join(coarse)}; results in float32."] if coarse else []


def _tie_notes(lines: Sequence[_Line]) -> list[str]:
    """Whose maps say nothing, or leave much to chance."""
    constant, tied = [], []
    for model, name, compared in lines:
        share = compared[name].tied
        title = f"{name} on {model}" if model else name
        if share is not None and (share == 1).any():
            constant.append(f"{title} {(share == 1).sum()} of {len(share)}")
        elif share is not None and name not in ALL_CONTROLS and share.mean() > MANY_TIES:
            tied.append(f"{title} {100 * share.mean():.0f} %")
    notes = []
    if constant:
        notes.append(
            f"Constant maps, which say nothing and score as chance: {'; '.join(constant)}."
        )
    if tied:
        notes.append(
            "Equal values go back in one fixed random order; positions whose value another one has "
            f"too: {'; '.join(tied)}."
        )
    return notes


def _verdict(name: str, runs: Mapping[str, DPRResult]) -> Verdict:
    if name in ALL_CONTROLS:
        return CONTROL
    unbeaten = unbeaten_controls(name, runs)
    return Verdict(", ".join(unbeaten), "bad") if unbeaten else Verdict("beats all", "good")


def _area(run: DPRResult, rate: Rate) -> Interval:
    return _unless_too_few(run.auc_interval(rate), rate, run)


def ratio_to(baseline: DPRResult | None, run: DPRResult, rate: Rate) -> Interval | None:
    """A run's area over a baseline's; None without one, or with too few errors for a ratio."""
    try:
        if baseline is None:
            return None
        return _unless_too_few(run.relative_to(baseline, rate), rate, run, baseline)
    except ValueError:  # the areas beside it still stand
        return None


def _unless_too_few(interval: Interval, rate: Rate, *runs: DPRResult) -> Interval:
    """The same, without its ends if a run has too few errors to speak of them."""
    if min(run.errors(rate) for run in runs) >= TOO_FEW_ERRORS:
        return interval
    return interval._replace(low=np.nan, high=np.nan)


def _mean(values: FloatArray) -> Cell:
    known = values[np.isfinite(values)]
    return mean_interval(known) if len(known) else "-"


def seconds_of(value: float) -> Rounded:
    """A time with three digits, without an exponent."""
    digits = np.format_float_positional(value, 3, unique=False, fractional=False).rstrip(".")
    return Rounded(digits, value)
