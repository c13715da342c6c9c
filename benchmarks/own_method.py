"""Does a method of our own beat xSSAB at its price, and for what the model uses?

    python benchmarks/own_method.py --limit 60
    python benchmarks/own_method.py --data lfw_aligned_112 --pairs pairs_folds_1_4.txt \
        --model edgeface_xxs.pt2 --range 1200 2400 --limit 400

Writes a table for each part; OWN_METHOD.md beside this file says what they mean. The methods may
be any of the package's, and the trials of own_trials.py.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from captum_fv.benchmark.compare import score_clean_pairs
from own_study import BUILD, OwnStudy
from own_tables import PARTS
from two_faced import generated_with_three_photos

from captum_fv import SiameseCosine, load_backbone
from captum_fv.attr.methods import expand_names
from captum_fv.data import PairSet, generated_pairs, lfw_pairs, patch_pairs

OWN = "iag_decision,iag_polarity"
NEEDED = ["rnd", "centre", "xssab"]


def main() -> None:
    """Measure the parts asked for."""
    arguments = parse_arguments()
    arguments.out.mkdir(parents=True, exist_ok=True)
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
    study = OwnStudy(siamese, batch, clean.threshold, arguments.methods, arguments.steps)
    for part in arguments.parts:
        table = PARTS[part](study, faces)
        print(f"\n{table.caption}\n\n{table.markdown()}", flush=True)
        (arguments.out / f"{part}.md").write_text(table.markdown(), encoding="utf-8")
        (arguments.out / f"{part}.csv").write_text(table.csv(), encoding="utf-8")


def load_pairs(arguments: argparse.Namespace) -> tuple[PairSet, PairSet]:
    """All pairs, whose clean scores set the threshold; and pairs of people with three photos."""
    if arguments.data == "generated":
        return generated_pairs(arguments.limit), generated_with_three_photos(arguments.limit)
    pairs = lfw_pairs(arguments.data, arguments.pairs)
    return pairs, pairs


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="generated", help='"generated" or NAME/NAME_0001.jpg')
    parser.add_argument("--pairs", type=Path, help="pairs.txt of such a folder")
    parser.add_argument("--model", default="demo", help='"demo" or a .pt2 or TorchScript file')
    parser.add_argument("--mean", type=float, default=0.5)
    parser.add_argument("--std", type=float, default=0.5)
    parser.add_argument(
        "--methods", default=f"{OWN},sensitivity", help=f"beside {', '.join(NEEDED)}: {[*BUILD]}"
    )
    parser.add_argument("--parts", default=",".join(PARTS), help=f"some of {', '.join(PARTS)}")
    parser.add_argument("--range", type=int, nargs=2, help="pairs from this one to before that one")
    parser.add_argument("--limit", type=int, default=400, help="take this many, evenly spread")
    parser.add_argument("--steps", type=int, default=20, help="of every curve; the paper takes 20")
    parser.add_argument("--out", type=Path, default=Path("captum-fv-out/own-method"))
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
    arguments.parts = arguments.parts.split(",")
    if unknown := set(arguments.parts) - set(PARTS):
        parser.error(f"--parts: got {', '.join(unknown)}; want some of {', '.join(PARTS)}")
    return arguments


if __name__ == "__main__":
    main()
