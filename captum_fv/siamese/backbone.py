"""What a backbone must be and may carry, and what to say when it cannot take its images."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from itertools import chain
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.swa_utils import AveragedModel

Normalisation = float | Sequence[float] | Tensor | None

ONE_AT_A_TIME = (
    "it takes one image at a time, as a program traced or exported for one does: load its file "
    "with load_backbone(path), which feeds them one by one, or trace it with another x.view"
)

_FACE_SIZES = {(96, 96), (112, 96), (112, 112), (128, 128), (160, 160), (224, 224)}
"""Height and width of what face recognisers take."""


class OptimisedBackbone(nn.Module):
    """A backbone, `module`, and something beside it that gives the same in less time."""

    module: nn.Module


_WRAPPERS = (
    nn.DataParallel,
    nn.parallel.DistributedDataParallel,
    AveragedModel,
    OptimisedBackbone,
)


@dataclass(frozen=True)
class MayCarry:
    """What a backbone may carry beside its forward. Nothing of it is needed; the zoo's have most.

    It is carried as plain attributes, of the module or of its class. A network's own buffers,
    parameters and submodules of these names are for its own use, and none of this.

    Attributes:
        mean, std: Photos in [0, 1] enter the forward as (photo - mean) / std; each a number or one
            for each channel. Read by SiameseCosine, unless it is given others.
        channel_order: "RGB" or "BGR", in which it takes the channels; likewise.
        size: Height and width of the images that it takes, in pixels. SiameseCosine refuses others;
            the commands read photos at this size.
        threshold: The cosine from which on two photos match, which `captum-fv explain` decides by
            where none is given.
        patched_cosine_head: A PatchedCosineHead trained over `features`. Read by
            PatchedCosineAttribution, unless it is given another. A submodule will do.
        features: Its method that gives the last spatial grids (N, c, h, w) of images as the forward
            takes them, for xCos.
    """

    mean: Normalisation = None
    std: Normalisation = None
    channel_order: str | None = None
    size: tuple[int, int] | None = None
    threshold: float | None = None
    patched_cosine_head: nn.Module | None = None
    features: Callable[[Tensor], Any] | None = None


def contract(backbone: nn.Module) -> MayCarry:
    """What a backbone carries, itself or within DataParallel, torch.compile and their like.

    >>> backbone = nn.Identity()
    >>> backbone.size = (112, 96)
    >>> contract(nn.DataParallel(backbone)).size
    (112, 96)
    """
    carried: dict[str, Any] = {}
    for module in reversed(_looked_through(backbone)):  # the outermost has the last word
        carried |= _own_contract(module)
    return MayCarry(**carried)


def hidden_contract(backbone: nn.Module) -> tuple[str, MayCarry] | None:
    """The name and the contract of a model within a backbone, which `contract` does not reach.

    What `load_backbone` returned tells a part by, or that it carries mean, std and size; so a layer
    that normalises is none.
    """
    reached = _looked_through(backbone)
    for name, module in backbone.named_modules():
        inner = MayCarry(**_own_contract(module))
        known = inner.size is not None or _is_loaded(module)
        if known and inner.mean is not None and inner.std is not None and module not in reached:
            return name, inner
    return None


def is_program(backbone: nn.Module) -> bool:
    """Whether this is a program or a recorded copy (torch.export, fx, jit), bare or in a holder."""
    inner = _looked_through(backbone)[-1]
    if "file_sha256" in vars(inner):  # as `load_backbone` marks what it read of a program's file
        return True
    held = [inner, *inner.children()]
    kinds = (torch.fx.GraphModule, torch.jit.ScriptModule)
    return isinstance(inner, kinds) or (len(held) == 2 and isinstance(held[1], kinds))


def ask(backbone: nn.Module, function: Callable[[Tensor], Any], images: Tensor) -> Any:
    """What a function of the backbone gives for images.

    Raises:
        ValueError: PyTorch cannot compute it: of another size, type or device than the weights.
    """
    try:
        return function(images)
    except torch.OutOfMemoryError:
        raise
    except (AssertionError, IndexError, RuntimeError) as error:
        kind = f"{str(images.dtype).removeprefix('torch.')} {images.device}"
        alone = _takes_one(function, images)
        cure = f"; {ONE_AT_A_TIME}" if alone else _cure(backbone, images, str(error))
        raise ValueError(
            f"the backbone cannot take {kind} images of shape {tuple(images.shape)} "
            f"({str(error).strip().partition(chr(10))[0]}){cure}"
        ) from error


def _takes_one(function: Callable[[Tensor], Any], images: Tensor) -> bool:
    """Whether one image goes where several do not."""
    try:
        function(images[:1])
    except Exception:  # the error of several is the one to tell
        return False
    return len(images) > 1


def check_mode(model: nn.Module, name: str = "siamese") -> None:
    """Raise a ValueError for a model, of this name, in which one pair changes another's score."""
    for part in _own_parts(model):
        if _trains(part):
            raise ValueError(
                f"{name} is in training mode, where one pair changes another's score; write "
                f"{name}.eval()"
            )
        if isinstance(part, _BatchNorm) and part.running_mean is None:
            raise ValueError(
                f"{name}: its {type(part).__name__} keeps no running statistics, so one pair "
                "changes another's score; want a model trained with track_running_stats=True"
            )


def check_image_size(backbone: nn.Module, images: Tensor) -> None:
    """Raise a ValueError for images of another size than the backbone says that it takes."""
    sizes = (_carried(module, "size") for module in _looked_through(backbone))
    size = next((own for own in sizes if own is not None), None)
    if size is not None and images.shape[2:] != size:
        name = type(_looked_through(backbone)[-1]).__name__
        raise ValueError(
            f"images are {images.shape[2]}x{images.shape[3]}, and {name} takes "
            f"{size[0]}x{size[1]}; align the faces to that size, as align_face(photo, landmarks, "
            f"size={size}) does"
        )


def warn_of_unknowns(backbone: nn.Module, images: Tensor, normalised: bool) -> None:
    """Warn where images may not be what a backbone takes, which does not say what it takes.

    Args:
        backbone: What is asked.
        images: (N, C, H, W), as they came.
        normalised: Whether a mean and deviation for them are known.
    """
    low, high = (float(value) for value in images.detach().aminmax())
    if not normalised and is_program(backbone) and low >= 0 and 0 < high <= 1:
        warnings.warn(
            f"{type(backbone).__name__} is a program or a copy by torch.fx or torch.jit, which "
            "leaves the model's mean and std behind, and images in [0, 1] enter it as they are. "
            "Write SiameseCosine(backbone, mean=0.5, std=0.5) with its own figures, or mean=0, "
            "std=1 if it normalises photos itself",
            stacklevel=2,
        )
    if normalised and 0 < high <= 1 / 64:
        warnings.warn(
            f"images hold values up to {high:.2g}, nearly black where photos reach 1; were they "
            "divided by 255 twice?",
            stacklevel=2,
        )
    if contract(backbone).size is not None:
        return
    size = tuple(images.shape[2:])
    hidden = hidden_contract(backbone)
    wanted = hidden[1].size if hidden else None
    # Images this small are nobody's photos.
    unusual = min(size) > 64 and size not in _FACE_SIZES
    if size != wanted if wanted else unusual:
        height, width = wanted or (112, 112)
        whose = "the model within it takes" if wanted else "most take"
        warnings.warn(
            f"images are {size[0]}x{size[1]}, and {type(backbone).__name__} does not say which "
            f"size it takes; {whose} {height}x{width}, aligned by their landmarks as "
            "align_face(photo, landmarks) or `captum-fv align` does. If they are right, write "
            f"backbone.size = {size}",
            stacklevel=2,
        )


def is_training(model: nn.Module) -> bool:
    """Whether any part is in training mode; an exported program is not, whatever its flags say."""
    return any(map(_trains, _own_parts(model)))


def _trains(part: nn.Module) -> bool:
    return getattr(part, "training", False)  # torch.jit.freeze leaves no flag


def is_exported(module: nn.Module) -> bool:
    """Whether this is the module of a `torch.export` program, or a copy of one."""
    # torch.export puts a refusal in place of `eval` on the module it returns; an ordinary one has
    # only the method. A deep copy loses the refusal, and keeps its class.
    if not isinstance(module, torch.fx.GraphModule):
        return False
    kinds = {kind.__name__ for kind in type(module).__mro__}
    return "eval" in vars(module) or "_StatefulGraphModule" in kinds


def _own_parts(model: nn.Module) -> list[nn.Module]:
    """All modules but those of exported programs, found in one pass: every call asks for them."""
    parts: dict[nn.Module, None] = {}
    waiting: list[nn.Module | None] = [model]
    while waiting:
        part = waiting.pop()
        if part is None or part in parts or is_exported(part):
            continue
        parts[part] = None
        # Not `children()`, nor `modules()`: they take as long as a small model's forward.
        waiting += part._modules.values()
    return list(parts)


def spatial_features(backbone: nn.Module) -> Callable[[Tensor], Tensor]:
    """The backbone's method that gives its last grid; else a TypeError that says what to write."""
    features = contract(backbone).features
    if features is None:
        raise TypeError(
            f"{type(backbone).__name__} shows no spatial grid; give the backbone a method "
            "features(images) that returns its last one, (N, c, h, w), or take one of "
            "`captum-fv models`"
        )
    return features


def _looked_through(backbone: nn.Module) -> list[nn.Module]:
    """The backbone, and what it is a known wrapper of, down to the network itself."""
    modules = [backbone]
    while (inner := _wrapped(modules[-1])) is not None:
        modules.append(inner)
    return modules


def _wrapped(module: nn.Module) -> nn.Module | None:
    if isinstance(module, _WRAPPERS):
        return cast(nn.Module, module.module)
    # torch.compile's and FSDP's names for what they hold; nobody else uses them.
    held = module._modules  # of a TorchScript module it knows `in` and [], and no `get`
    names = (name for name in ("_orig_mod", "_fsdp_wrapped_module") if name in held)
    return next((held[name] for name in names), None)


def _own_contract(module: nn.Module) -> dict[str, Any]:
    """Whatever of `MayCarry` is a plain attribute of this very module."""
    carried = {field.name: _carried(module, field.name) for field in fields(MayCarry)}
    own = {name: value for name, value in carried.items() if value is not None}
    if "mean" not in own or "std" not in own:  # one alone is something else
        own.pop("mean", None), own.pop("std", None)
    return own


def _carried(module: nn.Module, name: str) -> Any:
    """What this very module has under one of `MayCarry`'s names, as a plain attribute, or None."""
    plain = vars(module) if _is_loaded(module) else {}
    value = plain.get(name, getattr(module, name, None))
    if name == "size":
        return tuple(value) if isinstance(value, tuple | list) else None
    if name == "patched_cosine_head":
        fits = isinstance(value, nn.Module)
    elif name == "features":
        fits = callable(value) and not isinstance(value, nn.Module)
    elif isinstance(value, Tensor):  # the network's own, unless load_backbone was given it
        fits = name in plain
    else:
        fits = not callable(value)
    return value if fits else None


def _is_loaded(module: nn.Module) -> bool:
    return "channel_order" in vars(module)  # `load_backbone` always writes it


def _cure(backbone: nn.Module, images: Tensor, told: str) -> str:
    if "in-place" in told:
        return "; set inplace=False on its activations"
    weights = chain(backbone.parameters(), backbone.buffers())
    weight = next((weight for weight in weights if weight.is_floating_point()), images)
    if weight.is_meta:
        return "; its weights are on the meta device, which holds no values: load them"
    if weight.device != images.device:
        return f'; its weights are on {weight.device}, so write siamese.to("{images.device}")'
    if "Expected all tensors to be on the same device" in told:
        if any(isinstance(module, torch.jit.ScriptModule) for module in backbone.modules()):
            made = re.search(r'torch\.(\w+)\([^\n]*device=torch\.device\("([\w:]+)"\)', told)
            which = f" (torch.{made[1]} on {made[2]})" if made else ""
            return (
                f"; a device is burnt into this TorchScript program{which}: trace it on "
                f"{images.device.type.upper()}, or export it to .pt2"
            )
        return "; a tensor of its own stays on another device: register_buffer lets it follow"
    if weight.dtype != images.dtype:
        return f"; its weights are {weight.dtype}, so write images.to({weight.dtype})"
    if weight.is_inference():
        return "; load it outside torch.inference_mode()"
    return "; does it want another size, or another number of channels?"
