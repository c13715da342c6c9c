"""Small faces for the tests of occlusion, and the published blur written again."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from captum_fv.siamese import SiameseCosine

HEIGHT, WIDTH = 9, 12


def tiny_siamese(mean: float | None = 0.5) -> SiameseCosine:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        backbone = nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(4 * 7 * 10, 6)
        )
    return SiameseCosine(backbone.eval(), mean=mean, std=mean)


def photos(count: int = 1, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    draws = torch.rand(2, count, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(5))
    return draws[0].to(dtype), draws[1].to(dtype)


def naive_blur(picture: np.ndarray, kernel: int = 5, sigma: float = 5.0) -> np.ndarray:
    half = kernel // 2
    weight = [math.exp(-(i**2) / (2 * sigma**2)) for i in range(-half, half + 1)]
    padded = np.pad(picture, half, mode="reflect")
    out = np.zeros_like(picture)
    for y in range(picture.shape[0]):
        for x in range(picture.shape[1]):
            for i in range(kernel):
                for j in range(kernel):
                    out[y, x] += weight[i] * weight[j] * padded[y + i, x + j]
    return out / sum(weight) ** 2
