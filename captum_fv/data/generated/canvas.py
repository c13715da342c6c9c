"""The small tools the face painter draws with: soft shapes, colours in linear light, noise."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

Field = npt.NDArray[Any]
"""One float32 number per pixel, (H, W); a colour picture is (3, H, W) in linear light."""


def lerp(low: float, high: float, t: float) -> float:
    """The number t of the way from low to high."""
    return low + (high - low) * t


def inside(distance: Field, softness: float = 1.0) -> Field:
    """Coverage of a shape from its signed distance in pixels: 1 within, 0 outside."""
    return np.clip(0.5 - distance / softness, 0, 1)


def bump(u: Field, v: Field, centre: tuple[float, float], spread: tuple[float, float]) -> Field:
    """A Gaussian hill of height 1."""
    return np.exp(-0.5 * (((u - centre[0]) / spread[0]) ** 2 + ((v - centre[1]) / spread[1]) ** 2))


def ramp(x: Field, start: float, stop: float) -> Field:
    """Smoothstep from 0 at start to 1 at stop."""
    t = np.clip((x - start) / (stop - start), 0, 1)
    return t * t * (3 - 2 * t)


def paint(picture: Field, colour: npt.ArrayLike, coverage: Field) -> None:
    """Lays a colour (3,) or picture (3, H, W) over a picture in place."""
    layer = np.asarray(colour, np.float32)
    picture += (layer.reshape(3, *(layer.shape[1:] or (1, 1))) - picture) * coverage


def colour(*codes: str, at: float = 0.0) -> Field:
    """A linear-light colour (3,) from sRGB hex codes, `at` in [0, 1] along them."""
    stops = np.array([[int(code[i : i + 2], 16) for i in (0, 2, 4)] for code in codes]) / 255
    position = np.clip(at, 0, 1) * (len(codes) - 1)
    mixed = [np.interp(position, range(len(codes)), stops[:, c]) for c in range(3)]
    return np.square(mixed).astype(np.float32)


def hue(angle: float, strength: float, light: float) -> Field:
    """A linear-light colour (3,) by hue in turns, strength and light in [0, 1]."""
    wheel = np.cos(2 * np.pi * (angle - np.arange(3) / 3))
    return np.square(np.clip(light * (1 + strength * wheel), 0, 1)).astype(np.float32)


@cache
def _tile() -> Field:
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(0)
    soft = [gaussian_filter(rng.standard_normal((512, 512)), s, mode="wrap") for s in (2, 4, 7)]
    mixed = np.sum([layer / layer.std() for layer in soft], axis=0)
    return np.asarray(mixed / mixed.std(), np.float32)


def noise(x: Field, y: Field, seed: int) -> Field:
    """Smooth noise of mean 0 and deviation 1 at places x, y; features are about 10 units wide."""
    column = (x + seed % 509).astype(np.int32) & 511
    row = (y + seed % 503).astype(np.int32) & 511
    return _tile().ravel().take(row << 9 | column)
