"""`captum-fv`: a command is a file here: HELP, DESCRIPTION, `add(parser)`, `run(options)`."""

from __future__ import annotations

import argparse
import shlex
import sys
import traceback
import warnings
from collections.abc import Sequence
from typing import NoReturn

import captum
import torch

from captum_fv.cli import (
    align,
    benchmark,
    calibrate,
    demo,
    dpr,
    explain,
    methods,
    models,
    patch,
    swap_game,
    xcos_train,
)
from captum_fv.cli.console import on_console, one_line
from captum_fv.core.version import __version__

COMMANDS = (
    explain,
    calibrate,
    dpr,
    benchmark,
    swap_game,
    patch,
    align,
    xcos_train,
    methods,
    models,
    demo,
)

EXAMPLES = """\
examples:
  captum-fv demo
      everything on generated faces, in about a minute
  captum-fv explain a.jpg b.jpg --model face.pt2 --threshold 0.31
      whether two photos match, and why, on a page to look into
  captum-fv calibrate --data lfw_aligned --pairs pairs.txt --model face.pt2 --out calibration.json
      how strong a score is as evidence, from pairs whose people are known
  captum-fv dpr --data lfw_aligned --pairs pairs.txt --model face.pt2 --methods xssab,rnd,controls
      measure explanations on your own pairs
  captum-fv benchmark --data lfw_aligned --pairs pairs.txt --model a.pt2,b.pt2 --out run
      the same in full, for several models, with a report
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; 0 if it worked, 2 after an error. Errors and warnings are one line each."""
    argv = sys.argv[1:] if argv is None else argv
    with on_console():
        return _run(argv)


def _run(argv: Sequence[str]) -> int:
    debug = False
    try:
        options = build_parser().parse_args(argv)
        debug, options.command_line = options.debug, shlex.join(["captum-fv", *argv])
        for word in argv:
            if word.encode("utf-8", "replace").decode() != word:
                raise ValueError(f"{word!a}: not UTF-8; rename the file or folder")
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            options.run(options)
        sys.stdout.flush()  # here a full disk is still an error
    except KeyboardInterrupt:
        return _stopped()
    except Exception as error:  # whatever goes wrong is one line
        if _was_interrupted(error):
            return _stopped()
        if debug:
            traceback.print_exc()
        print(f"captum-fv: error: {_in_words(error)}", file=sys.stderr)
        return 2
    return 0


def _stopped() -> int:
    print("captum-fv: stopped", file=sys.stderr)
    return 130


def _was_interrupted(error: BaseException | None) -> bool:
    """Whether an error came of Ctrl-C, which imports on the way turn into others."""
    while error is not None:
        if isinstance(error, KeyboardInterrupt):
            return True
        error = error.__cause__ or error.__context__
    return False


def _in_words(error: Exception) -> str:
    """An error in one line; of a kind that nobody foresaw also the kind, and how to see more."""
    if isinstance(error, MemoryError):
        return "out of memory; take a smaller --batch-size, smaller photos, or fewer of them"
    if isinstance(error, OSError) and error.filename and error.strerror:
        return one_line(f"{error.filename}: {error.strerror}")
    if isinstance(error, OSError | ValueError | TypeError | RuntimeError) and str(error):
        return one_line(str(error))
    return one_line(f"{type(error).__name__}: {error}") + " (--debug shows where)"


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {one_line(message)} (see {self.prog} --help)\n")


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    top = _Parser(
        prog="captum-fv",
        description="Explain face verification, and measure the explanations.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    versions = f"captum_fv {__version__}, torch {torch.__version__}, captum {captum.__version__}"
    top.add_argument("--version", action="version", version=versions)
    subparsers = top.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        name = command.__name__.rpartition(".")[2].replace("_", "-")
        parser = subparsers.add_parser(name, help=command.HELP, description=command.DESCRIPTION)
        parser.set_defaults(run=command.run)
        command.add(parser)
        parser.add_argument("--debug", action="store_true", help="show where an error came from")
    return top


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    """Say a warning without the line of code that gave it."""
    print(f"captum-fv: warning: {one_line(str(message))}", file=sys.stderr)
