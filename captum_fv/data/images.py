"""Reads one photo, or says what is wrong with it."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageOps

from captum_fv.core.arrays import Image
from captum_fv.core.checks import check_size

FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF", "GIF", "AVIF", "JPEG2000")
"""What photos are (MPO is opened as JPEG). Pillow knows more, as EPS, which is a program that it
gives to Ghostscript."""

IMAGE_SUFFIXES = (
    *(".jpg", ".jpeg", ".png", ".bmp", ".webp"),
    *(".tif", ".tiff", ".gif", ".avif", ".jp2"),
)
"""How the names of such files end, in lower case."""

MAX_PIXELS = 178_000_000
MAX_BYTES = 1 << 30


def read_image(path: str | Path, size: tuple[int, int] | None = None) -> Image:
    """The photo in a file, upright (EXIF orientation applied) and in RGB; alpha is dropped.

    Nothing else than a photo is decoded, whatever the file's name says, and none whose header
    promises another size than the one wanted.

    Args:
        path: JPEG, MPO, PNG, BMP, WebP, TIFF, GIF (its first picture), AVIF or JPEG 2000, with 8
            bits per channel (10 and 12 of an AVIF are rounded to 8).
        size: (H, W) the photo must have; None takes any up to 178 megapixels.

    Returns:
        (H, W, 3) uint8, RGB.

    Raises:
        FileNotFoundError: No such file.
        ValueError: Not a photo, damaged, truncated, more than 8 bits, too large, or of another
            size.
    """
    path = Path(path)
    if size is not None:
        check_size("size", size)
    if path.is_dir():
        raise ValueError(f"{path}: is a folder; want an image file")
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such image file")
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"{path}: want an image file, got {path.stat().st_size >> 20} MB")
    return decode_image(path.read_bytes(), str(path), size)


def photos_in(folder: Path) -> list[Path]:
    """The files of a folder, and of folders in it, whose names end as photos' do, in order.

    Raises:
        ValueError: There is none.
    """
    named = (path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
    photos = sorted(path for path in named if not path.is_dir())
    if not photos:
        raise ValueError(f"{folder}: no photos")
    return photos


def decode_image(data: bytes, name: str, size: tuple[int, int] | None = None) -> Image:
    """The photo in the bytes of a file; errors call it `name`. See `read_image`."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PIL.Image.DecompressionBombWarning)
            PIL.Image.init()
            known = [name for name in FORMATS if name in PIL.Image.OPEN]  # AVIF: from Pillow 11.3
            file = PIL.Image.open(io.BytesIO(data), formats=known)
            deep = _is_deep(file, data)
    except PIL.Image.DecompressionBombError as error:
        raise ValueError(_too_large(name)) from error
    except Exception as error:  # decoders raise whatever they like on damaged bytes
        unknown = isinstance(error, PIL.UnidentifiedImageError)
        raise ValueError(_undecoded(data, name, _kind(data) if unknown else str(error))) from error
    with file:
        # What the header says is looked at first: decoding a small file can take gigabytes.
        _check_size(file, name, size)
        if deep:
            raise ValueError(
                f"{name}: want 8 bits per channel, got more (Pillow mode {file.mode!r}); save it "
                "with 8, so that you see what becomes of it"
            )
        try:
            PIL.ImageOps.exif_transpose(file, in_place=True)
            file.load()
        except Exception as error:
            raise ValueError(_undecoded(data, name, str(error) or type(error).__name__)) from error
        photo: PIL.Image.Image = file
        if photo.mode == "P":
            photo = photo.convert("RGBA")  # else Pillow warns about transparent palette entries
        image = np.array(photo if photo.mode == "RGB" else photo.convert("RGB"))
    if size is not None and image.shape[:2] != tuple(size):
        raise ValueError(_other_size(name, size, *image.shape[:2]))
    return image


def _check_size(file: PIL.Image.Image, name: str, size: tuple[int, int] | None) -> None:
    """Raise for what is too large, or of another size even when turned."""
    width, height = file.size
    if size is not None and sorted(size) != sorted(file.size):
        raise ValueError(_other_size(name, size, height, width))
    if width * height > MAX_PIXELS:
        raise ValueError(_too_large(name))


def _is_deep(file: PIL.Image.Image, data: bytes) -> bool:
    """Whether there are more than 8 bits per channel, which Pillow cuts without a word."""
    if file.mode in ("I", "F") or file.mode.startswith("I;"):
        return True
    if file.format == "PNG":
        return data[24] > 8  # the bit depth in IHDR, which is the first chunk
    if file.format == "TIFF":
        return bool(np.max(file.getexif().get(258, 1)) > 8)  # BitsPerSample
    if file.format == "JPEG2000":
        start = data.find(b"\xff\x4f\xff\x51")  # the codestream; the first Ssiz is 42 bytes on
        return (data[start + 42] & 0x7F) + 1 > 8
    return False


def _kind(data: bytes) -> str:
    """What the bytes are, which no decoder of photos knows."""
    if data[4:8] == b"ftyp" and any(brand in data[8:40] for brand in (b"hei", b"hev", b"mif1")):
        return (
            "HEIC, as iPhones write it: export it as JPEG, or use heif-convert photo.heic photo.jpg"
        )
    return "it is no JPEG, PNG, BMP, WebP, TIFF, GIF, AVIF or JPEG 2000"


def _undecoded(data: bytes, name: str, reason: str) -> str:
    return f"{name}: want an image file, got {len(data)} bytes that do not decode ({reason})"


def _too_large(name: str) -> str:
    return f"{name}: more than {MAX_PIXELS // 10**6} megapixels; make the photo smaller first"


def _other_size(name: str, size: tuple[int, int], height: int, width: int) -> str:
    return f"{name}: want {size[0]}x{size[1]} pixels (height x width), got {height}x{width}"
