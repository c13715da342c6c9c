"""The pairs and the maps that metrics take: images of one shape, one value for each position."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import torch
from torch import Tensor

from captum_fv.core.checks import all_finite, check_images, check_size, check_tensor


def position_values(attributions: Tensor, images: Tensor) -> Tensor:
    """The mean of a map over its channels, in double precision.

    Args:
        attributions: Map of image A, (N or 1, C or 1, H, W); one map serves all images.
        images: Images A, (N, C, H, W).

    Returns:
        (N, H, W) float64, on the CPU, for not every device knows double precision; an error for
            what is no such map, or not finite.
    """
    check_tensor("attributions", attributions, "a tensor, the map of image A")
    count, channels, height, width = images.shape
    fits = attributions.ndim == 4 and attributions.shape[2:] == (height, width)
    fits = fits and attributions.shape[0] in (1, count) and attributions.shape[1] in (1, channels)
    if not fits or attributions.is_complex():
        raise ValueError(
            f"attributions: got {attributions.dtype} of shape {tuple(attributions.shape)}; want "
            f"the map of image A, ({count} or 1, {channels} or 1, {height}, {width})"
        )
    if not all_finite(attributions):
        raise ValueError("attributions: hold NaN or infinite values, which have no rank")
    # Single precision could round two different means to one value, and the order would be lost.
    values = attributions.detach().cpu().mean(1, dtype=torch.float64)
    return values.expand(count, height, width)


def cell_numbers(name: str, grid: tuple[int, int], size: Sequence[int]) -> Tensor:
    """The number of each position's cell in a grid, row-major, (H*W,).

    Args:
        name: Of the grid, for the error.
        grid: Rows and columns.
        size: (H, W).

    Raises:
        ValueError: More rows or columns than positions.
    """
    check_size(name, grid)
    (height, width), (rows, columns) = size, grid
    if rows > height or columns > width:
        raise ValueError(
            f"{name}: got {grid}; want a pixel or more for each cell of {height}x{width}"
        )
    row, column = torch.arange(height) * rows // height, torch.arange(width) * columns // width
    return (row[:, None] * columns + column).flatten()


def is_constant(values: Tensor) -> Tensor:
    """Which maps (N, ...) have one value everywhere, up to rounding in single precision, (N,)."""
    low, high = values.flatten(1).cpu().double().aminmax(dim=1)
    rounding = 8 * torch.finfo(torch.float32).eps * torch.maximum(low.abs(), high.abs())
    return high - low <= rounding


def warn_of_constant_maps(values: Tensor) -> None:
    """A warning that says how many maps (N, H, W) rank nothing."""
    constant = int(is_constant(values).sum())
    if constant:
        warnings.warn(
            f"attributions: {constant} of {len(values)} maps are constant and say nothing; their "
            "positions go in a random order, so figures of them are those of chance",
            stacklevel=3,
        )


def as_images(pair: tuple[Tensor, Tensor], **others: Tensor) -> tuple[Tensor, Tensor]:
    """Images A and B of the pairs, and an error unless these and the others are images alike."""
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        came = f"{len(pair)} of them" if isinstance(pair, tuple | list) else type(pair).__name__
        raise TypeError(f"pair: got {came}; want (images A, images B)")
    img_a, img_b = pair
    check_images(img_a=img_a, img_b=img_b, **others)
    return img_a, img_b
