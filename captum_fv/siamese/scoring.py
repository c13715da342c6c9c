"""Scores and gradients of any forward function, checked."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor, nn

from captum_fv.core.checks import all_finite
from captum_fv.siamese.backbone import check_mode
from captum_fv.siamese.model import SiameseCosine


def ask_scores(forward_func: Any, images: Tensor, *others: Any) -> Tensor:
    """Scores (N,) of a forward function (images (N, C, H, W), ...) -> (N,).

    The function may write on what it is given, as normalising in place does: it gets copies.

    Raises:
        TypeError: No function.
        ValueError: A model in training mode, something else than scores, or one that is not finite.
    """
    if not callable(forward_func):
        raise TypeError(
            f"forward_func: got {type(forward_func).__name__}; want a function (img_a, img_b) -> "
            "scores (N,), as a SiameseCosine is"
        )
    if isinstance(forward_func, nn.Module) and not isinstance(forward_func, SiameseCosine):
        check_mode(forward_func, "forward_func")  # a SiameseCosine looks for itself
    try:
        scores, count = forward_func(*map(_own, (images, *others))), len(images)
    except TypeError as error:
        if _takes(forward_func, 1 + len(others)):
            raise
        raise TypeError(
            f"forward_func: {type(forward_func).__name__} does not take these {1 + len(others)} "
            "arguments; want (img_a, img_b) -> scores (N,), as SiameseCosine(backbone) is"
        ) from error
    if not isinstance(scores, Tensor) or scores.shape != (count,):
        came = (
            f"shape {tuple(scores.shape)}" if isinstance(scores, Tensor) else type(scores).__name__
        )
        raise ValueError(
            f"forward_func gave {came} for {count} pairs; want one score for each, a tensor (N,)"
        )
    if not scores.is_floating_point():
        raise ValueError(f"forward_func gave {scores.dtype} scores; want floating point")
    if not all_finite(scores):
        raise ValueError("forward_func gave scores that are NaN or infinite")
    return scores


def _own(argument: Any) -> Any:
    return argument.clone() if isinstance(argument, Tensor) else argument


def _takes(function: Any, count: int) -> bool:
    """Whether a function can be called with so many arguments, as far as it says."""
    try:
        inspect.signature(getattr(function, "forward", function)).bind(*range(count))
    except TypeError:
        return False
    except ValueError:  # it does not say
        pass
    return True


def image_gradients(
    score: Tensor, images: tuple[Tensor, ...], retain_graph: bool = False
) -> tuple[Tensor, ...]:
    """Gradients of the sum of scores to images; zero for images that it does not depend on.

    Raises:
        ValueError: There is no gradient, or it is not finite.
    """
    if not score.requires_grad:
        raise ValueError(
            "the score has no gradient: the model detaches it, rounds, or runs under "
            "torch.no_grad(). Take a method that needs none, as OcclusionPairAttribution"
        )
    gradients = torch.autograd.grad(
        score.sum(), images, retain_graph=retain_graph, materialize_grads=True
    )
    if not all(all_finite(gradient) for gradient in gradients):
        raise ValueError(
            "the gradient of the score holds NaN or infinite values; want images in the range that "
            "the model was trained for, in single precision"
        )
    return gradients
