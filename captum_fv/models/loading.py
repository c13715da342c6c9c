"""Reading model files: weights as data alone, programs as the code that they are."""

from __future__ import annotations

import os
import pickle
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

StateDict = dict[str, Tensor]

# Where training scripts keep the weights beside their optimisers and counters.
_WRAPPERS = ("state_dict", "net_state_dict", "model_state_dict", "model", "backbone")

# Parts of a .pt2 archive that torch.export.load would unpickle or link without a check.
_CODE_PARTS = ("/custom_obj_", "/opaque_obj_", "/aotinductor/")


class LoadedProgram(nn.Module):
    """An exported or scripted model as a plain module, always in evaluation mode.

    `train()` and `eval()` change nothing: a program keeps the mode that it was exported in.

    Args:
        program: What `torch.export.load(path).module()` or `torch.jit.load(path)` returned.
    """

    def __init__(self, program: nn.Module) -> None:
        super().__init__()
        self.program = program
        for module in self.modules():
            module.training = False  # a torch.export module refuses eval()

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, 3, H, W) -> what the program returns: for a face model, (N, d)."""
        embedding: Tensor = self.program(x)
        return embedding

    def train(self, mode: bool = True) -> LoadedProgram:
        """Leave the program as it was exported."""
        return self


def program_kind(path: Path) -> str | None:
    """What the file's content says it is: "torch.export", "TorchScript", or None for no program."""
    if not zipfile.is_zipfile(path):
        return None
    with zipfile.ZipFile(path) as archive:
        parts = {name.partition("/")[2] for name in archive.namelist()}
    # Archives of torch before 2.7 have no top folder and no archive_format.
    if "archive_format" in parts or path.suffix == ".pt2":
        return "torch.export"
    return "TorchScript" if "constants.pkl" in parts else None


def read_program(path: Path, device: str | torch.device = "cpu") -> LoadedProgram:
    """Load a torch.export or TorchScript archive.

    A program is code: load only what comes from somebody whom you trust. Python objects pickled
    into a .pt2 archive are refused all the same.

    Raises:
        ValueError: The archive is damaged, or holds Python objects.
    """
    kind = program_kind(path)
    try:
        if kind == "TorchScript":
            return LoadedProgram(torch.jit.load(path, map_location=device))  # type: ignore[no-untyped-call]
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
        if any(part in name for name in names for part in _CODE_PARTS):
            raise pickle.UnpicklingError("it holds Python objects or a compiled library")
        with _weights_only():
            program = torch.export.load(path)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"{path}: refused, for loading it would run code beside the model "
            f"({_brief(error)}). Export the model again, with tensors alone as inputs and weights"
        ) from error
    except Exception as error:  # a damaged archive fails anywhere within torch
        raise ValueError(
            f"{path}: no readable {kind} program ({_brief(error)}). Copy or export it again"
        ) from error
    if torch.device(device).type != "cpu":
        from torch.export.passes import move_to_device_pass

        program = move_to_device_pass(program, torch.device(device))
    return LoadedProgram(program.module())


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
            f"({'torch.save did not write it' if foreign else _brief(error)}). "
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
    while isinstance(content, Mapping):
        inner = next((key for key in _WRAPPERS if isinstance(content.get(key), Mapping)), None)
        if inner is None:
            break
        content = content[inner]
    if not isinstance(content, Mapping):
        raise ValueError(
            f"{path}: got a {type(content).__name__}; want a state dict, parameter names to tensors"
        )
    weights = {
        str(key).removeprefix("module."): value
        for key, value in content.items()
        if isinstance(value, Tensor)
    }
    if not weights:
        raise ValueError(
            f"{path}: no tensors at its top level, only {_some(list(map(str, content)))}; "
            f"want a state dict, bare or under one of {', '.join(_WRAPPERS)}"
        )
    return weights


@contextmanager
def _weights_only() -> Iterator[None]:
    # torch.export.load would fall back to running the pickles that weights_only refuses.
    name = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"


def _unsupported(error: Exception) -> str:
    line = next(line for line in str(error).splitlines() if "nsupported" in line)
    return line[line.index("nsupported") - 1 :].partition(". ")[0]


def _brief(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
