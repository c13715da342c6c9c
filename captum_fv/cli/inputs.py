"""The model, the methods and the pairs that the options of a command stand for."""

from __future__ import annotations

import importlib
import os
import re
import sys
import warnings
from argparse import Namespace
from pathlib import Path

from torch import nn

from captum_fv.attr.methods import expand_names
from captum_fv.benchmark.settings import evenly
from captum_fv.cli.options import SEED
from captum_fv.data.identities import generated_pairs
from captum_fv.data.pair_lists import read_pairs
from captum_fv.data.pairs import PairSet
from captum_fv.data.patch_folder import MANIFEST, read_patch_set
from captum_fv.data.patched_pairs import PatchedPairs, patch_pairs
from captum_fv.data.published_patch_lfw import LISTS, read_published_patch_lfw
from captum_fv.models import attach_head, load_backbone
from captum_fv.siamese.backbone import contract, hidden_contract
from captum_fv.siamese.inference import optimise_for_inference
from captum_fv.siamese.model import SiameseCosine

USUAL_SIZES = ((112, 112), (112, 96), (160, 160), (224, 224))
"""(H, W) of aligned faces, as published models take them."""


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
    if contract(backbone).mean is None and hidden_contract(backbone) is None:
        mean, std = (0.5 if value is None else value for value in (mean, std))
    if getattr(options, "xcos_head", None):
        attach_head(backbone, options.xcos_head)
    siamese = SiameseCosine(backbone, mean, std, options.output, precision=options.precision)
    siamese = siamese.to(options.device)
    if options.precision == "float16" and options.device == "cpu":
        warnings.warn(
            "--precision float16: most CPUs only emulate it, at many times float32's price; "
            "bfloat16 may be quicker there",
            stacklevel=2,
        )
    return optimise_for_inference(siamese) if options.optimise else siamese


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


def load_patched(
    options: Namespace, size: tuple[int, int] | None = None, *, draws_maps: bool = False
) -> PatchedPairs:
    """The pairs that `add_data_options` describes, patched.

    Args:
        options: Parsed.
        size: (H, W) of the model's photos; None takes the first photo's, with a warning if that is
            no usual one.
        draws_maps: The seed is also that of random maps, and so has a use where patches are given.
    """
    seed = SEED if options.seed is None else options.seed
    folder = Path(options.data)
    named = options.data == "generated" or _is_bin(options)
    if not named and (folder / LISTS[True]).is_file():
        if options.pairs is None or options.originals is None:
            raise ValueError(
                f"{folder} is the published Patch-LFW: give --pairs pairs.txt and --originals, the "
                "folder of the photos without patches"
            )
        patched = read_published_patch_lfw(folder, _read_pairs(options, options.originals, size))
    elif not named and options.pairs is None and (folder / MANIFEST).is_file():
        if options.seed is not None and not draws_maps:
            raise ValueError(f"--seed: the patches in {folder} are drawn already; leave it out")
        patched = read_patch_set(folder)
    else:
        patched = patch_pairs(_listed_pairs(options, size), seed)
    _check_photo_size(options, patched.places.size, size)
    if options.limit is None or options.limit >= len(patched):
        return patched
    # Evenly over the set, so that every fold and both classes stay; the patches stay as they are.
    return patched.subset(evenly(len(patched), options.limit).tolist())


def load_pairs(options: Namespace, size: tuple[int, int] | None = None) -> PairSet:
    """The pairs that `add_data_options` describes, without patches; arguments as above."""
    folder = Path(options.data)
    if options.pairs is None and (folder / MANIFEST).is_file():
        pairs = read_patch_set(folder).clean
    else:
        pairs = _listed_pairs(options, size)
    height, width, _ = pairs.load(0).shape
    _check_photo_size(options, (height, width), size)
    if options.limit is None or options.limit >= len(pairs):
        return pairs
    return pairs.subset(evenly(len(pairs), options.limit).tolist())


def _is_bin(options: Namespace) -> bool:
    return options.pairs is not None and options.pairs.suffix.lower() == ".bin"


def _listed_pairs(options: Namespace, size: tuple[int, int] | None) -> PairSet:
    """Generated pairs, or all pairs of a list."""
    if options.data == "generated" and not _is_bin(options):
        if options.pairs is not None:
            raise ValueError("--pairs: give --data too, the folder that its photos are in")
        if options.limit == 1:
            raise ValueError("--limit: got 1; want 2 or more: a genuine pair and an impostor pair")
        return generated_pairs(options.limit or 300)
    if options.pairs is None:
        raise ValueError(
            f"{options.data} holds no {MANIFEST}; for a folder NAME/NAME_0001.jpg give --pairs "
            "pairs.txt"
        )
    return _read_pairs(options, Path(options.data), size)


def _check_photo_size(
    options: Namespace, found: tuple[int, int], size: tuple[int, int] | None
) -> None:
    """Raise unless photos are as large as the model takes them; warn of a size that is unusual."""
    if size is not None and found != tuple(size):
        raise ValueError(
            f"{options.data}: the photos are {found[0]}x{found[1]}, and the model takes "
            f"{size[0]}x{size[1]}; `captum-fv align --size` cuts faces out as it wants them"
        )
    if size is None and found not in USUAL_SIZES:
        warnings.warn(
            f"{options.data}: the photos are {found[0]}x{found[1]}, which is no usual size of "
            "aligned faces; `captum-fv align` cuts faces out as models want them",
            stacklevel=3,
        )


def _read_pairs(options: Namespace, folder: Path, size: tuple[int, int] | None) -> PairSet:
    return read_pairs(
        folder,
        options.pairs,
        size,
        options.folds,
        check_images=True,
        skip_missing=options.skip_missing,
    )
