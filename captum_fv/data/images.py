"""Reads one photo, or says what is wrong with it."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageOps

from captum_fv.core.arrays import Image
from captum_fv.core.checks import check_size


def read_image(path: str | Path, size: tuple[int, int] | None = None) -> Image:
    """The photo in a file, upright (EXIF orientation applied) and in RGB; alpha is dropped.

    Args:
        path: Any format Pillow reads, with at most 8 bits per channel.
        size: (H, W) the photo must have; None takes any.

    Returns:
        (H, W, 3) uint8, RGB.

    Raises:
        FileNotFoundError: No such file.
        ValueError: Not a photo, damaged, truncated, more than 8 bits, or of another size.
    """
    path = Path(path)
    if size is not None:
        check_size("size", size)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such image file")
    return decode_image(path.read_bytes(), str(path), size)


def decode_image(data: bytes, name: str, size: tuple[int, int] | None = None) -> Image:
    """The photo in the bytes of a file; errors call it `name`. See `read_image`."""
    try:
        with PIL.Image.open(io.BytesIO(data)) as file:
            photo = PIL.ImageOps.exif_transpose(file)
            photo.load()
    except Exception as error:  # decoders raise whatever they like on damaged bytes
        known = not isinstance(error, PIL.UnidentifiedImageError)
        reason = str(error) if known else "of no format that Pillow knows"
        raise ValueError(
            f"{name}: want an image file, got {len(data)} bytes that do not decode ({reason})"
        ) from error
    if photo.mode in ("I", "F") or photo.mode.startswith("I;"):
        raise ValueError(f"{name}: want 8 bits per channel, got Pillow mode {photo.mode!r}")
    if photo.mode == "P":
        photo = photo.convert("RGBA")  # else Pillow warns about transparent palette entries
    image = np.array(photo.convert("RGB"))
    if size is not None and image.shape[:2] != tuple(size):
        height, width = image.shape[:2]
        raise ValueError(
            f"{name}: want {size[0]}x{size[1]} pixels (height x width), got {height}x{width}"
        )
    return image
