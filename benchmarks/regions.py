"""Does the region that makes two faces differ come first in the table of regions?

    python benchmarks/regions.py
    python benchmarks/regions.py --first 1000    # twins on which no setting was chosen
    python benchmarks/regions.py --model face.pt2 --limit 40

A twin is a generated person with one group of features of somebody else: the nose, the eyes, the
hair. Explained is a photo of the person against a photo of the twin in other circumstances, so that
all of the picture changes, and one region only is another person's. The mate is the person's own
photo in the twin's circumstances. Kept are twins that the model tells apart, as it finds the photos
of either person nearer to each other than to the other's, and whose changed pixels lie for the most
part in one region: that is the truth.

Regions are ranked from what speaks most against one person: by what the twin's photo gives them,
and by how much that is below what the mate's gives. Right and left are one region here. The bar: in
60 % of the twins the changed region comes first by the best part; chance is one of eight, 12 %.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from captum_fv import PairInteraction, SiameseCosine, load_backbone
from captum_fv.attr import Regions, face_regions
from captum_fv.attr.atlas import both_sides
from captum_fv.attr.contributions import scores_hidden
from captum_fv.attr.links import Weights
from captum_fv.attr.methods import build_methods
from captum_fv.attr.pair import Pair
from captum_fv.core.arrays import BoolArray, FloatArray
from captum_fv.data import to_tensor
from captum_fv.data.generated import (
    UNSEEN_PEOPLE,
    Identity,
    Nuisance,
    render_face,
    sample_identity,
    sample_nuisance,
)
from captum_fv.data.generated.swaps import PARTS, swap_part
from captum_fv.report.text_table import TextTable
from captum_fv.siamese.backbone import contract

sys.path.insert(0, str(Path(__file__).resolve().parent))  # where shared/ is
from shared.cells import mean_text
from shared.command import hand_over, study_parser

Ranking = Callable[[Pair], FloatArray]
"""A pair -> what speaks for one person in each region."""

MAPS = ("xssab", "iag_decision", "input_x_gradient", "difference", "centre")
"""Methods whose maps are summed over each region; the last two are controls."""

CHANGED = 2
"""Grey levels by which a pixel must differ to count as changed."""


MASKS = 128
"""Of `PairInteraction`, for eight regions."""


class Twin(NamedTuple):
    """A person's photo, the mate and the twin's photo, each (1, 3, 112, 112), and what changed.

    Args:
        probe: The person.
        mate, twin: The person and the twin, both in other circumstances than the probe.
        other: The twin in the probe's circumstances.
        changed: Which pixels of the probe differ from that, (112, 112).
        group: What was exchanged.
    """

    probe: Tensor
    mate: Tensor
    twin: Tensor
    other: Tensor
    changed: BoolArray
    group: str


def make_twin(number: int) -> Twin:
    """The twin of this number; the groups take turns."""
    rng = np.random.default_rng([number, 17])
    group = list(PARTS)[number % len(PARTS)]
    own, donor = (sample_identity(int(UNSEEN_PEOPLE + n)) for n in rng.integers(10**6, size=2))
    exchanged = swap_part(own, donor, group)
    first, second = sample_nuisance(rng), sample_nuisance(rng)

    def photo(who: Identity, circumstances: Nuisance) -> Tensor:
        return to_tensor([render_face(who, circumstances)])

    probe, other = photo(own, first), photo(exchanged, first)
    changed = ((255 * (probe - other)).abs() > CHANGED + 0.5).any(1)[0].numpy()
    return Twin(probe, photo(own, second), photo(exchanged, second), other, changed, group)


def truth(siamese: SiameseCosine, twin: Twin, regions: Regions) -> int | None:
    """The changed region; None for a twin that is left out."""
    pixels = np.bincount(regions.labels[twin.changed], minlength=len(regions))
    if pixels.max() <= pixels.sum() / 2:
        return None
    with torch.no_grad():
        seen = siamese.embed_images(torch.cat([twin.probe, twin.mate, twin.twin, twin.other]))
    probe, mate, of_twin, other = seen
    told_apart = probe @ mate > probe @ of_twin and other @ of_twin > other @ mate
    return int(pixels.argmax()) if told_apart else None


def rankings(siamese: SiameseCosine, regions: Regions, threshold: float) -> dict[str, Ranking]:
    """What `region_report` says by name, and maps summed over the regions."""

    def contribution(weights: Weights) -> Ranking:
        method = PairInteraction(siamese, regions=regions, weights=weights, masks=MASKS)

        def values(pair: Pair) -> FloatArray:
            (found,) = method.explain(pair)
            return np.sum(found.values(), axis=0)

        return values

    def hiding(pair: Pair) -> FloatArray:
        hidden = scores_hidden(siamese, (pair[0][0], pair[1][0]), (regions, regions))
        with torch.no_grad():
            return siamese(*pair).item() - np.array(hidden)

    def summed(name: str) -> Ranking:
        method = build_methods([name], siamese, threshold)[name]

        def sums(pair: Pair) -> FloatArray:
            maps = sum(mapped.mean((0, 1)) for mapped in method.attribute(pair))
            return np.bincount(regions.labels.ravel(), maps.ravel().numpy(), len(regions))

        return sums

    maps = {name: summed(name) for name in MAPS}
    contributions = {"contribution": contribution("banzhaf"), "adds_up": contribution("adds_up")}
    return {**contributions, "hiding": hiding, **maps}


def main() -> None:
    """Make twins until enough are kept, and print a row for each part."""
    parts = ["contribution", "adds_up", "hiding", *MAPS]
    parser = study_parser(__doc__, parts, limit=100, out="regions")
    parser.add_argument("--first", type=int, default=0, help="number of the first twin")
    options = parser.parse_args()
    siamese = SiameseCosine(load_backbone(options.model), options.mean, options.std)
    regions = both_sides(face_regions())
    ranked = rankings(siamese, regions, contract(siamese.backbone).threshold or 0.23)
    first: dict[str, list[tuple[bool, bool]]] = {part: [] for part in options.parts}
    groups: list[str] = []
    made = 0
    while len(groups) < options.limit:
        twin = make_twin(options.first + made)
        made += 1
        if (changed := truth(siamese, twin, regions)) is None:
            continue
        groups.append(twin.group)
        for part in options.parts:
            against, own = (ranked[part]((twin.probe, two)) for two in (twin.twin, twin.mate))
            first[part].append((against.argmin() == changed, (against - own).argmin() == changed))
    rows = []
    for part, found in first.items():
        alone, less_mate = np.array(found, dtype=float).T
        of_group = (
            f"{group} {less_mate[[g == group for g in groups]].mean():.2f}"
            for group in sorted(set(groups))
        )
        rows.append([part, mean_text(alone), mean_text(less_mate), ", ".join(of_group)])
    known = ", ".join(f"{groups.count(group)} {group}" for group in sorted(set(groups)))
    caption = f"How often the changed region comes first: {len(groups)} of {made} twins ({known})."
    header = ["by", "against the twin", "less against the mate", "of which"]
    hand_over(TextTable("regions", caption, header, rows), options.out)


if __name__ == "__main__":
    main()
