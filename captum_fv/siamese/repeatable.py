"""One image, one embedding: asked again, and without the other images of its batch."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch
from torch import Tensor, nn

from captum_fv.core.arithmetic import autocast_type


def same_answer_again(
    backbone: nn.Module,
    compute: Callable[[Tensor], Tensor],
    images: Tensor,
    what: str,
    half: torch.dtype | None = None,
) -> Tensor:
    """What the backbone computes for images, if each row depends on its own image alone.

    The backbone is asked three or four times, so that whatever it keeps or draws from shows in its
    answers. It may count its calls, or keep what it computed.

    Args:
        backbone: What computes.
        compute: Images (N, C, H, W) -> a tensor with a row for each.
        images: The batch that the user's call is about.
        what: What a row is, for the message.
        half: The half precision that it computes in; None for none.

    Raises:
        ValueError: One image gets two answers; the message says whether from call to call or from
            batch to batch.
    """
    last = images[-1:]
    with torch.no_grad(), torch.random.fork_rng([images.device] if images.is_cuda else []):
        torch.rand(1, device=images.device)  # whoever draws shall get other numbers than below
        again, alone = _rows(compute, images), _rows(compute, last)
        answers = [alone]
        if alone is None or (images == last).all():
            # It takes no batch of one, or misses nobody in it: give the image other company.
            others = images[: max(1, len(images) - 1)].flip(-2, -1) / 2
            answers.append(_rows(compute, torch.cat([others, last])))
    # The user's own call comes last: hooks and caches are left with what belongs to it.
    values = compute(images)
    coarseness = _coarseness(backbone, images, values, half)
    if _differ(again, values, values, max(1e-5, coarseness)):
        raise ValueError(
            f"the backbone gives one image two {what}s when asked twice: it draws random numbers, "
            "or changes from call to call; want one that depends on the image alone"
        )
    # Another batch size takes other kernels, which round differently. Seen on residual networks and
    # a transformer: up to 2e-6 of the largest value in float32, 9e-4 in TF32, 8e-4 in float16 and
    # 6e-3 in bfloat16. The same batch again gave the same bits in all of them.
    if any(_differ(rows, values[-1:], values, max(1e-3, 10 * coarseness)) for rows in answers):
        raise ValueError(
            f"the {what} of an image depends on the other images of its batch (batch statistics, a "
            "mean over the batch, a program exported in training mode or traced in it); want one "
            "that depends on the image alone, as export and trace give it after model.eval()"
        )
    if _alike(values, images):
        warnings.warn(
            f"the backbone gives unlike images the same {what}, up to rounding: it is untrained or "
            "dead, or its images are far out of the range that it takes",
            stacklevel=2,
        )
    return values


def _alike(values: Tensor, images: Tensor) -> bool:
    """Whether all rows are one and the same, though some images differ in every place."""
    apart = (images - images[:1]).detach().abs().flatten(1).mean(1).max()
    if not apart > 0.02 * images.detach().abs().max():
        return False
    return not _differ(values[:1].expand_as(values), values, values, 1e-3)


def _rows(compute: Callable[[Tensor], Tensor], batch: Tensor) -> Tensor | None:
    """The answer to a batch; None from a backbone that takes only batches of another size."""
    try:
        return compute(batch)
    except Exception:  # if it is the images' fault, the user's own call says so
        return None


def _differ(rows: Tensor | None, expected: Tensor, values: Tensor, tolerance: float) -> bool:
    """Whether the last rows are not as expected, by more than a share of the largest value."""
    if rows is None:
        return False
    rows = rows[-len(expected) :]
    if rows.shape != expected.shape:
        return True
    # Half precision would round the tolerance away.
    wide = torch.promote_types(values.dtype, torch.float32)
    rows, expected, values = (x.detach().to(wide) for x in (rows, expected, values))
    return bool((rows - expected).abs().max() > tolerance * values.abs().max())


def _coarseness(
    backbone: nn.Module, images: Tensor, values: Tensor, half: torch.dtype | None
) -> float:
    """The relative rounding error of the coarsest numbers that the backbone computes with."""
    kinds = {x.dtype for x in (images, values, *backbone.parameters()) if x.is_floating_point()}
    kinds |= {kind for kind in (half, autocast_type(images.device)) if kind is not None}
    if images.is_cuda:
        kinds.add(torch.float16)  # TF32, in which convolutions compute there, is as coarse
    return max(torch.finfo(kind).eps for kind in kinds)
