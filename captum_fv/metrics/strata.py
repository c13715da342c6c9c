"""Strata: positions that count alike in any face, whoever the pair is.

Where DPR ranks positions within them alone, nothing is earned by knowing where faces are looked at.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from captum_fv.core.checks import all_finite, check_counts, check_tensor
from captum_fv.metrics.positions import as_images
from captum_fv.siamese.batch_size import images_at_once
from captum_fv.siamese.scoring import ask_scores, check_maps, image_gradients


def sensitivity_strata(
    forward_func: Any,
    pair: tuple[Tensor, Tensor],
    count: int = 64,
    batch_size: int | None = None,
) -> Tensor:
    r"""Strata of equal mean sensitivity: the places that count alike in the faces of many pairs.

    .. math:: prior(y, x) = \mathrm{mean}_{pairs, c} |\partial s / \partial A_c(y, x)|

    Stratified DPR with them is worth nothing to a map that only knows where this model looks in
    any face. Rings (`face_rings`) take away the centre alone, and not the eyes, nose and mouth.

    Args:
        forward_func: (img_a, img_b) -> scores (N,), differentiable.
        pair: Images A and B of some hundred pairs as they are explained, each (N, C, H, W): with
            their patches, which lie in some places more often than in others.
        count: How many strata, each with as many positions.
        batch_size: Pairs per backward. It bounds the memory. None: 16, and on CUDA what a trial
            finds to be fastest.

    Returns:
        The number of each position's stratum, (H, W) integers, ascending with the sensitivity.

    Raises:
        ValueError: Shapes that do not fit, NaN in an image or a gradient.

    >>> weight = torch.tensor([[1.0, 4.0], [3.0, 2.0]])
    >>> pair = (torch.rand(5, 3, 2, 2), torch.rand(5, 3, 2, 2))
    >>> sensitivity_strata(lambda a, b: (a * weight).sum((1, 2, 3)), pair, count=4).tolist()
    [[0, 3], [2, 1]]
    """
    return equal_strata(summed_sensitivity(forward_func, pair, batch_size), count)


def summed_sensitivity(
    forward_func: Any, pair: tuple[Tensor, Tensor], batch_size: int | None = None
) -> Tensor:
    """The prior of `sensitivity_strata` times the number of pairs and channels, (H, W) float64.

    Sums over parts of a set add up to that of the whole. Arguments and errors are the same.
    """
    pair = as_images(pair)
    at_once = images_at_once(forward_func, pair[0], gradients=True, batch_size=batch_size)
    total = torch.zeros(pair[0].shape[2:], dtype=torch.float64)
    batches = (torch.split(images, at_once) for images in pair)
    for img_a, img_b in zip(*batches, strict=True):
        with torch.inference_mode(False), torch.enable_grad():
            leaf = img_a.detach().clone().requires_grad_()
            scores = ask_scores(forward_func, leaf, img_b.detach())
            (gradient,) = image_gradients(scores, (leaf,), look=False)
            check_maps(gradient[:, None])
        total += gradient.abs().cpu().sum((0, 1), dtype=torch.float64)
    return total


def equal_strata(prior: Tensor, count: int = 16) -> Tensor:
    """Cuts the positions into strata of nearly equal prior, each with as many positions.

    Args:
        prior: What is known of a position without the pair: a distance, or a mean map; (H, W).
        count: How many strata; positions of equal prior stay together.

    Returns:
        The number of each position's stratum, (H, W) integers, ascending with the prior.

    >>> equal_strata(torch.tensor([[3.0, 1.0], [2.0, 9.0]]), count=2).tolist()
    [[1, 0], [0, 1]]
    """
    check_tensor("prior", prior, "a tensor (H, W)")
    if prior.ndim != 2 or prior.is_complex() or not all_finite(prior):
        raise ValueError(
            f"prior: got {prior.dtype} of shape {tuple(prior.shape)}; want finite values (H, W)"
        )
    check_counts(count=count)
    if count > prior.numel():
        raise ValueError(
            f"count: got {count} strata for {prior.numel()} positions; want 1 to {prior.numel()}"
        )
    # Of P positions, one with b below it is in stratum floor(b * count / P): as many in each, and
    # equal values, which have equally many below them, stay together.
    values = prior.detach().cpu().double().flatten()
    below = torch.searchsorted(values.sort().values, values)
    return (below * count // prior.numel()).reshape(prior.shape)


def face_rings(
    height: int = 112,
    width: int = 112,
    count: int = 16,
    centre: tuple[float, float] = (62 / 112, 56 / 112),
) -> Tensor:
    """Rings round the centre of an aligned face, each with as many positions.

    Args:
        height, width: Of the image.
        count: How many rings.
        centre: (row, column) as shares of height and width; the default is that of `CentrePrior`.

    Returns:
        The number of each position's ring, (H, W) integers, from the centre outwards.

    >>> face_rings(5, 5, count=3, centre=(0.4, 0.4))[2].tolist()
    [1, 0, 0, 0, 1]
    """
    check_counts(height=height, width=width)
    if not isinstance(centre, tuple | list) or len(centre) != 2:
        raise ValueError(f"centre: got {centre!r}; want (row, column) as shares")
    rows = torch.arange(height, dtype=torch.float64) - centre[0] * height
    columns = torch.arange(width, dtype=torch.float64) - centre[1] * width
    return equal_strata(rows[:, None] ** 2 + columns**2, count)
