"""What a run comes to: one sentence for each model, and one narrow table."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from captum_fv.benchmark.model_results import MethodResults, ModelResults
from captum_fv.benchmark.results import BenchmarkResults
from captum_fv.metrics.bootstrap import Interval
from captum_fv.metrics.controls import CONTROLS, unbeaten_controls
from captum_fv.metrics.dpr_result import DPRResult
from captum_fv.report.tables import ALL_CONTROLS, NO_RATIO, few_pairs_notes, ratio_to, seconds_of
from captum_fv.report.text_table import CONTROL, Cell, TextTable, Verdict

CAPTION = "Area under the errors that are left as pixels go back; lower is better."

NOTES = {
    "of chance": "Of chance: the area over that of random maps on the same pairs.",
    "in strata": "In strata: the same where it earns nothing to know where the model looks.",
    "finds patches": "Finds patches: AUROC of the map against the true patches; 0.5 is chance.",
    "does not beat": (
        "Controls explain nothing, apart from the oracle, which knows the patches. A method that "
        "does not beat them may be low for reasons that explain nothing."
    ),
}
"""What a column says, where it is there."""


def ranked_methods(model: ModelResults) -> list[str]:
    """The methods, controls aside, that can be compared, the one with the lowest area first.

    Areas are over chance's on the same pairs; without chance, of the methods on the most pairs.
    """
    names = [name for name in model.methods if name not in ALL_CONTROLS]
    ratios = {name: ratio.value for name in names if (ratio := chance_ratio(model, name))}
    if ratios:
        return sorted(ratios, key=ratios.__getitem__)
    most = max((len(model.methods[name].pairs) for name in names), default=0)
    whole = [name for name in names if len(model.methods[name].pairs) == most]
    return sorted(whole, key=lambda name: _mean_area(model.methods[name].dpr))


def chance_ratio(model: ModelResults, name: str) -> Interval | None:
    """A method's area over that of random maps on the same pairs; None where there is no such."""
    runs = _runs(model, name)
    return ratio_to(runs.get("rnd"), runs[name], "mean")


def result_sentence(name: str, model: ModelResults) -> str:
    """What was found of the methods on one model, in one sentence.

    Args:
        name: The model's.
        model: Its results.
    """
    ranked = ranked_methods(model)
    if not ranked:
        return f"On {name}, no method was measured but controls."
    best, others = ranked[0], len(ranked) - 1
    ratio, runs = chance_ratio(model, best), _runs(model, best)
    pairs, whole = len(model.methods[best].pairs), len(model.genuine)
    on = f" on {pairs} of {whole} pairs" if pairs < whole else ""
    lowest = f", the lowest of {others + 1} methods" if others else ""
    areas = f"areas of {runs[best].fmr_auc:.2f} (FMR) and {runs[best].fnmr_auc:.2f} (FNMR)"
    found = f"{ratio} of chance's area" if ratio else areas
    has = f"On {name}, {best} has {found}{on}{lowest}"
    if runs.keys().isdisjoint(set(CONTROLS) - {"rnd"}):
        return f"{has}; no control{' but chance' if 'rnd' in runs else ''} was measured beside it."
    unbeaten = unbeaten_controls(best, runs)
    verdict = f"but does not beat {_listed(unbeaten)}" if unbeaten else "and beats every control"
    return f"{has}, {verdict}."


def error_sentence(name: str, model: ModelResults) -> str:
    """How often a model errs, without and with patches."""
    fmr, fnmr = model.patched_errors
    return (
        f"{name}: EER {model.eer:.4f} on {len(model.genuine)} clean pairs, threshold "
        f"{model.threshold:.4f} ({model.point}); with patches FMR {fmr:.3f}, FNMR {fnmr:.3f}."
    )


def summary_table(results: BenchmarkResults) -> TextTable:
    """The few figures of each method to read first; `benchmark_tables` has all.

    Areas are those of both rates over that of random maps on the same pairs or, where these were
    not measured, of each rate alone.
    """
    measured = list(results.each_method())
    ratios = [chance_ratio(results.models[model], name) for model, name, _ in measured]
    with_chance = any(ratios)
    stratified = any(found.stratified is not None for *_, found in measured)
    places = any(np.isfinite(found.auroc).any() for *_, found in measured)
    timed = any(found.latency is not None for *_, found in measured)
    controlled = any(name in CONTROLS for _, name, _ in measured)
    areas = ["of chance"] if with_chance else ["FMR area", "FNMR area"]
    header = ["model", "method", "pairs", *areas]
    header += ["in strata"] if stratified and with_chance else []
    header += ["finds patches"] if places else []
    header += ["s / pair"] if timed else []
    header += ["does not beat"] if controlled else []
    rows = []
    for name, method, found in measured:
        cells = _cells(results.models[name], method, found) | {"model": name, "method": method}
        rows.append([cells[title] for title in header])
    notes = [note for title, note in NOTES.items() if title in header]
    notes += [NO_RATIO] if with_chance and not all(ratios) else []
    notes += few_pairs_notes(model.genuine for model in results.models.values())
    with_interval = [title for title in header if title in (*areas, "in strata")]
    return TextTable("summary", CAPTION, header, rows, notes, with_interval)


def _cells(model: ModelResults, name: str, found: MethodResults) -> dict[str, Cell]:
    """Title -> a method's cell, for each column that there may be."""
    runs = _runs(model, name)
    known = found.auroc[np.isfinite(found.auroc)]
    cells: dict[str, Cell] = {
        "pairs": str(len(found.pairs)),
        "of chance": chance_ratio(model, name) or "-",
        "FMR area": found.dpr.auc_interval("fmr"),
        "FNMR area": found.dpr.auc_interval("fnmr"),
        "in strata": _stratified_ratio(model, name) or "-",
        "finds patches": f"{known.mean():.2f}" if len(known) else "-",
        "s / pair": seconds_of(found.latency.seconds.mean()) if found.latency else "-",
    }
    beaten = unbeaten_controls(name, runs)
    verdict = Verdict(", ".join(beaten), "bad") if beaten else Verdict("beats all", "good")
    return cells | {"does not beat": CONTROL if name in ALL_CONTROLS else verdict}


def _runs(model: ModelResults, name: str) -> Mapping[str, DPRResult]:
    return {other: found.dpr for other, found in model.on_pairs_of(name).items()}


def _stratified_ratio(model: ModelResults, name: str) -> Interval | None:
    alike = model.on_pairs_of(name)
    own, rnd = alike[name].stratified, alike["rnd"].stratified if "rnd" in alike else None
    return None if own is None else ratio_to(rnd, own, "mean")


def _mean_area(run: DPRResult) -> float:
    return (run.fmr_auc + run.fnmr_auc) / 2


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
