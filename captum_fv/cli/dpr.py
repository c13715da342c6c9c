"""`captum-fv dpr`: a quick look at methods on one model, the benchmark's engine with less to do."""

from __future__ import annotations

import csv
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from captum_fv.benchmark.model_results import ModelResults
from captum_fv.benchmark.run import run_benchmark
from captum_fv.benchmark.settings import BenchmarkSettings
from captum_fv.cli.inputs import load_patched, load_siamese, method_names, model_name
from captum_fv.cli.options import add_run_options, photo_workers
from captum_fv.data.patched_pairs import PatchedPairs
from captum_fv.metrics.dpr_result import DPRResult
from captum_fv.report.pictures import plot_dpr
from captum_fv.report.tables import dpr_table
from captum_fv.report.terminal import findings_text
from captum_fv.siamese.backbone import contract
from captum_fv.siamese.model import SiameseCosine

HELP = "measure methods by decision-based patch replacement"
DESCRIPTION = """
Score the clean pairs, set the threshold, patch the pairs, explain them, and replace what the
maps point at. Writes curves.png, curves.csv and table.md beside a run's files. The same command
goes on where an interrupted one stopped."""


def add(parser: ArgumentParser) -> None:
    """Its options."""
    add_run_options(parser, default_out="captum-fv-out/dpr")


def run(options: Namespace) -> None:
    """Measure the methods, print what it comes to."""
    siamese = load_siamese(options)
    measure(
        model_name(options.model),
        siamese,
        load_patched(options, contract(siamese.backbone).size),
        method_names(options),
        options.out,
        batch_size=options.batch_size,
        device=options.device,
        workers=photo_workers(options),
        command=options.command_line,
        threshold=options.threshold,
        fmr=options.fmr,
    )


def measure(
    name: str,
    siamese: SiameseCosine,
    patched: PatchedPairs,
    methods: Sequence[str],
    out: Path,
    *,
    batch_size: int | None = None,
    device: str = "cpu",
    workers: int = 0,
    command: str | None = None,
    threshold: float | Literal["model"] | None = None,
    fmr: float | None = None,
) -> ModelResults:
    """DPR alone of some methods: no strata, no audit, no latency; curves and one table, printed."""
    started = time.monotonic()
    settings = BenchmarkSettings(
        batch_size=batch_size, stratified=False, latency_pairs=0, threshold=threshold, fmr=fmr
    )
    results = run_benchmark(
        {name: siamese},
        patched,
        methods,
        out,
        settings,
        device=device,
        workers=workers,
        command=command,
        show_progress=True,
    )
    model = results.models[name]
    runs = {method: result.dpr for method, result in model.methods.items()}
    table = dpr_table(runs)
    pairs = patched.clean.name
    fmr, fnmr = model.patched_errors
    summary = (
        f"{pairs}: {len(patched)} pairs, EER {model.eer:.4f}, threshold {model.threshold:.4f} "
        f"({model.point}); patched: FMR {fmr:.3f}, FNMR {fnmr:.3f}"
    )
    if siamese.precision != "float32":
        summary += f"; computed in {siamese.precision}"
    text = "\n".join([summary, "", table.markdown(), *table.notes])
    plot_dpr(runs, f"{pairs}, {len(patched)} pairs").savefig(out / "curves.png", dpi=150)
    _write_curves(out / "curves.csv", runs)
    (out / "table.md").write_text(f"{text}\n", encoding="utf-8")
    print(f"{summary}\n{findings_text(results)}\n")
    print(f"{time.monotonic() - started:.0f} s; wrote curves.png, curves.csv and table.md to {out}")
    return model


def _write_curves(path: Path, runs: Mapping[str, DPRResult]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["method", "replaced", "fmr", "fnmr"])
        for name, dpr in runs.items():
            for point in zip(dpr.fractions, dpr.fmr, dpr.fnmr, strict=True):
                writer.writerow([name, *(f"{value:.6g}" for value in point)])
