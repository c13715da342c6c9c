"""Scores, embeddings and gradients of any forward function."""

from __future__ import annotations

import inspect
import math
import warnings
from typing import Any

import torch
from torch import Tensor, nn

from captum_fv.core.arithmetic import backward_arithmetic
from captum_fv.core.checks import check_pixels, hides_values, require_finite
from captum_fv.core.waiting import look
from captum_fv.siamese.backbone import check_mode
from captum_fv.siamese.model import PartnerView, SiameseCosine
from captum_fv.siamese.replay import Replays, Work

NO_GRADIENT_NEEDED = (
    "Take a method that needs no gradient: occlusion, as OcclusionPairAttribution (xface1)"
)
NO_GRADIENT = (
    "no gradient of the score reaches the images: the model detaches it, rounds, is quantised "
    f"(int8), or runs under torch.no_grad(). {NO_GRADIENT_NEEDED}"
)

NOT_FINITE = (
    "the gradient of the score holds NaN or infinite values; want images in the range that the "
    "model was trained for, in single precision"
)


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
    ours = isinstance(forward_func, SiameseCosine | PartnerView)  # which look, and write on nothing
    if isinstance(forward_func, nn.Module) and not ours:
        check_mode(forward_func, "forward_func")
    try:
        arguments = (images, *others) if ours else map(own_copy, (images, *others))
        scores, count = forward_func(*arguments), len(images)
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
    require_finite("forward_func gave scores that are NaN or infinite", scores)
    return scores


def gives_embeddings(forward_func: Any) -> bool:
    """Whether a model gives embeddings, by `embed_images` or of pairs alone, by `embed`."""
    return any(callable(getattr(forward_func, name, None)) for name in ("embed_images", "embed"))


def embed_images(forward_func: Any, images: Tensor) -> Tensor:
    """Embeddings (n, d) of images (n, C, H, W), by whichever of the two a model has.

    A model of the user's own may write on what it is given: it gets a copy.
    """
    if isinstance(forward_func, SiameseCosine):  # which makes one itself
        return forward_func.embed_images(images)
    if callable(getattr(forward_func, "embed_images", None)):
        return forward_func.embed_images(images.clone())  # type: ignore[no-any-return]
    # As pairs, of the first half with the second; the one in the middle may be in both.
    half = (len(images) + 1) // 2
    first, second = forward_func.embed(images[:half].clone(), images[-half:].clone())
    return torch.cat([first, second[2 * half - len(images) :]])


def embed_pairs(forward_func: Any, pairs: Tensor) -> Tensor:
    """Embeddings (N, 2, d) of pairs (N, 2, C, H, W), as the model's `embed` gives them.

    A model of the user's own may write on what it is given: it gets copies.
    """
    if isinstance(forward_func, SiameseCosine):  # interleaved, as its `embed` does
        return forward_func.embed_images(pairs.flatten(0, 1)).reshape(len(pairs), 2, -1)
    return torch.stack(forward_func.embed(pairs[:, 0].clone(), pairs[:, 1].clone()), 1)


def own_copy(argument: Any) -> Any:
    """A tensor that whoever gets it may write on; all else as it is."""
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


def replayed(
    forward_func: Any, name: str, work: Work, images: Tensor, *others: Tensor
) -> tuple[Tensor, ...]:
    """What work(images, *others) gives, from a CUDA graph where the model has recordings.

    Whoever calls this looks whether it is finite: while it is recorded, nothing can be looked at.

    Args:
        forward_func: The model that the work asks.
        name: Of the work, with all that it depends on beside the tensors.
        work: What to do.
        images: (n, C, H, W), to which the model is asked.
        others: What else it is about.
    """
    replays: Replays | None = getattr(forward_func, "replays", None)
    if replays is None or not replays.serve(images):
        return work(images, *others)
    # A recording looks at nothing, and begins behind the model's door.
    check_pixels(images, photos=forward_func.mean is not None)
    check_mode(forward_func.backbone)
    return replays.run(f"{name} {forward_func.precision}", work, images, *others)


def image_gradients(
    score: Tensor,
    images: tuple[Tensor, ...],
    weights: Tensor | None = None,
    retain_graph: bool = False,
    look: bool = True,
) -> tuple[Tensor, ...]:
    """Gradients of the sum of scores to images; zero for one of them that it does not depend on.

    Args:
        score: Of any shape.
        images: Leaves that it was computed from.
        weights: Of the scores in that sum, of their shape; None: 1 each.
        retain_graph: Whether another gradient will be asked for.
        look: Whether they are looked at; if not, `check_gradients` or `check_maps` is for the
            caller to call.

    Raises:
        ValueError: No gradient reaches any of the images, or it is not finite.
    """
    check_differentiable(score)
    outputs = score.sum() if weights is None else score
    with backward_arithmetic(score.device):
        found = torch.autograd.grad(
            outputs, images, weights, retain_graph=retain_graph, allow_unused=True
        )
    if all(gradient is None for gradient in found):
        raise ValueError(NO_GRADIENT)
    gradients = tuple(
        torch.zeros_like(image) if gradient is None else gradient
        for image, gradient in zip(images, found, strict=True)
    )
    if look:
        check_gradients(*gradients)
    return gradients


def check_differentiable(score: Tensor) -> None:
    """Raise a ValueError for a score that has no gradient."""
    if not score.requires_grad:
        raise ValueError(NO_GRADIENT)


def check_gradients(*gradients: Tensor) -> None:
    """Raise a ValueError for gradients, or products with them, that are not finite."""
    require_finite(NOT_FINITE, *gradients)


def check_maps(maps: Tensor) -> None:
    """Look at the k maps of gradients of each pair, (N, k, ...).

    Raises:
        ValueError: One is not finite.

    Warns:
        UserWarning: One is zero everywhere; it says of how many pairs.
    """
    if hides_values(maps):
        return
    pairs, each = maps.shape[:2]
    largest = maps.detach().flatten(2).abs().amax(2)  # NaN is the largest of all values

    def judge(values: list[float]) -> None:
        if not all(map(math.isfinite, values)):
            raise ValueError(NOT_FINITE)
        if zero := sum(0 in values[k : k + each] for k in range(0, len(values), each)):
            warnings.warn(
                f"the gradient is exactly zero everywhere in {zero} of {pairs} pairs, so their "
                "maps say nothing: the model rounds or is quantised on the way from the images, or "
                f"none of its arguments is of the kind that was asked for. {NO_GRADIENT_NEEDED}",
                stacklevel=5,
            )

    look(largest.flatten(), judge)
