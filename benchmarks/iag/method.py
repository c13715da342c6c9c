"""Does a method of our own beat xSSAB at its price, and for what the model uses?

    python benchmarks/iag/method.py --limit 60
    python benchmarks/iag/method.py --data lfw_aligned_112 --pairs pairs_folds_1_4.txt \
        --model edgeface_xxs.pt2 --range 1200 2400 --limit 400

Writes a table for each part; OWN_METHOD.md beside this file says what they mean. The methods may
be any of the package's, and the trials of trials.py.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from captum_fv import SiameseCosine, load_backbone
from captum_fv.attr.methods import expand_names
from captum_fv.benchmark.measure import score_clean_pairs
from captum_fv.data import PairSet, generated_pairs, lfw_pairs, patch_pairs

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # where iag/, shared/ and speed/ are
from iag.study import BUILD, Study
from iag.tables import PARTS
from shared.command import hand_over, study_parser
from shared.two_faced import generated_with_three_photos

OWN = "iag_decision,iag_polarity,iag_agreement"
NEEDED = ["rnd", "centre", "xssab", "before_decision", "before_polarity"]


def main() -> None:
    """Measure the parts asked for."""
    arguments = parse_arguments()
    siamese = SiameseCosine(load_backbone(arguments.model), arguments.mean, arguments.std)
    pairs, faces = load_pairs(arguments)
    first, last = arguments.range or (0, len(pairs))
    if not 0 <= first < last <= len(pairs):
        raise SystemExit(f"--range: got {first} {last}; want a part of 0 {len(pairs)}")
    clean = score_clean_pairs(siamese, pairs, show_progress=True)
    count = min(arguments.limit, last - first)
    chosen = np.linspace(first, last - 1, count).round().astype(int).tolist()
    print(f"{count} of {len(pairs)} pairs, EER {clean.eer:.4f} at threshold {clean.threshold:.4f}")
    batch = patch_pairs(pairs).batch(chosen)
    study = Study(siamese, pairs, faces, batch, clean.threshold, arguments.methods, arguments.steps)
    for part in arguments.parts:
        hand_over(PARTS[part](study), arguments.out)


def load_pairs(arguments: argparse.Namespace) -> tuple[PairSet, PairSet]:
    """All pairs, whose clean scores set the threshold; and pairs of people with three photos."""
    if arguments.data == "generated":
        return generated_pairs(arguments.limit), generated_with_three_photos(arguments.limit)
    pairs = lfw_pairs(arguments.data, arguments.pairs)
    return pairs, pairs


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = study_parser(__doc__.splitlines()[0], PARTS, limit=400, out="iag")
    parser.add_argument(
        "--methods", default=f"{OWN},sensitivity", help=f"beside {', '.join(NEEDED)}: {[*BUILD]}"
    )
    parser.add_argument("--range", type=int, nargs=2, help="pairs from this one to before that one")
    arguments = parser.parse_args()
    named = arguments.methods.split(",")
    trials = [name for name in named if name in BUILD]
    try:
        others = expand_names([name for name in named if name not in trials])
    except ValueError as error:
        parser.error(f"--methods: {error}")
    arguments.methods = list(dict.fromkeys([*NEEDED, *trials, *others]))
    if "oracle" in arguments.methods:
        parser.error("--methods: oracle knows the patches, which some parts do not have")
    return arguments


if __name__ == "__main__":
    main()
