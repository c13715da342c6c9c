"""The blur that publications put over their maps."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


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
    window = (weights / weights.sum()).to(maps).reshape(1, 1, 1, kernel)
    padded = F.pad(maps, (half, half, half, half), mode="reflect")
    rows = F.conv2d(padded.reshape(-1, 1, *padded.shape[-2:]), window)
    return F.conv2d(rows, window.transpose(2, 3)).reshape(maps.shape)
