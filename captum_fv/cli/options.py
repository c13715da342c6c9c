"""Options that commands share, and the model and pairs that they stand for."""

from __future__ import annotations

import argparse
import importlib
import os
import re
import sys
from argparse import ArgumentParser, Namespace, _ActionsContainer
from pathlib import Path
from typing import Any

from torch import nn

from captum_fv.attr.methods import GROUPS, METHODS, expand_names
from captum_fv.benchmark.settings import BenchmarkSettings, evenly
from captum_fv.data.identities import generated_pairs
from captum_fv.data.lfw import lfw_pairs
from captum_fv.data.patch_folder import MANIFEST, read_patch_set
from captum_fv.data.patched_pairs import PatchedPairs, patch_pairs
from captum_fv.models import attach_head, load_backbone
from captum_fv.siamese.model import SiameseCosine

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
    add_option(group, "--device", default="cpu", help="where to run it")
    if head:
        parser.add_argument(
            "--xcos-head",
            type=Path,
            metavar="FILE",
            help="what `captum-fv xcos-train` wrote for this model, for xcos_s, xcos_w and xcos_sw "
            "(the demo model has its own)",
        )


def add_data_options(parser: ArgumentParser) -> None:
    """Which pairs, and their patches."""
    group = parser.add_argument_group("data")
    add_option(
        group,
        "--data",
        default="generated",
        help='"generated" (nobody\'s faces), a folder NAME/NAME_0001.jpg with --pairs, or a folder '
        "that `captum-fv patch` wrote",
    )
    group.add_argument("--pairs", type=Path, help="pairs.txt of an LFW-like folder")
    group.add_argument(
        "--limit",
        type=positive,
        help="use this many pairs, spread evenly over the set (generated: 300 if not given)",
    )
    group.add_argument(
        "--seed", type=whole, default=3, help="of the patches (default: 3, as published)"
    )


def add_run_options(parser: ArgumentParser, default_out: str) -> None:
    """What `dpr` and `benchmark` share: pairs, model, methods, and the run's folder."""
    add_data_options(parser)
    add_model_options(parser)
    methods = f"any of {METHOD_NAMES}, or module:Class for one of your own; commas between"
    add_option(parser, "--methods", default="xssab,rnd,controls", help=methods)
    size = BenchmarkSettings.batch_size
    at_once = "pairs explained at once, and lost if the run is killed"
    add_option(parser, "--batch-size", type=positive, default=size, help=at_once)
    folder = "the run's folder: new, empty, or of an interrupted run"
    add_option(parser, "--out", default=Path(default_out), help=folder)


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


def load_siamese(options: Namespace) -> SiameseCosine:
    """The model that `add_model_options` describes."""
    if _is_function(options.model):
        backbone = _own_model(options)
    else:
        backbone = load_backbone(
            options.model,
            options.checkpoint,
            channel_order=options.channel_order,
            device=options.device,
        )
    mean, std = options.mean, options.std
    if getattr(backbone, "mean", None) is None:
        mean, std = (0.5 if value is None else value for value in (mean, std))
    if getattr(options, "xcos_head", None):
        attach_head(backbone, options.xcos_head)
    return SiameseCosine(backbone, mean, std, options.output).to(options.device)


def _is_function(model: str) -> bool:
    return bool(re.fullmatch(r"[^\W\d][\w.]*:[^\W\d]\w*", model)) and not Path(model).exists()


def _own_model(options: Namespace) -> nn.Module:
    """What the function that --model names returns, in evaluation mode."""
    for name in ("checkpoint", "channel_order"):
        if getattr(options, name) is not None:
            raise ValueError(
                f"--{name.replace('_', '-')}: {options.model} builds the model itself; see to that "
                "in the function"
            )
    _look_here()
    module, _, function = options.model.partition(":")
    try:
        build = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise ValueError(
            f"--model {options.model}: {error}; want module:function, importable from here"
        ) from error
    model = build() if callable(build) else build
    if not isinstance(model, nn.Module):
        raise ValueError(
            f"--model {options.model}: it returned {type(model).__name__}; want an nn.Module"
        )
    return model.eval()


def _look_here() -> None:
    """Have modules found beside the user."""
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())


def method_names(options: Namespace) -> list[str]:
    """The methods that --methods names, a group's members in its place."""
    _look_here()
    return expand_names(options.methods.split(","))


def model_name(model: str) -> str:
    """What tables call a model: a file's name without its ending, a function's, or its own."""
    if _is_function(model):
        return model.partition(":")[2]
    return Path(model).stem if Path(model).suffix else model


def load_patched(options: Namespace) -> PatchedPairs:
    """The pairs that `add_data_options` describes, patched."""
    if options.data == "generated":
        if options.pairs is not None:
            raise ValueError("--pairs: give --data too, the folder that its photos are in")
        return patch_pairs(generated_pairs(options.limit or 300), options.seed)
    folder = Path(options.data)
    if options.pairs is not None:
        pairs = lfw_pairs(folder, options.pairs, check_images=True)
        patched = patch_pairs(pairs, options.seed)
    elif (folder / MANIFEST).is_file():
        patched = read_patch_set(folder)
    else:
        raise ValueError(
            f"{folder} holds no {MANIFEST}; for a folder NAME/NAME_0001.jpg give --pairs pairs.txt"
        )
    if options.limit is None or options.limit >= len(patched):
        return patched
    # Evenly over the set, so that every fold and both classes stay; the patches stay as they are.
    return patched.subset(evenly(len(patched), options.limit).tolist())
