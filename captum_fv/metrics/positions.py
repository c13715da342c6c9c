"""The images and maps that metrics take: one value for each position, and one shape for all."""

from __future__ import annotations

import torch
from torch import Tensor

from captum_fv.core.checks import all_finite, check_dense, check_image


def position_values(attributions: Tensor, images: Tensor) -> Tensor:
    """The mean of a map over its channels, in double precision.

    Args:
        attributions: Map of image A, (N or 1, C or 1, H, W); one map serves all images.
        images: Images A, (N, C, H, W).

    Returns:
        (N, H, W) float64, on the images' device.

    Raises:
        TypeError: No tensor.
        ValueError: Another shape, or NaN or infinite values.
    """
    if not isinstance(attributions, Tensor):
        raise TypeError(
            f"attributions: got {type(attributions).__name__}; want a tensor, the map of image A"
        )
    check_dense("attributions", attributions)
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
    if attributions.is_complex():
        raise ValueError(
            f"attributions: got {attributions.dtype}, which has no order; want numbers"
        )
    if not all_finite(attributions):
        raise ValueError("attributions: hold NaN or infinite values, which have no rank")
    values = attributions.detach().to(images.device).mean(1, dtype=torch.float64)
    return values.expand(count, height, width)


def check_images(**images: Tensor) -> None:
    """Raise for images, by name, that are not finite (N, C, H, W) alike in shape, type and device.

    Raises:
        TypeError: No tensor.
        ValueError: Images that are none, or do not fit each other.
    """
    first = next(iter(images.values()))
    for name, image in images.items():
        check_image(name, image)
        if image.shape != first.shape:
            raise ValueError(
                f"{name}: got shape {tuple(image.shape)}; want (N, C, H, W), equal for "
                f"{', '.join(images)}"
            )
        if image.dtype != first.dtype or image.device != first.device:
            raise ValueError(
                f"{name}: got {image.dtype} on {image.device}; want {first.dtype} on "
                f"{first.device}, equal for {', '.join(images)}"
            )


def as_images(pair: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Both images of the pairs; a TypeError if this is no pair."""
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        came = f"{len(pair)} of them" if isinstance(pair, tuple | list) else type(pair).__name__
        raise TypeError(f"pair: got {came}; want (images A, images B)")
    img_a, img_b = pair
    return img_a, img_b
