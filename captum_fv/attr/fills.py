"""What shows where a part of a face is hidden."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from captum_fv.attr.smoothing import gaussian_blur
from captum_fv.core.checks import as_number, check_generator

PatchFill = Literal["black", "mean", "blur", "noise", "partner", "alternative"]


def resolve_fill(
    fill: PatchFill | float, black: float | None, generator: torch.Generator | None
) -> PatchFill | float:
    """The fill itself, checked, with "black" replaced by its value.

    Raises:
        TypeError: Neither a name nor a number, or a generator that is none.
        ValueError: An unknown name, "black" where its value is unknown, or "noise" without a
            generator.
    """
    if not isinstance(fill, str):
        fill = as_number("fill", fill)
    elif fill not in get_args(PatchFill):
        raise ValueError(f"fill: got {fill!r}; want a number or one of {get_args(PatchFill)}")
    check_generator(generator)
    if fill == "noise" and generator is None:
        raise ValueError(
            "fill='noise': say where the numbers come from, as in "
            "generator=torch.Generator().manual_seed(0)"
        )
    if fill != "black":
        return fill
    if black is None:
        raise ValueError(
            "fill='black': it is not known which pixel value is black; let the model normalise, "
            "as in SiameseCosine(backbone, mean=0.5, std=0.5) with images in [0, 1], or write the "
            "value of black, as in fill=-1.0"
        )
    return black


def fill_pixels(
    fill: PatchFill | float, image: Tensor, partner: Tensor, size: int, noise: Tensor | None
) -> Tensor:
    """The picture that shows under the patches of size p, broadcastable to the image.

    Args:
        fill: "mean" (of each channel), "blur" (the image blurred with sigma p / 2), "noise"
            (uniform between each channel's darkest and brightest pixel), "partner" (the other
            image), or a number.
        image, partner: (C, H, W).
        size: p.
        noise: Uniform in [0, 1), (C, H, W), for "noise".
    """
    if fill == "partner":
        return partner
    if fill == "mean":
        return image.mean((1, 2), keepdim=True)
    if fill == "blur":
        return gaussian_blur(image[None], kernel=2 * size + 1, sigma=size / 2)[0]
    if noise is not None:
        low, high = image.amin((1, 2), keepdim=True), image.amax((1, 2), keepdim=True)
        return low + noise * (high - low)
    return image.new_full((), float(fill))


def draw_noise(generator: torch.Generator | None, images: Tensor) -> Tensor:
    """One uniform picture in [0, 1), (C, H, W), for all images (N, C, H, W)."""
    device = None if generator is None else generator.device
    return torch.rand(images.shape[1:], generator=generator, device=device).to(images)
