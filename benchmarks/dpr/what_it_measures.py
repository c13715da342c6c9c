"""What does decision-based patch replacement (DPR) measure, and what else do maps have to show?

    python benchmarks/dpr/what_it_measures.py
    python benchmarks/dpr/what_it_measures.py --data lfw_aligned --pairs pairs.txt \
        --model face.pt2 --methods xssab,rnd,controls --limit 400 --out RUN

Writes a table for each part and a picture to the folder; docs/what_dpr_measures.md says what they
mean.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from captum_fv import SiameseCosine, load_backbone
from captum_fv.attr.methods import METHODS, expand_names
from captum_fv.benchmark.measure import score_clean_pairs
from captum_fv.data import PairSet, generated_pairs, lfw_pairs, patch_pairs
from captum_fv.data.patched_pairs import PatchedPairs
from captum_fv.metrics import Interval
from captum_fv.report.text_table import TextTable

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # where dpr/ and shared/ are
from dpr.study import NAMES, MapStudy
from dpr.tables import PARTS
from shared.command import hand_over, study_parser
from shared.two_faced import generated_with_three_photos


def main() -> None:
    """Measure the parts asked for."""
    arguments = parse_arguments()
    siamese = SiameseCosine(load_backbone(arguments.model), arguments.mean, arguments.std)
    patched, faces, every = load_pairs(arguments)
    clean = score_clean_pairs(siamese, every, show_progress=True)
    print(
        f"{len(patched)} of {len(every)} pairs, EER of all {clean.eer:.4f} at threshold "
        f"{clean.threshold:.4f}"
    )
    study = MapStudy(siamese, patched, clean.threshold, arguments.methods, faces, arguments.steps)
    for part in arguments.parts:
        table = PARTS[part](study)
        hand_over(table, arguments.out)
        if part == "dpr":
            plot_readings(table).savefig(arguments.out / "readings.png", dpi=120)


def plot_readings(table: TextTable) -> Figure:
    """The four readings of DPR for every method, with intervals; 1 is chance."""
    columns = [4, 5, 6, 7]
    figure = Figure(figsize=(9, 0.9 + 0.55 * len(table.rows)), layout="constrained")
    axis = figure.subplots()
    for j, column in enumerate(columns):
        found = [
            (i + 0.17 * (j - 1.5), *row[column])
            for i, row in enumerate(table.rows)
            if isinstance(row[column], Interval)
        ]
        height, value, low, high = np.array(found).reshape(-1, 4).T
        axis.errorbar(
            value,
            height,
            xerr=(value - low, high - value),
            fmt="o",
            markersize=4,
            label=table.header[column],
        )
    axis.axvline(1, color="black", linewidth=0.8)
    axis.set_yticks(range(len(table.rows)), [str(row[0]) for row in table.rows])
    axis.invert_yaxis()
    axis.set_xlabel("DPR AUC, mean of both errors, as a ratio; 1 is chance")
    axis.grid(axis="x", alpha=0.3)
    figure.legend(loc="outside upper center", ncols=4, fontsize=8)
    return figure


def load_pairs(arguments: argparse.Namespace) -> tuple[PatchedPairs, PairSet, PairSet]:
    """Pairs spread evenly over the set; faces with third photos; all pairs, for the threshold."""
    if arguments.data == "generated":
        patched = patch_pairs(generated_pairs(arguments.limit))
        return patched, generated_with_three_photos(arguments.limit), patched.clean
    patched = patch_pairs(lfw_pairs(arguments.data, arguments.pairs, check_images=True))
    count = min(arguments.limit, len(patched))
    chosen = np.linspace(0, len(patched) - 1, count).round().astype(int).tolist()
    return patched.subset(chosen), patched.clean, patched.clean


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = study_parser(__doc__.splitlines()[0], PARTS, limit=300, out="what-dpr-measures")
    parser.add_argument("--methods", default="xssab,rnd,controls", help=", ".join(NAMES))
    arguments = parser.parse_args()
    named = arguments.methods.split(",")
    extra = [name for name in named if name in NAMES and name not in METHODS]
    arguments.methods = expand_names([name for name in named if name not in extra]) + extra
    if missing := {"rnd", "centre", "sensitivity"} - set(arguments.methods):
        parser.error(f"--methods: want {', '.join(sorted(missing))}, too, to compare with")
    return arguments


if __name__ == "__main__":
    main()
