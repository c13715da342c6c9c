"""The commands and their options; commands.py and demo.py do the work."""

from __future__ import annotations

import argparse
import shlex
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from captum_fv.attr.methods import GROUPS, METHODS
from captum_fv.cli import commands
from captum_fv.cli.benchmark import add_benchmark_options, run_command
from captum_fv.cli.demo import run_demo
from captum_fv.cli.options import add_data_options, add_head_option, add_model_options, positive
from captum_fv.cli.xcos_train import add_training_options

EXAMPLES = """\
examples:
  captum-fv demo
      everything on generated faces, in about a minute
  captum-fv explain a.jpg b.jpg --model face.pt2 --threshold 0.31 --out panel.png
      why these two aligned photos match, or not
  captum-fv dpr --data lfw_aligned --pairs pairs.txt --model face.pt2 --methods xssab,rnd,controls
      measure explanations on your own pairs
  captum-fv benchmark --data lfw_aligned --pairs pairs.txt --model a.pt2,b.pt2 --out run
      the same in full, for several models, with a report; can be interrupted
"""

NAMES = ", ".join([*METHODS, *GROUPS])


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; 0 if it worked, 2 after an error. Errors and warnings are one line each."""
    argv = sys.argv[1:] if argv is None else argv
    arguments = build_parser().parse_args(argv)
    arguments.command_line = shlex.join(["captum-fv", *argv])
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            arguments.run(arguments)
    except (OSError, ValueError, TypeError, RuntimeError) as error:
        said = str(error)
        if isinstance(error, OSError) and error.filename and error.strerror:
            said = f"{error.filename}: {error.strerror}"
        print(f"captum-fv: error: {' '.join(said.split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("captum-fv: stopped", file=sys.stderr)
        return 130
    return 0


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    """Say a warning without the line of code that gave it."""
    print(f"captum-fv: warning: {' '.join(str(message).split())}", file=sys.stderr)


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

    explain = subparsers.add_parser(
        "explain",
        help="explain one pair of photos in a picture",
        description="Say whether two photos match, and paint over each what spoke for it (green) "
        "and against it (pink). The photos must be aligned as the model wants them, most often to "
        "112x112: `captum-fv align` does that.",
    )
    explain.set_defaults(run=commands.explain)
    explain.add_argument("img_a", type=Path, metavar="A.jpg", help="an aligned photo")
    explain.add_argument("img_b", type=Path, metavar="B.jpg", help="the photo to compare it with")
    add_model_options(explain)
    add_head_option(explain)
    explain.add_argument(
        "--threshold",
        type=float,
        help="cosine from which a pair matches; `captum-fv dpr` finds it for your model "
        "(the demo model has its own)",
    )
    explain.add_argument(
        "--methods",
        "--method",
        default="xssab",
        help=f"one or more of {NAMES}; commas between (default: xssab)",
    )
    explain.add_argument(
        "--out",
        type=Path,
        default=Path("panel.png"),
        help="the picture to write (default: panel.png)",
    )

    dpr = subparsers.add_parser(
        "dpr",
        help="measure methods by decision-based patch replacement",
        description="Score the clean pairs, set the EER threshold, patch the pairs, explain them, "
        "and replace what the maps point at. Writes curves.png, curves.csv and table.md.",
    )
    dpr.set_defaults(run=commands.dpr)
    add_data_options(dpr)
    add_model_options(dpr)
    add_head_option(dpr)
    dpr.add_argument(
        "--methods",
        default="xssab,rnd,controls",
        help=f"any of {NAMES}; commas between (default: xssab,rnd,controls)",
    )
    dpr.add_argument(
        "--batch-size", type=positive, default=32, help="pairs explained at once (default: 32)"
    )
    dpr.add_argument(
        "--out",
        type=Path,
        default=Path("captum-fv-out/dpr"),
        help="folder to write (default: captum-fv-out/dpr)",
    )

    benchmark = subparsers.add_parser(
        "benchmark",
        help="measure methods in full: a run folder with tables, figures and a report",
        description="Scores, errors, DPR, stratified DPR, patch localisation and latency of every "
        "method on every model, in a folder with report.html. The same command goes on where an "
        "interrupted one stopped. To share the work among N processes: torchrun --nproc-per-node N "
        "-m captum_fv benchmark ...",
    )
    benchmark.set_defaults(run=run_command)
    add_data_options(benchmark)
    add_model_options(benchmark)
    add_head_option(benchmark)
    add_benchmark_options(benchmark)

    patch = subparsers.add_parser(
        "patch",
        help="build a lossless Patch set with its manifest",
        description="Patch image A of every pair by the Patch-LFW recipe: from the partner in an "
        "impostor pair, from somebody else in a genuine one. Writes PNG files and manifest.json.",
    )
    patch.set_defaults(run=commands.patch)
    add_data_options(patch)
    patch.add_argument("--out", type=Path, required=True, help="a new or empty folder")

    align = subparsers.add_parser(
        "align",
        help="cut the one face of a photo out, as models want it",
        description="Find the one frontal face in a photo and move it to the ArcFace template. The "
        "detector gives a box and no landmarks, so this is approximate: some 4 pixels off on "
        "average. With --landmarks it is exact.",
    )
    align.set_defaults(run=commands.align)
    align.add_argument("photo", type=Path, metavar="IN", help="a photo of one person")
    align.add_argument("out", type=Path, metavar="OUT.png", help="the aligned photo to write")
    align.add_argument(
        "--landmarks",
        type=float,
        nargs=10,
        metavar="N",
        help="x and y of left eye, right eye, nose tip, left and right mouth corner, left as seen "
        "in the picture",
    )
    align.add_argument(
        "--size",
        type=positive,
        nargs=2,
        default=(112, 112),
        metavar=("HEIGHT", "WIDTH"),
        help="of the aligned photo (default: 112 112)",
    )

    xcos = subparsers.add_parser(
        "xcos-train",
        help="train an xCos head over a backbone",
        description="Train the head that xcos_s, xcos_w and xcos_sw explain with. The backbone "
        "stays as it is: its grids of all photos are computed once and kept in --out. The same "
        "command goes on where an interrupted one stopped. Writes head.safetensors (for "
        "--xcos-head), loss.png and the error rate on people whom the head never saw.",
    )
    xcos.set_defaults(run=commands.xcos_train)
    add_model_options(xcos)
    add_training_options(xcos)

    models = subparsers.add_parser(
        "models",
        help="list the models that load by name",
        description="List the models that load by name: what they take, their licences, and where "
        "their authors publish the checkpoints.",
    )
    models.set_defaults(run=commands.models)

    demo = subparsers.add_parser(
        "demo",
        help="all of it on generated faces, in about a minute",
        description="Measure xSSAB, chance and the controls on generated faces, explain two pairs "
        "with and without patches, and name the pictures.",
    )
    demo.set_defaults(run=run_demo)
    demo.add_argument(
        "--out",
        type=Path,
        default=Path("captum-fv-out/demo"),
        help="folder to write (default: captum-fv-out/demo)",
    )
    return parser
