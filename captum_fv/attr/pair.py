"""What all methods for a pair of faces share: how the pair and the threshold come in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from captum_fv.core.checks import check_alike, check_image, check_values
from captum_fv.siamese.model import SiameseCosine
from captum_fv.siamese.scoring import ask_scores

Pair = tuple[Tensor, Tensor]


def as_pair(inputs: Tensor | Pair, img_b: Tensor | None = None) -> Pair:
    """Both images of the pairs, checked, from `(img_a, img_b)` or one tuple of them.

    Returns:
        Two detached tensors, each (N, C, H, W), floating point and finite.

    Raises:
        TypeError: Not two tensors.
        ValueError: Tensors that are no images, or do not fit each other.
    """
    if isinstance(inputs, tuple | list) and img_b is None and len(inputs) == 2:
        img_a, img_b = inputs
    elif isinstance(inputs, tuple | list):
        raise TypeError(
            f"got a {type(inputs).__name__} of {len(inputs)}"
            + (" and img_b" if img_b is not None else "")
            + "; write .attribute(img_a, img_b) or .attribute((img_a, img_b))"
        )
    else:
        img_a = inputs
    if img_b is None:
        raise TypeError(
            "got one image; want two: write .attribute(img_a, img_b) or .attribute((img_a, img_b))"
        )
    for name, image in (("img_a", img_a), ("img_b", img_b)):
        check_image(name, image)
    check_alike(
        img_a,
        img_b,
        ". To compare one photo with many, repeat it: img_a.expand_as(img_b). NoiseTunnel repeats "
        "only its first argument: write .attribute((img_a, img_b))",
    )
    return img_a.detach(), img_b.detach()


def as_threshold(threshold: float | Tensor, scores: Tensor) -> Tensor:
    """The decision threshold of each pair, (N,) like the scores, from one number or a (N,) tensor.

    Raises:
        TypeError: No number.
        ValueError: Not finite, or of another length than the batch.
    """
    try:
        if isinstance(threshold, Tensor):
            check_values("threshold", threshold if threshold.is_complex() else threshold.double())
        values = torch.as_tensor(threshold, dtype=scores.dtype, device=scores.device)
    except (TypeError, OverflowError, RuntimeError) as error:
        raise TypeError(f"threshold: got {threshold!r}; want a number or a tensor (N,)") from error
    if values.ndim > 1 or (values.ndim == 1 and len(values) != len(scores)):
        raise ValueError(
            f"threshold is {tuple(values.shape)} for {len(scores)} pairs; want a number or one "
            "for each pair. Under NoiseTunnel, repeat it: threshold.repeat_interleave(nt_samples)"
        )
    if not torch.isfinite(values).all():
        raise ValueError(f"threshold: got {threshold}; want a finite number")
    return values.expand(len(scores))


def decision_sign(scores: Tensor, threshold: float | Tensor) -> Tensor:
    """+1 where a pair matches (score >= threshold) and -1 where it does not, (N, 1, 1, 1)."""
    match = scores >= as_threshold(threshold, scores)
    return (match.to(scores.dtype) * 2 - 1).reshape(-1, 1, 1, 1)


def score_pairs(forward_func: Any, pair: Pair, additional_forward_args: Any = None) -> Tensor:
    """Scores (N,) of a forward function (img_a, img_b, ...) -> (N,).

    Raises:
        ValueError: It gave something else, or a score that is not finite.
    """
    extra = additional_forward_args
    extra = () if extra is None else extra if isinstance(extra, tuple) else (extra,)
    if extra and hasattr(forward_func, "embed"):
        refuse_extras(None, extra)
    return ask_scores(forward_func, *pair, *extra)


def refuse_extras(target: Any, additional_forward_args: Any = None) -> None:
    """Raise a ValueError for arguments of Captum that have no meaning for a pair."""
    if target is not None:
        raise ValueError(
            f"target: got {target}; a pair has one score and no classes, so leave target=None"
        )
    if additional_forward_args is not None:
        raise ValueError("additional_forward_args: SiameseCosine takes two images and no more")


def require_embed(method: str, siamese: Any) -> SiameseCosine:
    """The model itself if it gives embeddings; else a TypeError that says what to write."""
    if not callable(getattr(siamese, "embed", None)):
        raise TypeError(
            f"{method} reads the embeddings of both images, which {type(siamese).__name__} does "
            f"not give; write {method}(SiameseCosine(backbone), ...)"
        )
    return siamese  # type: ignore[no-any-return]


@contextmanager
def input_gradients(pair: Pair) -> Iterator[Pair]:
    """Fresh leaves of both images with gradients on, whatever mode the caller is in."""
    with torch.inference_mode(False), torch.enable_grad():
        img_a, img_b = (image.clone().requires_grad_() for image in pair)
        yield img_a, img_b
