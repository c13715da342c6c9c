"""`captum-fv benchmark`: from options to a run folder."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from pathlib import Path

from captum_fv.attr.methods import GROUPS, METHODS, expand_names
from captum_fv.benchmark.run import run_benchmark
from captum_fv.benchmark.settings import BenchmarkSettings
from captum_fv.benchmark.workers import is_first_process, own_device
from captum_fv.cli.options import load_patched, load_siamese, positive
from captum_fv.report.tables import benchmark_tables
from captum_fv.report.write import write_report
from captum_fv.siamese.model import SiameseCosine


def add_benchmark_options(parser: ArgumentParser) -> None:
    """What `captum-fv benchmark` can be told, beside the model and the data."""
    group = parser.add_argument_group("benchmark")
    group.add_argument(
        "--methods",
        default="xssab,rnd,controls",
        help=f"any of {', '.join([*METHODS, *GROUPS])}, or module:Class for one of your own; "
        "commas between (default: xssab,rnd,controls)",
    )
    group.add_argument(
        "--subset",
        type=_subset,
        action="append",
        default=[],
        metavar="METHOD[,METHOD]=N",
        help="measure slow methods on N pairs only, spread evenly over the set",
    )
    group.add_argument(
        "--batch-size",
        type=positive,
        default=BenchmarkSettings.batch_size,
        help="pairs explained at once, and lost if the run is killed (default: %(default)s)",
    )
    group.add_argument(
        "--no-strata",
        action="store_true",
        help="leave stratified DPR out, which takes a gradient of every pair",
    )
    group.add_argument(
        "--check-pairs",
        type=int,
        default=BenchmarkSettings.check_pairs,
        help="also measure deletion and insertion on so many pairs, without patches, and on a few "
        "of them whether maps pass the sanity checks; 100 do (default: 0)",
    )
    group.add_argument(
        "--latency-pairs",
        type=int,
        default=BenchmarkSettings.latency_pairs,
        help="time methods on so many pairs; 0: do not (default: %(default)s)",
    )
    group.add_argument(
        "--latency-seconds",
        type=float,
        default=BenchmarkSettings.latency_seconds,
        help="time no further pair of a method after so long (default: %(default)g)",
    )
    group.add_argument(
        "--no-faces", action="store_true", help="show no photos in the report, to hand it on"
    )
    group.add_argument(
        "--out",
        type=Path,
        default=Path("captum-fv-out/benchmark"),
        help="the run's folder: new, empty, or of an interrupted run (default: %(default)s)",
    )


def run_command(arguments: Namespace) -> None:
    """`captum-fv benchmark`: a run, or the rest of one; prints its tables."""
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())  # so that module:Class is found beside the user
    names = expand_names(arguments.methods.split(","))
    settings = BenchmarkSettings(
        subset={
            name: count
            for group, count in arguments.subset
            for name in expand_names(group.split(","))
        },
        batch_size=arguments.batch_size,
        seed=arguments.seed,
        stratified=not arguments.no_strata,
        check_pairs=arguments.check_pairs,
        latency_pairs=arguments.latency_pairs,
        latency_seconds=arguments.latency_seconds,
    )
    arguments.device = own_device(arguments.device)
    models, patched = _load_models(arguments), load_patched(arguments)
    results = run_benchmark(
        models,
        patched,
        names,
        arguments.out,
        settings,
        device=arguments.device,
        command=arguments.command_line,
        show_progress=True,
    )
    if is_first_process():
        print("writing the report", file=sys.stderr, flush=True)
        if arguments.no_faces:
            write_report(arguments.out)
        else:
            write_report(arguments.out, pairs=patched, models=models, device=arguments.device)
        for table in benchmark_tables(results):
            print("\n".join([table.caption, "", table.markdown(), *table.notes, ""]))
        print(f"wrote {arguments.out / 'report.html'}")


def _load_models(arguments: Namespace) -> dict[str, SiameseCosine]:
    """Models by the names that tables call them; two files of one name get their folders too."""
    models: list[str] = arguments.model.split(",")
    if arguments.checkpoint is not None and len(models) > 1:
        raise ValueError("--checkpoint is for one --model; give several as files")
    stems = [Path(model).stem if Path(model).suffix else model for model in models]
    loaded = {}
    for model, stem in zip(models, stems, strict=True):
        name = stem if stems.count(stem) == 1 else model
        if name in loaded:
            raise ValueError(f"--model: {model} stands twice")
        loaded[name] = load_siamese(Namespace(**vars(arguments) | {"model": model}))
    return loaded


def _subset(text: str) -> tuple[str, int]:
    names, equals, count = text.rpartition("=")
    if not equals or not count.isdigit() or int(count) < 1:
        raise ArgumentTypeError(f"got {text!r}; want METHOD=N or METHOD,METHOD=N")
    return names, int(count)
