"""The commands and their options; commands.py and demo.py do the work."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from captum_fv import commands
from captum_fv.attr.methods import GROUPS, METHODS
from captum_fv.demo import run_demo
from captum_fv.xcos_command import add_training_options

EXAMPLES = """\
examples:
  captum-fv demo
      everything on generated faces, in about a minute
  captum-fv explain a.jpg b.jpg --model face.pt2 --threshold 0.31 --out panel.png
      why these two aligned photos match, or not
  captum-fv dpr --data lfw_aligned --pairs pairs.txt --model face.pt2 --methods xssab,rnd,controls
      measure explanations on your own pairs
"""

NAMES = ", ".join([*METHODS, *GROUPS])


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; 0 if it worked, 2 after an error, which is one line on stderr."""
    arguments = build_parser().parse_args(argv)
    try:
        arguments.run(arguments)
    except (OSError, ValueError, TypeError, RuntimeError) as error:
        print(f"captum-fv: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("captum-fv: stopped", file=sys.stderr)
        return 130
    return 0


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message} (see {self.prog} --help)\n")


def build_parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    parser = _Parser(
        prog="captum-fv",
        description="Explain face verification, and measure the explanations.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")

    explain = subparsers.add_parser("explain", help="explain one pair of photos in a picture")
    explain.set_defaults(run=commands.explain)
    explain.add_argument("img_a", type=Path, metavar="A.jpg", help="an aligned photo")
    explain.add_argument("img_b", type=Path, metavar="B.jpg", help="the photo to compare it with")
    _add_model(explain)
    _add_head(explain)
    explain.add_argument(
        "--threshold",
        type=float,
        help="cosine from which a pair matches; `captum-fv dpr` finds it for your model "
        "(the demo model has its own)",
    )
    explain.add_argument(
        "--method", default="xssab", help=f"one or more of {NAMES}; commas between"
    )
    explain.add_argument("--out", type=Path, default=Path("panel.png"), help="the picture to write")

    dpr = subparsers.add_parser(
        "dpr",
        help="measure methods by decision-based patch replacement",
        description="Score the clean pairs, set the EER threshold, patch the pairs, explain them, "
        "and replace what the maps point at. Writes curves.png, curves.csv and table.md.",
    )
    dpr.set_defaults(run=commands.dpr)
    _add_data(dpr)
    _add_model(dpr)
    _add_head(dpr)
    dpr.add_argument(
        "--methods", default="xssab,rnd,controls", help=f"any of {NAMES}; commas between"
    )
    dpr.add_argument("--batch-size", type=_positive, default=32, help="pairs explained at once")
    dpr.add_argument("--out", type=Path, default=Path("captum-fv-out/dpr"), help="folder to write")

    patch = subparsers.add_parser(
        "patch",
        help="build a lossless Patch set with its manifest",
        description="Patch image A of every pair by the Patch-LFW recipe: from the partner in an "
        "impostor pair, from somebody else in a genuine one. Writes PNG files and manifest.json.",
    )
    patch.set_defaults(run=commands.patch)
    _add_data(patch)
    patch.add_argument("--out", type=Path, required=True, help="a new or empty folder")

    align = subparsers.add_parser(
        "align",
        help="cut the one face of a photo out, as models want it",
        description="Find the one frontal face in a photo and move it to the ArcFace template. The "
        "detector gives a box and no landmarks, so this is approximate: some 4 pixels off on "
        "average. With five landmarks, captum_fv.data.align_face is exact.",
    )
    align.set_defaults(run=commands.align)
    align.add_argument("photo", type=Path, metavar="IN", help="a photo of one person")
    align.add_argument("out", type=Path, metavar="OUT.png", help="the 112x112 photo to write")

    xcos = subparsers.add_parser(
        "xcos-train",
        help="train an xCos head over a backbone",
        description="Train the head that xcos_s, xcos_w and xcos_sw explain with. The backbone "
        "stays as it is: its grids of all photos are computed once and kept in --out. The same "
        "command goes on where an interrupted one stopped. Writes head.safetensors (for "
        "--xcos-head), loss.png and the error rate on people whom the head never saw.",
    )
    xcos.set_defaults(run=commands.xcos_train)
    _add_model(xcos)
    add_training_options(xcos)

    models = subparsers.add_parser("models", help="list the models that load by name")
    models.set_defaults(run=commands.models)

    demo = subparsers.add_parser("demo", help="all of it on generated faces, in about a minute")
    demo.set_defaults(run=run_demo)
    demo.add_argument(
        "--out", type=Path, default=Path("captum-fv-out/demo"), help="folder to write"
    )
    return parser


def _add_head(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--xcos-head",
        type=Path,
        metavar="FILE",
        help="what `captum-fv xcos-train` wrote for this model, for xcos_s, xcos_w and xcos_sw "
        "(the demo model has its own)",
    )


def _add_model(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("model")
    group.add_argument(
        "--model",
        default="demo",
        help='"demo", a name, or a .pt2 or TorchScript file (default: demo)',
    )
    group.add_argument("--checkpoint", type=Path, help="weights for a model given by name")
    group.add_argument(
        "--mean", type=float, help="pixel mean in [0, 1], if the model does not say (default: 0.5)"
    )
    group.add_argument(
        "--std", type=float, help="pixel deviation in [0, 1], likewise (default: 0.5)"
    )
    group.add_argument("--device", default="cpu", help="where to run it (default: cpu)")


def _add_data(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("data")
    group.add_argument(
        "--data",
        default="generated",
        help='"generated" (nobody\'s faces), a folder NAME/NAME_0001.jpg with --pairs, or a folder '
        "that `captum-fv patch` wrote (default: generated)",
    )
    group.add_argument("--pairs", type=Path, help="pairs.txt of an LFW-like folder")
    group.add_argument(
        "--limit",
        type=_positive,
        help="use this many pairs, spread evenly over the set (generated: 300 if not given)",
    )
    group.add_argument(
        "--seed", type=int, default=3, help="of the patches (default: 3, as published)"
    )


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value
