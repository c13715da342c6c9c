"""What masks hide: squares at random places, RISE's soft grids, and Gaussians on a grid."""

from __future__ import annotations

from math import ceil

import torch
import torch.nn.functional as F
from torch import Tensor

from captum_fv.attr.smoothing import check_sigma
from captum_fv.core.checks import as_number, check_counts, check_generator, check_size


def square_masks(
    count: int,
    size: tuple[int, int],
    generator: torch.Generator | None = None,
    *,
    squares: int = 3,
    side: float = 30 / 112,
) -> Tensor:
    """Masks that hide a few squares each, at random places where they fit into the image.

    Args:
        count: How many masks, M.
        size: (H, W) of the images.
        generator: Where the places come from. None: a new one, seeded with 0.
        squares: How many squares a mask hides; they may overlap.
        side: Their side as a share of the height: 30 pixels of 112.

    Returns:
        bool (M, H, W), True where the image is hidden.

    Raises:
        ValueError: Squares that do not fit.

    >>> masks = square_masks(4, (112, 112), squares=1)
    >>> masks.sum((1, 2)).tolist()
    [900, 900, 900, 900]
    """
    check_counts(count=count, squares=squares)
    check_size("size", size)
    generator = _seeded(generator)
    pixels = max(1, round(as_number("side", side) * size[0]))
    if pixels > min(size):
        raise ValueError(f"side: squares of {pixels} pixels do not fit into {size[0]}x{size[1]}")
    device = generator.device
    inside = []
    for length in size:
        first = torch.randint(
            length - pixels + 1, (count, squares, 1), generator=generator, device=device
        )
        place = torch.arange(length, device=device)
        inside.append((place >= first) & (place < first + pixels))
    hidden = torch.zeros(count, *size, dtype=torch.bool, device=device)
    for rows, columns in zip(inside[0].unbind(1), inside[1].unbind(1), strict=True):
        hidden |= rows[:, :, None] & columns[:, None]
    return hidden


def rise_masks(
    count: int,
    size: tuple[int, int],
    generator: torch.Generator | None = None,
    *,
    cells: int = 12,
    keep: float = 0.9,
) -> Tensor:
    """RISE's soft masks: a coarse grid of cells kept or not, enlarged bilinearly and shifted.

    Args:
        count: How many masks, M.
        size: (H, W) of the images.
        generator: Where the cells and shifts come from. None: a new one, seeded with 0.
        cells: Cells of the grid each way.
        keep: How probable it is that a cell is kept, in (0, 1).

    Returns:
        uint8 (M, H, W), from 0 (kept) to 255 (hidden).

    Reference:
        Petsiuk, Das, Saenko: RISE: Randomized Input Sampling for Explanation of Black-box Models,
            BMVC 2018, Sec. 3.2.

    >>> rise_masks(2, (112, 96)).shape
    torch.Size([2, 112, 96])
    """
    check_counts(count=count, cells=cells)
    check_size("size", size)
    if not 0 < as_number("keep", keep) < 1:
        raise ValueError(f"keep: got {keep}; want a probability between 0 and 1")
    generator = _seeded(generator)
    device = generator.device
    height, width = size
    cell = [ceil(length / cells) for length in size]
    enlarged = [(cells + 1) * length for length in cell]
    hidden = torch.empty(count, height, width, dtype=torch.uint8, device=device)
    for mask in hidden:  # one by one, so that no more than one is enlarged at a time
        grid = torch.rand(1, 1, cells, cells, generator=generator, device=device) >= keep
        soft = F.interpolate(grid.float(), enlarged, mode="bilinear", align_corners=False)[0, 0]
        top, left = (
            int(torch.randint(shift, (1,), generator=generator, device=device)) for shift in cell
        )
        mask.copy_((255 * soft[top : top + height, left : left + width]).round())
    return hidden


def gaussian_masks(size: tuple[int, int], points: int = 16, sigma: float = 10 / 112) -> Tensor:
    """One Gaussian at each point of a grid over the image, row-major.

    Args:
        size: (H, W) of the images.
        points: Points of the grid each way: 16 of 112 pixels are 7 pixels apart.
        sigma: The Gaussian's standard deviation as a share of the height: 10 pixels of 112.

    Returns:
        uint8 (points * points, H, W), 255 at the centres.

    >>> masks = gaussian_masks((112, 112))
    >>> masks.shape, masks[17, 10, 10].item(), masks[17, 10, 20].item()
    (torch.Size([256, 112, 112]), 255, 155)
    """
    check_counts(points=points)
    check_size("size", size)
    check_sigma(sigma)
    bumps = []
    for length in size:
        centres = (torch.arange(points) + 0.5) * length / points - 0.5
        distance = (torch.arange(length) - centres[:, None]) / (sigma * size[0])
        bumps.append(torch.exp(-(distance**2) / 2))
    masks = torch.einsum("ih,jw->ijhw", *bumps).flatten(0, 1)
    return (255 * masks).round().byte()


def _seeded(generator: torch.Generator | None) -> torch.Generator:
    check_generator(generator)
    return torch.Generator().manual_seed(0) if generator is None else generator
