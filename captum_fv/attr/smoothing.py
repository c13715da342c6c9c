"""The blur that publications put over their maps, and one that keeps their sum."""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from captum_fv.attr.pair import abilities
from captum_fv.core.arithmetic import without_autocast
from captum_fv.core.checks import as_number
from captum_fv.core.waiting import sent


def gaussian_blur(maps: Tensor, kernel: int = 5, sigma: float = 5.0) -> Tensor:
    """Gaussian blur of each channel; the border is mirrored without repeating its pixels.

    The defaults are those of xSSAB and xFace, whose kernel of 5 pixels is almost a box.

    Args:
        maps: (N, C, H, W), floating point.
        kernel: Width of the window in pixels, odd.
        sigma: Standard deviation in pixels.

    Returns:
        Blurred maps, (N, C, H, W).

    Raises:
        ValueError: No such window, or maps too small to mirror half of it.

    >>> edge = torch.tensor([0.0, 0.0, 1.0]).expand(1, 1, 3, 3)
    >>> gaussian_blur(edge, kernel=3)[0, 0, 1].mul(100).round().tolist()
    [0.0, 33.0, 34.0]
    """
    if kernel < 1 or kernel % 2 == 0 or not sigma > 0:
        raise ValueError(
            f"got kernel={kernel} and sigma={sigma}; want an odd kernel and a sigma above 0"
        )
    height, width = maps.shape[-2:]
    half = kernel // 2
    if half >= min(height, width):
        raise ValueError(
            f"maps are {height}x{width}; kernel={kernel} needs more than {half} pixels each way"
        )
    offsets = torch.arange(kernel, dtype=torch.float64) - half
    weights = torch.exp(-(offsets**2) / (2 * sigma**2))
    window = sent((weights / weights.sum()).to(maps.dtype), maps.device).reshape(1, 1, 1, kernel)
    padded = F.pad(maps, (half, half, half, half), mode="reflect")
    rows = F.conv2d(padded.reshape(-1, 1, *padded.shape[-2:]), window)
    return F.conv2d(rows, window.transpose(2, 3)).reshape(maps.shape)


def check_sigma(sigma: float) -> None:
    """Raise for a standard deviation, as a share of the height, that no picture shows."""
    if not 0.001 <= as_number("sigma", sigma) <= 1000:
        raise ValueError(f"sigma: got {sigma}; want a share of the height, 0.001 to 1000")


def wants_blur(method: object) -> bool:
    """Whether publications blur this method's maps for pictures: not those that come blurred.

    Nor maps of cells, whose edges say what was compared.
    """
    return not abilities(method).blurred and abilities(method).cells is None


def smooth(maps: Tensor, sigma: float) -> Tensor:
    """Gaussian smoothing that moves values about and keeps the sum of each channel.

    The border is mirrored and its pixels repeated, so every pixel gives away exactly what it holds,
    whatever the width.

    Args:
        maps: (..., H, W), floating point.
        sigma: Standard deviation in pixels.

    Returns:
        Smoothed maps, (..., H, W).

    >>> edge = torch.tensor([0.0, 0.0, 3.0]).expand(1, 3)
    >>> smooth(edge, 1.0).mul(100).round().tolist(), smooth(edge, 1.0).sum().round().item()
    ([[19.0, 89.0, 192.0]], 3.0)
    """
    height, width = maps.shape[-2:]
    rows, columns = (_spread(size, sigma, maps.dtype, maps.device) for size in (height, width))
    with without_autocast(maps.device):  # which would round the map to 8 bits
        return rows @ maps @ columns


@lru_cache(maxsize=64)
def _spread(size: int, sigma: float, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Share of each pixel's value that each other gets, (size, size), symmetric, rows sum to 1."""
    # A place and its mirror images are at all whole offsets, each once, from any pixel: all rows
    # have the same sum before they are divided by it. So the shares stay symmetric, the columns sum
    # to 1 as well, and no value is lost.
    place = torch.arange(size, dtype=torch.float64)
    shares = torch.zeros(size, size, dtype=torch.float64)
    reach = 1 + int(4 * sigma / size)  # 8 sigma: beyond that nothing is left in float64's sum
    for turn in range(-reach, reach + 1):
        for mirrored in (place, -1 - place):
            offset = place[:, None] - mirrored - 2 * size * turn
            shares += torch.exp(-((offset / sigma) ** 2) / 2)
    return (shares / shares.sum(1, keepdim=True)).to(device, dtype)
