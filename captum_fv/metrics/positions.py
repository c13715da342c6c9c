"""The images and maps that metrics take: one value for each position, and one shape for all."""

from __future__ import annotations

import torch
from torch import Tensor


def position_values(attributions: Tensor, images: Tensor) -> Tensor:
    """The mean of a map over its channels, in double precision.

    Args:
        attributions: Map of image A, (N or 1, C or 1, H, W); one map serves all images.
        images: Images A, (N, C, H, W).

    Returns:
        (N, H, W) float64, on the images' device.

    Raises:
        ValueError: Another shape, or NaN or infinite values.
    """
    count, channels, height, width = images.shape
    if (
        attributions.ndim != 4
        or attributions.shape[0] not in (1, count)
        or attributions.shape[1] not in (1, channels)
        or attributions.shape[2:] != (height, width)
    ):
        raise ValueError(
            f"attributions: got shape {tuple(attributions.shape)}; want the map of image A, "
            f"({count} or 1, {channels} or 1, {height}, {width})"
        )
    if not torch.isfinite(attributions).all():
        raise ValueError("attributions: hold NaN or infinite values, which have no rank")
    values = attributions.detach().to(images.device).mean(1, dtype=torch.float64)
    return values.expand(count, height, width)


def check_images(**images: Tensor) -> None:
    """Raise a ValueError for images, by name, that are not finite (N, C, H, W) of one shape."""
    shape = next(iter(images.values())).shape
    for name, image in images.items():
        if image.ndim != 4 or 0 in image.shape or image.shape != shape:
            raise ValueError(
                f"{name}: got shape {tuple(image.shape)}; want (N, C, H, W), equal for "
                f"{', '.join(images)}"
            )
        if not torch.isfinite(image).all():
            raise ValueError(f"{name}: holds NaN or infinite values; want finite pixels")
