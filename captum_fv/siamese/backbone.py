"""What a backbone must be and may carry, and what to say when it cannot take its images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from captum_fv.core.checks import check_values, describe

Normalisation = float | Sequence[float] | Tensor | None

EmbeddingPart = int | str | Callable[[Any], Tensor] | None
"""Where the embedding is in what a backbone returns."""


class MayCarry(Protocol):
    """What a backbone may carry beside its forward. Nothing of it is needed; the zoo's have most.

    Attributes:
        mean, std: Photos in [0, 1] enter the forward as (photo - mean) / std; each a number or one
            for each channel. Read by SiameseCosine, unless it is given others.
        size: Height and width of the images that it takes, in pixels. SiameseCosine refuses others;
            the commands read photos at this size.
        threshold: The cosine from which on two photos match, which `captum-fv explain` decides by
            where none is given.
        patched_cosine_head: A PatchedCosineHead trained over `features`. Read by
            PatchedCosineAttribution, unless it is given another.
    """

    mean: Normalisation
    std: Normalisation
    size: tuple[int, int] | None
    threshold: float | None
    patched_cosine_head: nn.Module

    def features(self, images: Tensor) -> Tensor:
        """The last spatial grids (N, c, h, w) of images as the forward takes them, for xCos."""


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
        raise ValueError(
            f"the backbone cannot take {kind} images of shape {tuple(images.shape)} "
            f"({str(error).strip().partition(chr(10))[0]}){_cure(backbone, images, str(error))}"
        ) from error


def check_mode(model: nn.Module, name: str = "siamese") -> None:
    """Raise a ValueError for a model, of this name, in which one pair changes another's score."""
    parts = _own_parts(model)
    if any(part.training for part in parts):
        raise ValueError(
            f"{name} is in training mode, where one pair changes another's score; write "
            f"{name}.eval()"
        )
    for part in parts:
        if isinstance(part, _BatchNorm) and part.running_mean is None:
            raise ValueError(
                f"{name}: its {type(part).__name__} keeps no running statistics, so one pair "
                "changes another's score; want a model trained with track_running_stats=True"
            )


def check_image_size(backbone: nn.Module, images: Tensor) -> None:
    """Raise a ValueError for images of another size than the backbone says that it takes."""
    size = getattr(backbone, "size", None)
    if isinstance(size, tuple) and images.shape[2:] != size:
        raise ValueError(
            f"images are {images.shape[2]}x{images.shape[3]}, and {type(backbone).__name__} takes "
            f"{size[0]}x{size[1]}; align the faces to that size, as align_face(photo, landmarks, "
            f"size={size}) does"
        )


def is_training(model: nn.Module) -> bool:
    """Whether any part is in training mode; an exported program is not, whatever its flags say."""
    return any(part.training for part in _own_parts(model))


def is_exported(module: nn.Module) -> bool:
    """Whether this is the module of a `torch.export` program."""
    # torch.export puts a refusal in place of `eval` on the module it returns; an ordinary one has
    # only the method.
    return isinstance(module, torch.fx.GraphModule) and "eval" in vars(module)


def _own_parts(model: nn.Module) -> list[nn.Module]:
    """All modules but those of exported programs, found in one pass: every call asks for them."""
    parts = list(model.modules())
    exported = {inner for part in parts if is_exported(part) for inner in part.modules()}
    return [part for part in parts if part not in exported] if exported else parts


def spatial_features(backbone: nn.Module) -> Callable[[Tensor], Tensor]:
    """The backbone's method that gives its last grid; else a TypeError that says what to write."""
    if not callable(getattr(backbone, "features", None)):
        raise TypeError(
            f"{type(backbone).__name__} shows no spatial grid; give the backbone a method "
            "features(images) that returns its last one, (N, c, h, w), or take one of "
            "`captum-fv models`"
        )
    return cast(MayCarry, backbone).features


def embeddings_in(out: Any, part: EmbeddingPart, count: int) -> Tensor:
    """The embeddings (N, d) of so many images in what the backbone returned.

    Raises:
        TypeError: They are not there, or no tensor of floating point numbers.
        ValueError: A tensor of another shape, or one that is not finite.
    """
    embeddings = out
    if callable(part):
        embeddings = part(out)
    elif part is not None:
        try:
            embeddings = out[part]
        except (IndexError, KeyError, TypeError) as error:
            raise TypeError(
                f"output: got {part!r}, but the backbone returned {describe(out)}"
            ) from error
    if not isinstance(embeddings, Tensor):
        raise TypeError(
            f"the backbone returned {describe(embeddings)}; say which part is the embedding, as in "
            "SiameseCosine(backbone, output=0)"
        )
    if embeddings.ndim != 2 or len(embeddings) != count or not embeddings.shape[1]:
        raise ValueError(
            f"the backbone gave {tuple(embeddings.shape)} for {count} images; want embeddings "
            "(N, d): pick or flatten them with output=, as in output=lambda out: out.flatten(1)"
        )
    check_values("the backbone's embedding", embeddings)
    return embeddings


def grid_in(out: Any, count: int) -> Tensor:
    """The grid (N, c, h, w) of so many images that the backbone's features returned.

    Raises:
        TypeError: Numbers that are not floating point.
        ValueError: No such tensor, or one that is not finite.
    """
    if not (isinstance(out, Tensor) and out.ndim == 4 and len(out) == count and out.numel()):
        raise ValueError(
            f"the backbone's features gave {describe(out)} for {count} images; want a grid "
            "(N, c, h, w)"
        )
    check_values("the backbone's grid", out)
    return out


def _cure(backbone: nn.Module, images: Tensor, told: str) -> str:
    if "in-place" in told:
        return "; set inplace=False on its activations"
    weights = chain(backbone.parameters(), backbone.buffers())
    weight = next((weight for weight in weights if weight.is_floating_point()), images)
    if weight.is_meta:
        return "; its weights are on the meta device, which holds no values: load them"
    if weight.device != images.device:
        return f'; its weights are on {weight.device}, so write siamese.to("{images.device}")'
    if weight.dtype != images.dtype:
        return f"; its weights are {weight.dtype}, so write images.to({weight.dtype})"
    if weight.is_inference():
        return "; load it outside torch.inference_mode()"
    return "; does it want another size, or another number of channels?"
