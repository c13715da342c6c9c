"""Every method in one table: DPR, patches that misled, Lu's figures, sanity and cost.

    python benchmarks/all_methods.py --out RUN
    python benchmarks/all_methods.py --data lfw_aligned_112 --pairs pairs_folds_1_4.txt \
        --model edgeface_xxs.pt2 --range 1200 2400 --out RUN

Each group of methods is a run of `captum_fv.run_benchmark` in a folder of its own, so the same
command goes on where it stopped, and `--groups` takes the work in pieces; the table has what is
finished. Slow methods are measured on fewer pairs, spread evenly over those of the others, and
compared with chance on the same.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np

from captum_fv import SiameseCosine, load_backbone
from captum_fv.attr.method_notes import NOTES
from captum_fv.attr.methods import METHODS, expand_names, method_builder
from captum_fv.benchmark import BenchmarkResults, BenchmarkSettings, run_benchmark
from captum_fv.benchmark.results import MethodResults
from captum_fv.benchmark.settings import evenly
from captum_fv.data import PatchedPairs, generated_pairs, lfw_pairs, patch_pairs
from captum_fv.metrics import Interval
from captum_fv.metrics.bootstrap import mean_interval
from captum_fv.metrics.lu import LuFigures
from captum_fv.report.text_table import Cell, TextTable

sys.path.insert(0, str(Path(__file__).resolve().parent))  # where shared/ is
from shared.cells import ratio
from shared.command import hand_over


class Group(NamedTuple):
    """Methods that are measured in one run.

    Args:
        methods: Their names.
        pairs: How many pairs a run has, with patches and, for the audit, without; and for sanity.
    """

    methods: tuple[str, ...]
    pairs: int = 400
    audit: int = 60
    sanity: int = 10


SLOW = (60, 20, 3)

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
    "xface": Group(("xface1", "xface2", "xface3"), 60, audit=0),
    "xface_alt": Group(("xface1_alt", "xface2_alt", "xface3_alt"), 60, audit=0),
    "minplus": Group(("minplus",), 12, audit=0),
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
    hand_over(whole_table(name, patched.clean.name, options.out), options.out)


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
    pairs, audit, sanity = GROUPS[group][1:]
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
    run_benchmark(
        {name: siamese}, patched, methods, options.out / group, settings, show_progress=True
    )


def can_run(method: str, siamese: SiameseCosine) -> bool:
    """Whether the model has what the method asks for: xCos wants a head."""
    try:
        method_builder(method)(siamese, 0.0)
    except (TypeError, ValueError):
        return False
    return True


def whole_table(name: str, pairs: str, folder: Path) -> TextTable:
    """One row for each method of the groups that are finished, in the order of METHODS."""
    found: dict[str, MethodResults] = {}
    for group in GROUPS:
        try:
            found |= BenchmarkResults.load(folder / group).models[name].methods
        except FileNotFoundError:
            continue  # not asked for yet, or interrupted
    if "rnd" not in found:
        raise SystemExit("the table wants chance to compare with: --groups controls")
    rows = [
        [method, *figures(found[method], found["rnd"]), *costs(method, found[method])]
        for method in METHODS
        if method in found
    ]
    header = ["method", "pairs", "DPR", "within strata", "misled AUROC"]
    header += ["pairs", "Lu, genuine: deletion", "insertion", "Lu, impostor: deletion", "insertion"]
    header += ["Lu, all: deletion", "insertion", "sanity: fails", "cost", "seconds"]
    return TextTable(
        "all_methods",
        f"All methods on {name}, {pairs}: mean DPR area over chance's on the same "
        "pairs, as published and within strata (lower is better); AUROC of the patches where they "
        "turned the decision; Lu's deletion (lower) and insertion (higher is better) in per cent, "
        "black; sanity; what both maps of a pair take, and seconds.",
        header,
        rows,
    )


def figures(result: MethodResults, rnd: MethodResults) -> list[Cell]:
    """DPR in two readings, the patches that misled, Lu's figures and what sanity finds."""
    chance = rnd.on(result.pairs)
    row: list[Cell] = [str(len(result.pairs)), ratio(result.dpr, chance.dpr)]
    if result.stratified is None or chance.stratified is None:
        row.append("-")  # cells are too coarse
    else:
        row.append(ratio(result.stratified, chance.stratified))
    misled = result.auroc[result.dpr.misled]
    row.append(mean_interval(misled) if np.isfinite(misled).all() and len(misled) else "-")
    if result.audit is None:
        return [*row, "-", *["-"] * 6, "-"]
    row.append(str(result.audit.pairs))
    runs = result.audit.lu["black"]
    for population in ("genuine", "impostor", "all"):
        row += [_percent(figure) for figure in LuFigures.of(runs[population])]
    faults = result.audit.sanity.failures() if result.audit.sanity else ["-"]
    return [*row, "; ".join(fault.partition(" (")[0] for fault in faults) or "nothing"]


def _percent(figure: Interval) -> str:
    return f"{figure.value:.0f} [{figure.low:.0f}, {figure.high:.0f}]"


def costs(method: str, result: MethodResults) -> list[Cell]:
    """What both maps of a pair take, and seconds, one pair at a time."""
    seconds = "-" if result.latency is None else f"{result.latency.seconds.mean():.2g}"
    return [NOTES[method].cost, seconds]


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
