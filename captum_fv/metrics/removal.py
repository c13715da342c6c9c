"""What shows where a part of image A was removed: a blank, or a guess from the rest."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from captum_fv.core.arrays import BoolArray, FloatArray, IntArray
from captum_fv.core.checks import as_number

Fill = Literal["blur", "mean", "black", "road"]

ROAD_NOISE = 0.01
"""Standard deviation of the noise on what ROAD imputes."""

ROAD_WEIGHTS = {(0, 1): 1 / 6, (1, 0): 1 / 6, (1, 1): 1 / 12, (1, -1): 1 / 12}
"""Steps to half of a pixel's neighbours -> their weights; the other half lies opposite."""


def blank_images(fill: Fill | float, images: Tensor, forward_func: Any) -> Tensor:
    """What stands for nothing in images A, (N, C, H, W): any fill but "road".

    Raises:
        TypeError, ValueError: An unknown fill, or "black" where its value is unknown.
    """
    if fill == "blur":
        return _blur(images)
    if fill == "mean":
        return images.mean((2, 3), keepdim=True).expand_as(images)
    if fill == "black":
        fill = getattr(forward_func, "black", None)  # type: ignore[assignment]
        if fill is None:
            raise ValueError(
                'fill: "black" is unknown to a model without mean and std; write its value, as in '
                "fill=-1.0"
            )
    if isinstance(fill, str):
        raise ValueError(
            f"fill: got {fill!r}; want one of {get_args(Fill)}, a number, or images as A, to show "
            "in its place"
        )
    return torch.full_like(images, as_number("fill", fill))


def _blur(images: Tensor) -> Tensor:
    from scipy.ndimage import gaussian_filter

    sigma = images.shape[2] / 14
    values = images.detach().cpu()
    values = values if values.itemsize > 2 else values.float()  # SciPy knows no half precision
    blurred = gaussian_filter(values.numpy(), (0, 0, sigma, sigma), mode="mirror")
    return torch.from_numpy(blurred).to(images)


def impute(image: FloatArray, removed: BoolArray) -> FloatArray:
    r"""ROAD's noisy linear imputation: what is removed is guessed from what is left.

    Each removed pixel is the mean of its up to eight neighbours, removed or not,

    .. math:: x_i \sum_{j \in N(i)} w_j = \sum_{j \in N(i)} w_j x_j, \qquad
              w = 1/6 \text{ beside, } 1/12 \text{ across a corner,}

    one sparse linear system for all of them. Noise of a deviation of 0.01, one fixed picture of it,
    goes on top, within the image's range. Removed shapes are then no longer to be seen, so that
    what a model loses is what stood there, and not that a hole is there now.

    Args:
        image: (C, H, W).
        removed: (H, W) bool. If nothing is left, each channel's mean stands for it.

    Reference:
        Rong et al.: A Consistent and Efficient Evaluation Strategy for Attribution Methods (ROAD),
            ICML 2022.

    >>> ramp = np.arange(5.0).repeat(3).reshape(1, 5, 3) / 4
    >>> middle = np.zeros((5, 3), bool)
    >>> middle[2] = True
    >>> impute(ramp, middle)[0, 2].round(1).tolist()
    [0.5, 0.5, 0.5]
    """
    from scipy.sparse import coo_array
    from scipy.sparse.linalg import splu

    places = np.flatnonzero(removed)
    if not len(places):
        return image
    channels = image.reshape(len(image), -1)
    filled = channels.copy()
    if len(places) == removed.size:
        filled[:] = channels.mean(1, keepdims=True)
    else:
        rows, columns, weights = _neighbours(removed.shape)
        among = removed.ravel()[rows]  # equations of the removed pixels alone
        rows, columns, weights = rows[among], columns[among], weights[among]
        number = np.full(removed.size, -1)
        number[places] = np.arange(len(places))
        unknown = number[columns] >= 0
        known = coo_array(
            (weights[~unknown], (number[rows[~unknown]], columns[~unknown])),
            shape=(len(places), removed.size),
        )
        total = np.bincount(number[rows], weights, len(places))
        ends = np.arange(len(places))
        system = coo_array(
            (
                np.concatenate([total, -weights[unknown]]),
                (
                    np.concatenate([ends, number[rows[unknown]]]),
                    np.concatenate([ends, number[columns[unknown]]]),
                ),
            ),
        )
        filled[:, places] = splu(system.tocsc()).solve(known @ channels.T).T
    noise = np.random.default_rng(0).normal(0, ROAD_NOISE, filled.shape)
    filled[:, places] += noise[:, places]
    low, high = channels.min(1, keepdims=True), channels.max(1, keepdims=True)
    return filled.clip(low, high).reshape(image.shape)


@lru_cache(maxsize=4)
def _neighbours(size: tuple[int, int]) -> tuple[IntArray, IntArray, FloatArray]:
    """Every pixel and neighbour of an image, and the neighbour's weight, each (E,)."""
    number = np.arange(size[0] * size[1]).reshape(size)
    pairs, weights = [], []
    for (down, right), weight in ROAD_WEIGHTS.items():
        one = number[: size[0] - down, max(-right, 0) : size[1] - max(right, 0)].ravel()
        pairs.append(np.stack([one, one + down * size[1] + right]))
        weights.append(np.full(len(one), weight))
    there, weight_of = np.concatenate(pairs, 1), np.concatenate(weights)
    rows, columns = np.concatenate([there, there[::-1]], 1)
    return rows, columns, np.concatenate([weight_of, weight_of])
