"""`captum-fv benchmark`: models by methods by pairs into a run folder, and its report."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace

from captum_fv.attr.methods import expand_names
from captum_fv.benchmark.run import run_benchmark
from captum_fv.benchmark.settings import BenchmarkSettings
from captum_fv.benchmark.workers import is_first_process, own_device
from captum_fv.cli.inputs import load_patched, load_siamese, method_names, model_name
from captum_fv.cli.options import SEED, add_option, add_run_options, photo_workers, whole
from captum_fv.explain.run_pages import write_run_pages
from captum_fv.report.terminal import run_text
from captum_fv.report.write import write_report
from captum_fv.siamese.backbone import contract
from captum_fv.siamese.model import SiameseCosine

HELP = "measure methods in full: a run folder with tables, figures and a report"
DESCRIPTION = """
Scores, errors, DPR, stratified DPR, patch localisation and latency of every method on every model,
in a folder with report.html. The same command goes on where an interrupted one stopped. To share
the work among N processes: torchrun --nproc-per-node N -m captum_fv benchmark ..."""


def add(parser: ArgumentParser) -> None:
    """Its options."""
    add_run_options(parser, default_out="captum-fv-out/benchmark")
    group = parser.add_argument_group("what is measured")
    group.add_argument(
        "--subset",
        type=_subset,
        action="append",
        default=[],
        metavar="METHOD[,METHOD]=N",
        help="measure slow methods on N pairs only, spread evenly over the set",
    )
    group.add_argument(
        "--no-strata",
        action="store_true",
        help="leave stratified DPR out, which takes a gradient of every pair",
    )
    standard = BenchmarkSettings()
    audited = (
        "also measure deletion and insertion on so many pairs, without patches, and on a few of "
        "them whether maps pass the sanity checks; 100 do"
    )
    add_option(group, "--audit-pairs", "--check-pairs", default=standard.audit_pairs, help=audited)
    checked = "on how many of them the sanity checks run, seven explanations of each"
    add_option(group, "--sanity-pairs", default=standard.sanity_pairs, help=checked)
    group.add_argument(
        "--lu-fills",
        type=lambda text: text.split(","),
        default=list(standard.lu_fills),
        metavar="FILL[,FILL]",
        help="with --audit-pairs, what removed places show in the deletion and insertion of Lu et "
        "al.: some of black, blur, alternative, road (default: black, as published)",
    )
    timed = "time methods on so many pairs; 0: do not"
    add_option(group, "--latency-pairs", default=standard.latency_pairs, help=timed)
    until = "time no further pair of a method after so long"
    add_option(group, "--latency-seconds", default=standard.latency_seconds, help=until)
    faces = parser.add_argument_group("faces in the report").add_mutually_exclusive_group()
    paged = "a page of its own for so many pairs of a model's gallery, as `explain` writes them"
    add_option(faces, "--pair-pages", type=whole, default=0, help=paged)
    faces.add_argument("--no-faces", action="store_true", help="show no photos, to hand it on")


def run(options: Namespace) -> None:
    """A run, or the rest of one, and its report; prints what it comes to."""
    names = method_names(options)
    settings = BenchmarkSettings(
        subset={
            name: count
            for group, count in options.subset
            for name in expand_names(group.split(","))
        },
        batch_size=options.batch_size,
        seed=SEED if options.seed is None else options.seed,
        threshold=options.threshold,
        fmr=options.fmr,
        stratified=not options.no_strata,
        audit_pairs=options.audit_pairs,
        sanity_pairs=options.sanity_pairs,
        lu_fills=options.lu_fills,
        latency_pairs=options.latency_pairs,
        latency_seconds=options.latency_seconds,
    )
    options.device = own_device(options.device)
    models = _load_models(options)
    sizes = (contract(siamese.backbone).size for siamese in models.values())
    size = next((size for size in sizes if size is not None), None)
    patched = load_patched(options, size, draws_maps=True)
    results = run_benchmark(
        models,
        patched,
        names,
        options.out,
        settings,
        device=options.device,
        workers=photo_workers(options),
        command=options.command_line,
        show_progress=True,
    )
    if is_first_process():
        print("writing the report", file=sys.stderr, flush=True)
        if options.no_faces:
            write_report(options.out)
        else:
            shown = {"pairs": patched, "models": models, "device": options.device}
            pages = write_run_pages(results, out=options.out, count=options.pair_pages, **shown)
            write_report(options.out, pair_pages=pages, **shown)
        print(f"{run_text(results)}\n")
        print(f"All tables: {options.out / 'tables'}")
        print(f"wrote {options.out / 'report.html'}")


def _load_models(options: Namespace) -> dict[str, SiameseCosine]:
    """Models by the names that tables call them; two files of one name get their folders too."""
    models: list[str] = options.model.split(",")
    if options.checkpoint is not None and len(models) > 1:
        raise ValueError("--checkpoint is for one --model; give several as files")
    stems = [model_name(model) for model in models]
    loaded = {}
    for model, stem in zip(models, stems, strict=True):
        name = stem if stems.count(stem) == 1 else model
        if name in loaded:
            raise ValueError(f"--model: {model} stands twice")
        loaded[name] = load_siamese(Namespace(**vars(options) | {"model": model}))
    return loaded


def _subset(text: str) -> tuple[str, int]:
    names, equals, count = text.rpartition("=")
    if not equals or not count.isdigit() or int(count) < 1:
        raise ArgumentTypeError(f"got {text!r}; want METHOD=N or METHOD,METHOD=N")
    return names, int(count)
