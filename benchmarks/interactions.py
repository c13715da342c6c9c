"""How much of a score do pair interactions explain, and how much the best two maps?

    python benchmarks/interactions.py
    python benchmarks/interactions.py --data lfw_aligned --pairs pairs.txt --model face.pt2

R2 over scores under masks that were not fitted. The bar, at 9/10 kept: 0.8 or more in the mean over
pairs, 0.08 or more above the best two maps; sums within 1e-3 of the score in the rows that add up.
One bank of an image serves both kinds of weights.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import get_args

import numpy as np

from captum_fv import PairInteraction, SiameseCosine, load_backbone
from captum_fv.attr import Interactions
from captum_fv.attr.links import Weights
from captum_fv.benchmark.settings import evenly
from captum_fv.data import generated_pairs, lfw_pairs
from captum_fv.report.text_table import TextTable

sys.path.insert(0, str(Path(__file__).resolve().parent))  # where shared/ is
from shared.cells import mean_text
from shared.command import hand_over, study_parser

PARTS = {f"{rows}x{rows}_{keep}": ((rows, rows), keep) for rows in (4, 7) for keep in (0.9, 0.5)}
"""Name -> grid, probability of a cell to be kept."""


def main() -> None:
    """Explain evenly spread pairs, and print a row for each part and class of pairs."""
    options = study_parser(__doc__, PARTS, limit=100, out="interactions").parse_args()
    siamese = SiameseCosine(load_backbone(options.model), options.mean, options.std)
    pairs = generated_pairs(options.limit)
    if options.pairs is not None:
        pairs = lfw_pairs(options.data, options.pairs)
        pairs = pairs.subset(evenly(len(pairs), options.limit).tolist())
    rows = []
    for part in options.parts:
        grid, keep = PARTS[part]
        methods = {
            weights: PairInteraction(siamese, grid, keep=keep, weights=weights)
            for weights in get_args(Weights)
        }
        found: dict[str, list[Interactions]] = {weights: [] for weights in methods}
        for i in range(len(pairs)):
            banks = [methods["banzhaf"].bank(image[0]) for image in pairs.tensors([i])]
            for weights, method in methods.items():
                found[weights].append(method.explain_banks(*banks))
        for weights, explained in found.items():
            for kind, wanted in (("genuine", True), ("impostor", False)):
                chosen = [explained[i] for i in np.flatnonzero(pairs.genuine == wanted)]
                rows.append([part, weights, kind, str(len(chosen)), *_figures(chosen)])
    header = [
        "part",
        "weights",
        "pairs",
        "n",
        "R2",
        "R2 of two maps",
        "gain",
        "farthest sum",
        "same cell",
    ]
    caption = "Share of the variance of scores under masks that were not fitted, mean over pairs."
    hand_over(TextTable("interactions", caption, header, rows), options.out)


def _figures(found: list[Interactions]) -> list[str]:
    """Means over pairs; and how far the sum of effects may lie from the score."""
    r2, additive = (
        np.array([getattr(one, name) for one in found]) for name in ("r2", "r2_additive")
    )
    farthest = max(abs(one.effects.sum() - one.score) for one in found)
    means = [mean_text(values) for values in (r2, additive, r2 - additive)]
    return [*means, f"{farthest:.0e}", mean_text(np.array([_same_cell(one) for one in found]))]


def _same_cell(found: Interactions) -> float:
    """Share of all |interaction| that is between a cell of A and B's cell at the same place."""
    size = np.abs(found.links)
    return float(np.trace(size) / size.sum())


if __name__ == "__main__":
    main()
