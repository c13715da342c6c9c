"""Reading checkpoints: weights as data alone, and whether they are an architecture's."""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from captum_fv.models.programs import brief, program_kind

StateDict = dict[str, Tensor]

# Where training scripts keep the weights beside their optimisers and counters.
_WRAPPERS = ("state_dict", "net_state_dict", "model_state_dict", "model", "backbone")
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


def fit(model: nn.Module, weights: StateDict, path: Path, name: str) -> None:
    """Give a freshly built model, also one on the meta device, all of its weights and none else.

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
    if beside:
        shapes = [f"{key} {tuple(weights[key].shape)}" for key in beside]
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
