"""Reading checkpoints: weights as data alone, and whether they are an architecture's."""

from __future__ import annotations

import pickle
import warnings
from collections import Counter
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from captum_fv.models.programs import brief, program_kind

StateDict = dict[str, Tensor]

# Where training scripts keep the weights beside their optimisers and counters.
_WRAPPERS = (
    "state_dict",
    "state_dict_backbone",
    "net_state_dict",
    "model_state_dict",
    "model",
    "backbone",
)
_DEPTH = 4  # a dictionary may contain itself


def read_weights(path: Path) -> StateDict:
    """Read a checkpoint's tensors, on the CPU; no code in the file ever runs.

    Wrappers ({"state_dict": ...} and the like) and the `module.` of DataParallel are taken off.

    Raises:
        ValueError: The file is damaged, holds Python objects or no tensors, or is a program.
    """
    if kind := program_kind(path):
        raise ValueError(
            f"{path}: got a {kind} program; want a checkpoint. A program needs no name: "
            f'load_backbone("{path}", mean=..., std=...)'
        )
    _check_kind(path)
    try:
        if path.suffix == ".safetensors":
            content = load_file(path)
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file fails anywhere within torch
        # No pickle at all: an operand that none has, or one out of place.
        foreign = "nsupported operand" in str(error) or isinstance(error, KeyError)
        carries_code = "nsupported" in str(error) and not foreign
        if isinstance(error, pickle.UnpicklingError) and carries_code:
            raise ValueError(
                f"{path}: refused, for reading it would run Python code that it carries "
                f"({_unsupported(error)}). Where you trust it, save its weights alone: "
                'torch.save(model.state_dict(), "weights.pt")'
            ) from error
        raise ValueError(
            f"{path}: no readable checkpoint "
            f"({'torch.save did not write it' if foreign else brief(error)}). "
            "Download or copy it again"
        ) from error
    return _bare(content, path)


def fit(
    model: nn.Module, weights: StateDict, path: Path, name: str, outside: StateDict | None = None
) -> None:
    """Give a freshly built model, also one on the meta device, all of its weights and none else.

    `outside` are the file's tensors beside these weights.

    Raises:
        ValueError: Weights of the model are missing, have another shape or are left over; it names
            the file and the architecture.

    Warns:
        UserWarning: The file holds tensors beside the model, such as the weights of a margin head.
    """
    problems, beside = compare(model, weights)
    if problems:
        raise ValueError(
            f"{path}: not the weights of {name}: {'; '.join(problems)}. Leave the name out, "
            "load_backbone(path), to have the architecture recognised"
        )
    left_out = {key: weights[key] for key in beside} | (outside or {})
    if left_out:
        shapes = [f"{key} {tuple(value.shape)}" for key, value in left_out.items()]
        warnings.warn(
            f"{path}: left out {_some(shapes)}, no part of the embedder {name}", stacklevel=4
        )
    state = {
        key: weights.get(key, torch.zeros(())).to(value.dtype)
        for key, value in model.state_dict().items()
    }
    model.load_state_dict(state, assign=True)


def compare(model: nn.Module, weights: StateDict) -> tuple[list[str], list[str]]:
    """What speaks against these weights being the model's, and the keys that are beside the model.

    A left-over key speaks against it within a module that the model has (a longer stage), and is
    only beside it elsewhere (a margin head).
    """
    own = model.state_dict()
    modules = {key.partition(".")[0] for key in own}
    # PyTorch before 0.4.1 saved no counters, and evaluation needs none.
    missing = [key for key in own if key not in weights and not key.endswith("_tracked")]
    shapes = [
        f"{key} {tuple(weights[key].shape)} instead of {tuple(value.shape)}"
        for key, value in own.items()
        if key in weights and weights[key].shape != value.shape
    ]
    left_over = [key for key in weights if key not in own]
    within = [key for key in left_over if key.partition(".")[0] in modules]
    faults = {"missing": missing, "of another shape": shapes, "unexpected": within}
    problems = [f"{kind}: {_some(keys)}" for kind, keys in faults.items() if keys]
    return problems, [key for key in left_over if key not in within]


def readings(weights: StateDict) -> dict[str, StateDict]:
    """The weights as they are, and without each prefix that at least half of them share.

    Training scripts and wrappers put one before all names of the embedder, such as `module.`,
    `_orig_mod.`, `model.`, `backbone.` or `features.module.`.

    Returns:
        The prefix ("" first, then the shorter ones), and the weights that it leads to.
    """
    shared: Counter[str] = Counter()
    for key in weights:
        parts = key.split(".")[:-1]
        shared.update(".".join(parts[:count]) + "." for count in range(1, len(parts) + 1))
    common = [prefix for prefix, count in shared.items() if 2 * count >= len(weights)]
    return {"": weights} | {
        prefix: {
            key.removeprefix(prefix): value
            for key, value in weights.items()
            if key.startswith(prefix)
        }
        for prefix in sorted(common, key=len)
    }


def _bare(content: object, path: Path) -> StateDict:
    for _ in range(_DEPTH):
        inner = _inner(content)
        if inner is None:
            break
        content = inner
    if not isinstance(content, dict):
        raise ValueError(
            f"{path}: got a {type(content).__name__}; want a state dict, parameter names to tensors"
        )
    weights = {
        key.removeprefix("module."): value
        for key, value in dict.items(content)
        if isinstance(key, str) and isinstance(value, Tensor)
    }
    if not weights:
        names = [key for key in content if isinstance(key, str)]
        raise ValueError(
            f"{path}: no tensors at its top level, only {_some(names) or 'other things'}; "
            f"want a state dict, bare or under one of {', '.join(_WRAPPERS)}"
        )
    return weights


# How files begin that are often taken for checkpoints: what they are, and what to do.
_FOREIGN = {
    b"version https://git-lfs": (
        "a Git LFS pointer, not the file it stands for; fetch that with `git lfs pull`, or "
        "download it from the page's own link"
    ),
    b"\x89HDF\r\n": (
        "an HDF5 file, of Keras or TensorFlow; convert the model to PyTorch and save its "
        "state_dict, or give SiameseCosine a function that calls it"
    ),
}


def _check_kind(path: Path) -> None:
    """Raise a ValueError that names a file which is no checkpoint, and the cure."""
    with path.open("rb") as file:
        start = file.read(1 << 10)
    kind = next((kind for begin, kind in _FOREIGN.items() if start.startswith(begin)), None)
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype html", b"<html", b"<head", b"<?xml")):
        kind = (
            "a web page, not the file that its link leads to (a login, a consent or an error "
            "page); download it in a browser and look at its size"
        )
    if path.name.endswith(".index.json") or b'"weight_map"' in start:
        kind = (
            "the index of a checkpoint in several .safetensors files; merge these into one "
            "state dict and save that"
        )
    if path.suffix == ".params" or start[:8] == b"\x12\x01\0\0\0\0\0\0":
        kind = (
            "the parameters of an MXNet model; take the authors' PyTorch weights, or convert the "
            "model, for example over ONNX"
        )
    if path.suffix == ".onnx":
        kind = "an ONNX model, which has no architecture name: load it by its path alone"
    if kind:
        raise ValueError(f"{path}: this is {kind}")


def _inner(content: object) -> dict[object, object] | None:
    """The dictionary in which a training script keeps the weights."""
    if not isinstance(content, dict):
        return None
    # Not content.items(): a pickle may set attributes of an OrderedDict, such as "items".
    values = [dict.get(content, key) for key in _WRAPPERS]
    return next((value for value in values if isinstance(value, dict)), None)


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"


def _unsupported(error: Exception) -> str:
    line = next(line for line in str(error).splitlines() if "nsupported" in line)
    return line[line.index("nsupported") - 1 :].partition(". ")[0]
