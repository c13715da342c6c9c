"""What is known about where a model looks before any pair is seen, and how to take it away."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from captum_fv.checks import ask_scores, check_counts, image_gradients
from captum_fv.metrics.error_rates import as_labels
from captum_fv.metrics.positions import as_images, check_images
from captum_fv.metrics.replacement_order import equal_strata


def sensitivity_strata(
    forward_func: Any,
    pair: tuple[Tensor, Tensor],
    count: int = 64,
    batch_size: int = 32,
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
        batch_size: Pairs per backward. It bounds the memory.

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
    forward_func: Any, pair: tuple[Tensor, Tensor], batch_size: int = 32
) -> Tensor:
    """The prior of `sensitivity_strata` times the number of pairs and channels, (H, W) float64.

    Sums over parts of a set add up to that of the whole. Arguments and errors are the same.
    """
    pair = as_images(pair)
    check_images(img_a=pair[0], img_b=pair[1])
    check_counts(batch_size=batch_size)
    total = torch.zeros(pair[0].shape[2:], dtype=torch.float64)
    for img_a, img_b in zip(
        *(torch.split(images, int(batch_size)) for images in pair), strict=True
    ):
        with torch.inference_mode(False), torch.enable_grad():
            leaf = img_a.detach().clone().requires_grad_()
            scores = ask_scores(forward_func, leaf, img_b.detach())
            (gradient,) = image_gradients(scores, (leaf,))
        total += gradient.abs().sum((0, 1), dtype=torch.float64).cpu()
    return total


def deal_to_others(match: Tensor | npt.NDArray[np.bool_], seed: int = 0) -> npt.NDArray[np.intp]:
    """For each pair the number of another pair with the same decision, each used once.

    DPR with the maps so dealt is the exact null of "this map explains this pair": a map that is the
    same for all pairs, or for all with one decision, loses nothing by it.

    Args:
        match: The decision on each pair, (N,) bool.
        seed: Of the deal.

    Raises:
        ValueError: A decision that only one pair has.

    >>> deal_to_others(torch.tensor([True, False, True, False])).tolist()
    [2, 3, 0, 1]
    """
    labels = as_labels(match, name="match")
    rng = np.random.default_rng(seed)
    others = np.empty(len(labels), dtype=np.intp)
    for decision in (True, False):
        pairs = rng.permutation(np.flatnonzero(labels == decision))
        if len(pairs) == 1:
            raise ValueError(
                f"match: only pair {pairs[0]} is {decision}; want two or more of each decision"
            )
        others[pairs] = np.roll(pairs, 1)
    return others
