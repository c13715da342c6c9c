"""`captum-fv`: a command is a file here: HELP, DESCRIPTION, `add(parser)`, `run(options)`."""

from __future__ import annotations

import argparse
import shlex
import sys
import warnings
from collections.abc import Sequence
from typing import NoReturn

from captum_fv.cli import (
    align,
    benchmark,
    demo,
    dpr,
    explain,
    methods,
    models,
    patch,
    xcos_train,
)

COMMANDS = (explain, dpr, benchmark, patch, align, xcos_train, methods, models, demo)

EXAMPLES = """\
examples:
  captum-fv demo
      everything on generated faces, in about a minute
  captum-fv explain a.jpg b.jpg --model face.pt2 --threshold 0.31 --out panel.png
      why these two aligned photos match, or not
  captum-fv dpr --data lfw_aligned --pairs pairs.txt --model face.pt2 --methods xssab,rnd,controls
      measure explanations on your own pairs
  captum-fv benchmark --data lfw_aligned --pairs pairs.txt --model a.pt2,b.pt2 --out run
      the same in full, for several models, with a report
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; 0 if it worked, 2 after an error. Errors and warnings are one line each."""
    argv = sys.argv[1:] if argv is None else argv
    options = _build_parser().parse_args(argv)
    options.command_line = shlex.join(["captum-fv", *argv])
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            options.run(options)
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


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message} (see {self.prog} --help)\n")


def _build_parser() -> argparse.ArgumentParser:
    top = _Parser(
        prog="captum-fv",
        description="Explain face verification, and measure the explanations.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    subparsers = top.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        name = command.__name__.rpartition(".")[2].replace("_", "-")
        parser = subparsers.add_parser(name, help=command.HELP, description=command.DESCRIPTION)
        parser.set_defaults(run=command.run)
        command.add(parser)
    return top


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    """Say a warning without the line of code that gave it."""
    print(f"captum-fv: warning: {' '.join(str(message).split())}", file=sys.stderr)
