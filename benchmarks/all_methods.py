"""Every method in one table: DPR, patches that misled, Lu's figures, sanity, swap game, cost.

    python benchmarks/all_methods.py --out RUN
    python benchmarks/all_methods.py --data lfw_aligned_112 --pairs pairs_folds_1_4.txt \
        --model edgeface_xxs.pt2 --range 1200 2400 --out RUN

Each group of methods is a run of `captum_fv.run_benchmark` in a folder of its own, and a swap game
in another, so the same command goes on where it stopped, and `--groups` takes the work in pieces;
the table has what is finished. Slow methods are measured on fewer pairs, spread evenly over those
of the others, and compared with chance on the same.
"""

from __future__ import annotations

import argparse
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from captum_fv import SiameseCosine, load_backbone
from captum_fv.attr.method_notes import NOTES
from captum_fv.attr.methods import METHODS, expand_names, method_builder
from captum_fv.benchmark import (
    BenchmarkResults,
    BenchmarkSettings,
    SwapGameRun,
    play_swap_game,
    run_benchmark,
)
from captum_fv.benchmark.audit import MapAudit
from captum_fv.benchmark.results import MethodResults, ModelResults
from captum_fv.benchmark.settings import evenly
from captum_fv.benchmark.swap_run import face_parts
from captum_fv.data import (
    PatchedPairs,
    generated_pairs,
    generated_swaps,
    lfw_pairs,
    patch_pairs,
    transplanted_swaps,
)
from captum_fv.metrics import LuFigures, SwapGameResult
from captum_fv.metrics.bootstrap import mean_interval
from captum_fv.report.audit_tables import deletion_table, lu_table, sanity_table
from captum_fv.report.text_table import Cell, TextTable

sys.path.insert(0, str(Path(__file__).resolve().parent))  # where shared/ is
from shared.cells import ratio
from shared.command import hand_over


class Group(NamedTuple):
    """Methods that are measured in one run.

    Args:
        methods: Their names.
        pairs: How many pairs, with patches.
        audit: How many without, for deletion and insertion.
        sanity: How many of these for the sanity checks.
        faces: How many faces get twins in the swap game.
    """

    methods: tuple[str, ...]
    pairs: int = 400
    audit: int = 60
    sanity: int = 10
    faces: int = 40


SLOW = (60, 20, 3, 6)

GROUPS = {
    "controls": Group(("rnd", "controls")),
    "gradients": Group(
        (
            *("xssab", "iag_decision", "iag_polarity", "iag_relevance", "iag_agreement"),
            *("agreement", "gradcam", "saliency", "input_x_gradient"),
        )
    ),
    "xcos": Group(("xcos",)),
    "occlusion": Group(("occlusion_alt",), *SLOW),
    "corrrise": Group(("corrrise", "corrrise_alt"), *SLOW),
    "minplus_s0": Group(("minplus_s0",), *SLOW),
    "interaction": Group(("interaction",), *SLOW),
    "fggb": Group(("fggb",), *SLOW),
    "fame": Group(("fame",), *SLOW),
    "xface": Group(("xface1", "xface2", "xface3"), *SLOW),
    "xface_alt": Group(("xface1_alt", "xface2_alt", "xface3_alt"), *SLOW),
    "minplus": Group(("minplus",), 12, 6, 1, 2),
}
"""What is measured together, the quick ones first."""


def main() -> None:
    """Measure the groups asked for, and print the table of all that are there."""
    options = parse_arguments()
    siamese = SiameseCosine(load_backbone(options.model), options.mean, options.std)
    name = Path(options.model).stem
    patched = load_pairs(options)
    for group in options.groups:
        measure(name, siamese, patched, group, options)
    found, games = measured(name, options.out)
    hand_over(whole_table(found, games, f"{name}, {patched.clean.name}"), options.out)
    every = BenchmarkResults({}, {name: found})
    hand_over(lu_table(every), options.out)
    hand_over(sanity_table(every), options.out)
    hand_over(deletion_table(BenchmarkResults({}, {name: on_pairs_of_chance(found)})), options.out)


def load_pairs(options: argparse.Namespace) -> PatchedPairs:
    """Pairs spread evenly over the range of the set, each with the patches that it has in it."""
    if options.data == "generated":
        return patch_pairs(generated_pairs(options.limit))
    patched = patch_pairs(lfw_pairs(options.data, options.pairs))
    first, last = options.range or (0, len(patched))
    chosen = first + evenly(last - first, options.limit)
    return patched.subset(chosen.tolist())


def measure(
    name: str,
    siamese: SiameseCosine,
    patched: PatchedPairs,
    group: str,
    options: argparse.Namespace,
) -> None:
    """Run a group, or what is left of it."""
    methods = [method for method in expand_names(GROUPS[group].methods) if can_run(method, siamese)]
    if not methods:
        return
    pairs, audit, sanity, faces = GROUPS[group][1:]
    settings = BenchmarkSettings(
        subset=dict.fromkeys(methods, pairs),
        batch_size=20,
        audit_pairs=audit,
        sanity_pairs=sanity,
        lu_fills=options.lu_fills.split(","),
        latency_pairs=3,
        latency_seconds=0,
        threshold=options.threshold,
    )
    found = run_benchmark(
        {name: siamese}, patched, methods, options.out / group, settings, show_progress=True
    )
    if not faces:
        return
    swaps = generated_swaps(faces)
    if options.data != "generated":
        swaps = transplanted_swaps(patched.clean, face_parts(patched.places.size), faces)
    threshold, out = found.models[name].threshold, options.out / f"{group}-swap"
    play_swap_game(siamese, swaps, methods, threshold, out, show_progress=True)


def can_run(method: str, siamese: SiameseCosine) -> bool:
    """Whether the model has what the method asks for: xCos wants a head."""
    try:
        method_builder(method)(siamese, 0.0)
    except (TypeError, ValueError):
        return False
    return True


def measured(name: str, folder: Path) -> tuple[ModelResults, dict[str, SwapGameResult]]:
    """What the finished groups found of all methods, and of their games."""
    models, games = [], {}
    for group in GROUPS:
        with suppress(FileNotFoundError):  # not asked for yet, or interrupted
            models.append(BenchmarkResults.load(folder / group).models[name])
            games |= SwapGameRun.load(folder / f"{group}-swap").methods
    found = {method: result for model in models for method, result in model.methods.items()}
    if "rnd" not in found:
        raise SystemExit("the table wants chance to compare with: --groups controls")
    return replace(
        models[0], methods={name: found[name] for name in METHODS if name in found}
    ), games


def on_pairs_of_chance(model: ModelResults) -> ModelResults:
    """Only methods whose deletion and insertion are over the same pairs as those of rnd."""
    audits = {name: result.audit for name, result in model.methods.items() if result.audit}
    alike = [name for name, audit in audits.items() if audit.pairs == audits["rnd"].pairs]
    return replace(model, methods={name: model.methods[name] for name in alike})


def whole_table(model: ModelResults, games: dict[str, SwapGameResult], of: str) -> TextTable:
    """One row for each method."""
    chance = model.methods["rnd"]
    rows: list[list[Cell]] = []
    for method, result in model.methods.items():
        audit, game = result.audit, games.get(method)
        row: list[Cell] = [method, str(len(result.pairs)), *dpr_figures(result, chance)]
        row += lu_figures(audit) if audit else ["-"] * 6
        row += swap_figures(game) if game else ["-"] * 4
        seconds = "-" if result.latency is None else f"{result.latency.seconds.mean():.2g}"
        rows.append([*row, NOTES[method].cost, seconds])
    header = ["method", "pairs", "DPR", "within strata", "misled AUROC", "clean pairs"]
    header += ["Lu deletion, genuine", "insertion", "Lu deletion, impostor", "insertion"]
    header += ["fails sanity", "triplets", "swap 1 %", "swap AUROC", "part first"]
    return TextTable(
        "all_methods",
        f"All methods on {of}. DPR: mean area over that of rnd on the same pairs, as published and "
        "within strata, lower is better; AUROC of the patches where they turned the decision. Lu: "
        "area under right decisions in per cent, black, deletion lower and insertion higher is "
        "better. Swap game: probes that pass as their twin at 1 % false alarms, AUROC of what was "
        "swapped, and how often the swapped part ranks first; higher is better. Cost and seconds "
        "are of both maps of a pair.",
        [*header, "cost", "seconds"],
        rows,
    )


def dpr_figures(result: MethodResults, rnd: MethodResults) -> list[Cell]:
    """DPR in two readings, and AUROC of the patches that misled."""
    chance, cells = rnd.on(result.pairs), result.stratified is None
    misled = result.auroc[result.dpr.misled]
    return [
        ratio(result.dpr, chance.dpr),
        "-" if cells else ratio(result.stratified, chance.stratified),
        mean_interval(misled) if len(misled) and np.isfinite(misled).all() else "-",
    ]


def lu_figures(audit: MapAudit) -> list[Cell]:
    """On how many pairs; Lu's figures by population; which sanity checks fail."""
    row: list[Cell] = [str(audit.pairs)]
    for population in ("genuine", "impostor"):
        for figure in LuFigures.of(audit.lu["black"][population]):
            row.append(f"{figure.value:.0f} [{figure.low:.0f}, {figure.high:.0f}]")
    faults = [fault.split()[0] for fault in audit.sanity.failures()] if audit.sanity else []
    return [*row, ", ".join(faults).replace("not", "patches") or "nothing"]


def swap_figures(game: SwapGameResult) -> list[Cell]:
    """On how many triplets, and three figures."""
    return [str(len(game.parts)), game.at(0.01), game.mean_auroc(), game.recall()]


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="generated", help='"generated" or NAME/NAME_0001.jpg')
    parser.add_argument("--pairs", type=Path, help="pairs.txt of such a folder")
    parser.add_argument("--range", type=int, nargs=2, help="pairs from this one to before that one")
    parser.add_argument("--model", default="demo", help='"demo" or a .pt2 or TorchScript file')
    parser.add_argument("--mean", type=float, default=0.5)
    parser.add_argument("--std", type=float, default=0.5)
    parser.add_argument("--limit", type=int, default=400, help="take this many, evenly spread")
    parser.add_argument("--threshold", type=float, help="from where a pair matches; else the EER's")
    parser.add_argument("--lu-fills", default="black", help="as in captum-fv benchmark")
    parser.add_argument("--groups", default=",".join(GROUPS), help=f"some of {', '.join(GROUPS)}")
    parser.add_argument("--out", type=Path, default=Path("captum-fv-out", "all-methods"))
    options = parser.parse_args()
    options.groups = options.groups.split(",") if options.groups else []
    if unknown := [group for group in options.groups if group not in GROUPS]:
        parser.error(f"--groups: got {', '.join(unknown)}; want some of {', '.join(GROUPS)}")
    return options


if __name__ == "__main__":
    main()
