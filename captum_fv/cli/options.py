"""Options that commands share, and their types."""

from __future__ import annotations

import argparse
import os
from argparse import ArgumentParser, Namespace, _ActionsContainer
from pathlib import Path
from typing import Any, get_args

import torch

from captum_fv.attr.methods import GROUPS, METHODS
from captum_fv.benchmark.settings import PAIRS
from captum_fv.core.arithmetic import Precision
from captum_fv.models.zoo import check_device

SEED = 3
"""Of the patches, as published."""

METHOD_NAMES = ", ".join([*METHODS, *GROUPS])
"""What --methods takes, for help."""


def add_option(
    group: _ActionsContainer, *names: str, default: Any, help: str, type: Any = None
) -> None:
    """An option whose help ends with its default, and whose type is the default's if not given."""
    shown = f"{default:g}" if isinstance(default, float) else default
    kind = type or default.__class__
    group.add_argument(*names, default=default, type=kind, help=f"{help} (default: {shown})")


def add_model_options(parser: ArgumentParser, head: bool = True) -> None:
    """Which model, how it takes photos, and perhaps an xCos head of the user's own."""
    group = parser.add_argument_group("model")
    file = (
        '"demo", a name, or a file: a checkpoint (data: nothing in it runs), or a program (.pt2 or '
        "TorchScript: code, like a Python file, so only of somebody you trust), or .onnx; or "
        "module:function, which returns a model of your own"
    )
    add_option(group, "--model", default="demo", help=file)
    group.add_argument("--checkpoint", type=Path, help="weights for a model given by name")
    unless = "if the model does not say (default: 0.5)"
    one_or_three = "one number, or three with commas between"
    group.add_argument("--mean", type=scale, help=f"pixel mean in [0, 1], {one_or_three}, {unless}")
    group.add_argument("--std", type=scale, help="pixel deviation, likewise")
    group.add_argument(
        "--channel-order",
        choices=("RGB", "BGR"),
        help="the order that a model without a name was trained with (default: as its authors say)",
    )
    group.add_argument(
        "--output",
        type=output_part,
        metavar="PART",
        help="which part of what the model returns is the embedding: an index, or a key",
    )
    where = 'where to run it: cpu, cuda, cuda:1, mps, or "auto" for the fastest there is'
    add_option(group, "--device", type=device, default="cpu", help=where)
    add_option(
        group,
        "--precision",
        type=precision,
        default="float32",
        help="what it computes in; float16 and bfloat16 where no gradient is asked for, tf32 on "
        "CUDA everywhere",
    )
    group.add_argument(
        "--optimise",
        action="store_true",
        help="fold batch norms, put channels last, and on CUDA record graphs: the same figures in "
        "less time",
    )
    if head:
        parser.add_argument(
            "--xcos-head",
            type=Path,
            metavar="FILE",
            help="what `captum-fv xcos-train` wrote for this model, for xcos_s, xcos_w and xcos_sw "
            "(the demo model has its own)",
        )


def add_data_options(parser: ArgumentParser, patches: bool = True) -> None:
    """Which pairs, and perhaps their patches."""
    group = parser.add_argument_group("data")
    add_option(
        group,
        "--data",
        default="generated",
        help='"generated" (nobody\'s faces), a folder NAME/NAME_0001.jpg with --pairs, or a folder '
        "that `captum-fv patch` wrote, or the published Patch-LFW folder",
    )
    group.add_argument(
        "--pairs",
        type=Path,
        help="the list of pairs: LFW's pairs.txt, lines 'path path label', those of CPLFW and "
        "CALFW, or a .bin of insightface, which needs no --data",
    )
    group.add_argument(
        "--folds", type=folds, metavar="1-4", help="some folds of a list that has them, as 1-4,7"
    )
    group.add_argument(
        "--skip-missing", action="store_true", help="leave pairs out whose photos are not there"
    )
    group.add_argument(
        "--limit",
        type=positive,
        help="use this many pairs, spread evenly over the set (generated: 300 if not given)",
    )
    if not patches:
        return
    group.add_argument(
        "--originals", type=Path, help="the photos without patches, for the published Patch-LFW"
    )
    group.add_argument("--seed", type=whole, help=f"of the patches (default: {SEED}, as published)")


def add_run_options(parser: ArgumentParser, default_out: str) -> None:
    """What `dpr` and `benchmark` share: pairs, model, methods, and the run's folder."""
    add_data_options(parser)
    add_model_options(parser)
    methods = f"any of {METHOD_NAMES}, or module:Class for one of your own; commas between"
    add_option(parser, "--methods", default="xssab,rnd,controls", help=methods)
    parser.add_argument(
        "--threshold",
        type=_threshold,
        metavar="COSINE",
        help='from where a pair matches: a number, or "model" for the model\'s own '
        "(default: where the clean pairs' FMR equals their FNMR)",
    )
    parser.add_argument(
        "--fmr", type=float, help="in place of it the lowest that keeps the clean pairs' FMR there"
    )
    parser.add_argument(
        "--batch-size",
        type=positive,
        help=f"pairs explained at once, and lost if the run is killed (default: {PAIRS}, or on "
        "CUDA fewer, if a trial finds that faster)",
    )
    parser.add_argument(
        "--workers",
        type=whole,
        help="processes that load and patch photos ahead of the model (default: 0 on the CPU, "
        "which the model needs; else a core each, up to 8)",
    )
    folder = "the run's folder: new, empty, or of an interrupted run"
    add_option(parser, "--out", default=Path(default_out), help=folder)


def photo_workers(options: Namespace) -> int:
    """How many processes load photos: what --workers says, else none beside a model on the CPU."""
    if options.workers is not None:
        return int(options.workers)
    processes = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))  # of torchrun, which share the cores
    spare = (os.cpu_count() or 1) // processes - 1
    return 0 if options.device == "cpu" else min(8, max(0, spare))


def _threshold(text: str) -> float | str:
    try:
        return text if text == "model" else float(text)
    except ValueError as error:
        want = f'got {text!r}; want a cosine in [-1, 1], or "model"'
        raise argparse.ArgumentTypeError(want) from error


def device(text: str) -> str:
    """The type of --device: one of this machine."""
    if text == "auto":
        text = "mps" if torch.backends.mps.is_available() else "cpu"
        text = "cuda" if torch.cuda.is_available() else text
    try:
        check_device(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error).removeprefix("device: ")) from error
    return text


def precision(text: str) -> str:
    """The type of --precision."""
    if text not in (known := get_args(Precision)):
        raise argparse.ArgumentTypeError(f"got {text!r}; want one of {', '.join(known)}")
    return text


def positive(text: str) -> int:
    """The type of an option that counts something."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"got {text!r}; want a whole number above 0")
    return int(text)


def whole(text: str) -> int:
    """The type of an option that may be 0, or is a seed."""
    if not text.isdecimal() or int(text) >= 2**32:
        raise argparse.ArgumentTypeError(f"got {text!r}; want a whole number, 0 to below 2**32")
    return int(text)


def folds(text: str) -> list[int]:
    """The type of --folds: 1-4,7 -> [1, 2, 3, 4, 7]."""
    chosen: list[int] = []
    for part in text.split(","):
        first, dash, last = part.partition("-")
        chosen += range(positive(first), positive(last if dash else first) + 1)
    if not chosen or len(set(chosen)) < len(chosen):
        raise argparse.ArgumentTypeError(f"got {text!r}; want folds as 1-4 or 1,2,5")
    return chosen


def scale(text: str) -> float | tuple[float, ...]:
    """The type of an option that is one number, or one for each channel."""
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        values = ()
    if len(values) not in (1, 3):
        raise argparse.ArgumentTypeError(f"got {text!r}; want a number, or three as 0.4,0.5,0.6")
    return values[0] if len(values) == 1 else values


def output_part(text: str) -> int | str:
    """The type of an option that is an index, or else a key."""
    return int(text) if text.removeprefix("-").isdecimal() else text
