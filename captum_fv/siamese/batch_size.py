"""How many images go through a model at once, where nobody says."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from captum_fv.core.arithmetic import autocast_type
from captum_fv.core.checks import check_counts
from captum_fv.siamese.model import SiameseCosine

FEW = 16
"""What a processor's cache holds of most face models: more were hardly faster on any CPU tried, and
slower beside other work; one number gives every CPU the same bits."""

MOST = 1024
"""No trial goes beyond this."""

GAIN = 0.98
"""A batch twice as large is taken if an image costs less than this part of what it did."""

ROOM = 0.25
"""The part of a device's free memory that a batch may take."""


def images_at_once(
    forward_func: Any, images: Tensor, *, gradients: bool = False, **wanted: int | None
) -> int:
    """The user's number where there is one; else 16, and on CUDA what a trial finds.

    The trial is made once for a model, device, precision and size of images, and kept.

    Args:
        forward_func: The model; the trial needs a SiameseCosine.
        images: Some like those that will go through it, (N, C, H, W).
        gradients: Whether their gradients will be asked for.
        wanted: The option's name and what the user said, as batch_size=None.

    Raises:
        ValueError: A number that is not whole or below 1.
    """
    ((name, count),) = wanted.items()
    if count is not None:
        check_counts(**{name: count})
        return int(count)
    if not images.is_cuda or not isinstance(forward_func, SiameseCosine):
        return FEW
    precision = (forward_func.precision, autocast_type(images.device))
    key = (images.device, precision, images.dtype, images.shape[1:], gradients)
    kept = forward_func.batch_sizes
    if key not in kept:
        kept[key] = doubling_trial(partial(_cost, forward_func, images[:1].detach(), gradients))
    return kept[key]


def doubling_trial(cost: Callable[[int], float | None], first: int = FEW, most: int = MOST) -> int:
    """The batch size from which on an image gets hardly cheaper by doubling it.

    Args:
        cost: A batch size -> what an image then costs; None if there is no room for it.
        first: Where the trial begins.
        most: Where it ends.

    >>> doubling_trial({16: 4.0, 32: 3.0, 64: 2.0, 128: 1.99}.get)
    64
    """
    size, price = first, cost(first)
    while price is not None and 2 * size <= most:
        next_price = cost(2 * size)
        if next_price is None or next_price > GAIN * price:
            break
        size, price = 2 * size, next_price
    return size


def _cost(siamese: SiameseCosine, image: Tensor, gradients: bool, count: int) -> float | None:
    """Seconds for an image on CUDA, in a batch of so many; None if they would take too much."""
    images = image.repeat(count, 1, 1, 1).requires_grad_(gradients)
    free, _ = torch.cuda.mem_get_info(image.device)
    torch.cuda.reset_peak_memory_stats(image.device)
    before = torch.cuda.memory_allocated(image.device)
    try:
        _run(siamese, images)  # the first one pays for warming up
        seconds = min(_run(siamese, images) for _ in range(2))
    except torch.OutOfMemoryError:
        torch.cuda.empty_cache()
        return None
    taken = torch.cuda.max_memory_allocated(image.device) - before
    return seconds / count if taken < ROOM * free else None


def _run(siamese: SiameseCosine, images: Tensor) -> float:
    started = time.perf_counter()
    with torch.set_grad_enabled(images.requires_grad):
        embeddings = siamese.embed_images(images)
        if images.requires_grad:
            torch.autograd.grad(embeddings.sum(), images)
    torch.cuda.synchronize(images.device)
    return time.perf_counter() - started
