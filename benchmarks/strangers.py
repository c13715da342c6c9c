"""How many pixels stand out of strangers' maps, in genuine pairs and in impostor pairs?

    python benchmarks/strangers.py
    python benchmarks/strangers.py --data lfw_aligned --pairs pairs.txt --model face.pt2

One bank for the A of each genuine pair serves its B and a cohort of strangers, of whom each is held
against the others: impostor pairs, left out one by one. The bar: .045 +- .02 of an impostor pair's
pixels have |z| > 2.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch

from captum_fv import SiameseCosine, load_backbone
from captum_fv.attr import AmongStrangers, among_strangers
from captum_fv.attr.methods import build_methods
from captum_fv.benchmark.settings import evenly
from captum_fv.data import PairSet, generated_pairs, lfw_pairs
from captum_fv.report.text_table import TextTable

sys.path.insert(0, str(Path(__file__).resolve().parent))  # where shared/ is
from shared.cells import mean_text
from shared.command import hand_over, study_parser

PARTS = ("corrrise", "xface2", "minplus_s0", "interaction")
"""The methods that read a bank."""

COHORT = 100
"""Strangers to a pair."""


def main() -> None:
    """Hold evenly spread genuine pairs against strangers, and print a row for each method."""
    options = study_parser(__doc__, PARTS, limit=30, out="strangers").parse_args()
    siamese = SiameseCosine(load_backbone(options.model), options.mean, options.std)
    pairs = generated_pairs(400)
    if options.pairs is not None:
        pairs = lfw_pairs(options.data, options.pairs)
    genuine = np.flatnonzero(pairs.genuine)
    chosen = genuine[evenly(len(genuine), options.limit)]
    people, embeddings = _strangers(siamese, pairs)
    rows = []
    for name, method in build_methods(options.parts, siamese, threshold=0.0).items():
        found, impostors = [], 0
        for k in chosen:
            img_a, img_b = pairs.tensors([k])
            cohort = embeddings[people != pairs.people[2 * k]][:COHORT]
            with torch.no_grad():
                partner = siamese.embed_images(img_b)[0]
            found.append(among_strangers(method, img_a[0], partner, cohort))
            impostors += len(cohort)
        rows.append([name, str(len(found)), str(impostors), *_figures(found)])
    figures = ["genuine", "impostor", "pairs with a tenth", "S-norm", "reliability"]
    header = ["method", "genuine pairs", "impostor pairs", *figures]
    caption = (
        "Share of the pixels with |z| > 2 in genuine and in impostor pairs, mean over images; "
        "share of the genuine pairs in which a tenth of them have it."
    )
    hand_over(TextTable("strangers", caption, header, rows), options.out)


def _strangers(siamese: SiameseCosine, pairs: PairSet) -> tuple[np.ndarray, torch.Tensor]:
    """Names and embeddings of different people, from the impostor pairs."""
    images = {pairs.people[2 * k]: k for k in np.flatnonzero(~pairs.genuine)}
    people = list(images)[: COHORT + 1]
    with torch.no_grad():
        seen = [siamese.embed_images(pairs.tensors([images[name]])[0]) for name in people]
    return np.array(people), torch.cat(seen)


def _figures(found: list[AmongStrangers]) -> list[str]:
    """Means over images, with their intervals."""
    own, chance, norm = (
        np.array(values)
        for values in zip(
            *((one.share.found, one.share.chance, one.s_norm) for one in found), strict=True
        )
    )
    reliable = [one.reliability for one in found if one.reliability is not None]
    return [
        mean_text(own),
        mean_text(chance),
        f"{np.mean(own > 0.1):.2f}",
        f"{norm.mean():.1f}",
        f"{np.mean(reliable):.2f}" if reliable else "-",
    ]


if __name__ == "__main__":
    main()
