"""How much of a score do pair interactions explain, and how much the best two maps?

    python benchmarks/interactions.py
    python benchmarks/interactions.py --data lfw_aligned --pairs pairs.txt --model face.pt2

R2 over scores under masks that were not fitted. The bar, at 9/10 kept: 0.8 or more in the mean over
pairs, 0.08 or more above the best two maps; sums within 1e-3 of the score in the rows that add up.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from captum_fv import PairInteraction, SiameseCosine, load_backbone
from captum_fv.attr import Interactions
from captum_fv.benchmark.settings import evenly
from captum_fv.data import generated_pairs, lfw_pairs
from captum_fv.report.text_table import TextTable

sys.path.insert(0, str(Path(__file__).resolve().parent))  # where shared/ is
from shared.cells import mean_text
from shared.command import hand_over, study_parser

PARTS = {
    f"{rows}x{rows}_{keep}_{weights}": ((rows, rows), keep, weights)
    for rows in (4, 7)
    for keep in (0.9, 0.5)
    for weights in ("banzhaf", "adds_up")
}
"""Name -> grid, probability of a cell to be kept, weights."""


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
        grid, keep, weights = PARTS[part]
        method = PairInteraction(siamese, grid, keep=keep, weights=weights)
        found = [method.explain(pairs.tensors([i]))[0] for i in range(len(pairs))]
        for kind, wanted in (("genuine", True), ("impostor", False)):
            chosen = [one for one, same in zip(found, pairs.genuine, strict=True) if same == wanted]
            rows.append([part, kind, str(len(chosen)), *_figures(chosen)])
    header = ["part", "pairs", "n", "R2", "R2 of two maps", "gain", "farthest sum", "same cell"]
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
