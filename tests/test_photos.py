"""Photos as people have them: what is decoded, what is refused, and in which words."""

from __future__ import annotations

import io
import struct
import tracemalloc
import warnings
import zlib

import numpy as np
import PIL.EpsImagePlugin
import PIL.Image
import pytest

from captum_fv.data.images import decode_image, read_image

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 30, 3), dtype=np.uint8)


def encoded(photo, kind, **options):
    buffer = io.BytesIO()
    photo.save(buffer, kind, **options)
    return buffer.getvalue()


def png(width, height, depth=8, colour=2, rows=b""):
    """A PNG of any size and depth, as small as can be."""

    def chunk(kind, content):
        check = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    parts = (b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "WEBP", "TIFF", "GIF", "AVIF", "JPEG2000"])
def test_what_photos_are_is_decoded(kind):
    if kind not in PIL.Image.registered_extensions().values():
        pytest.skip(f"this Pillow knows no {kind}")
    image = decode_image(encoded(PIL.Image.fromarray(PIXELS), kind), "photo", (40, 30))
    assert image.shape == (40, 30, 3)
    assert image.flags.writeable


def test_mpo_shows_its_first_picture():
    first, second = (PIL.Image.new("RGB", (30, 40), colour) for colour in ("white", "black"))
    data = encoded(first, "MPO", save_all=True, append_images=[second])
    assert (decode_image(data, "photo") == 255).all()


def test_grey_tiff_is_a_photo():
    data = encoded(PIL.Image.new("L", (3, 2), 7), "TIFF")
    np.testing.assert_array_equal(decode_image(data, "photo"), np.full((2, 3, 3), 7))


@pytest.mark.parametrize("kind", ["EPS", "PPM", "ICO", "TGA", "PCX", "SGI", "DDS", "PDF", "IM"])
def test_nothing_else_is_decoded_under_whatever_name(tmp_path, kind, monkeypatch):
    monkeypatch.setattr(PIL.EpsImagePlugin, "Ghostscript", lambda *_, **__: pytest.fail("it ran"))
    path = tmp_path / "photo.jpg"
    path.write_bytes(encoded(PIL.Image.fromarray(PIXELS), kind))
    with pytest.raises(ValueError, match=r"photo\.jpg: want an image file.*no JPEG, PNG, BMP"):
        read_image(path)


@pytest.mark.parametrize("brand", [b"heic", b"mif1"])
def test_heic_is_named_with_its_cure(brand):
    data = b"\x00\x00\x00\x18ftyp" + brand + b"\x00\x00\x00\x00mif1heic" + bytes(40)
    with pytest.raises(ValueError, match=r"HEIC, as iPhones write it: export it as JPEG"):
        decode_image(data, "photo.heic")


def test_the_size_is_looked_at_before_anything_is_decoded():
    bomb = png(13_300, 13_300, rows=bytes(13_300 * 3 + 1) * 100)
    assert len(bomb) < 20_000
    tracemalloc.start()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ValueError, match=r"want 112x112 pixels .* got 13300x13300"):
            decode_image(bomb, "photo.png", (112, 112))
    assert tracemalloc.get_traced_memory()[1] < 1e7
    tracemalloc.stop()


@pytest.mark.parametrize("side", [13_343, 15_000, 60_000])
def test_the_largest_photos_are_refused_in_words_of_our_own(side):
    with pytest.raises(ValueError, match=r"p\.png: more than 178 megapixels; make the") as error:
        decode_image(png(side, side), "p.png")
    assert "attack" not in str(error.value)


def test_a_turned_photo_has_the_size_it_has_upright():
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    data = encoded(PIL.Image.fromarray(PIXELS), "PNG", exif=exif)
    assert decode_image(data, "photo", (30, 40)).shape == (30, 40, 3)
    with pytest.raises(ValueError, match=r"want 40x30 pixels .* got 30x40"):
        decode_image(data, "photo", (40, 30))


def tiff16():
    """An RGB TIFF of 2x1 pixels with 16 bits per channel."""
    entries = [
        *[(256, 3, 1, 2), (257, 3, 1, 1), (258, 3, 3, 134), (259, 3, 1, 1), (262, 3, 1, 2)],
        *[(273, 4, 1, 140), (277, 3, 1, 3), (278, 3, 1, 1), (279, 4, 1, 12), (284, 3, 1, 1)],
    ]
    directory = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    head = b"II*\0" + struct.pack("<IH", 8, len(entries)) + directory + bytes(4)
    return head + struct.pack("<3H", 16, 16, 16) + bytes(140 - len(head) - 6) + bytes(12)


def deep_jpeg2000():
    """An RGB JPEG 2000 whose header says 16 bits per channel."""
    data = bytearray(encoded(PIL.Image.fromarray(PIXELS), "JPEG2000", no_jp2=True))
    start = data.find(b"\xff\x4f\xff\x51")
    data[start + 42 : start + 51 : 3] = bytes([15] * 3)
    return bytes(data)


DEEP = {
    "grey PNG": encoded(PIL.Image.fromarray(np.zeros((4, 4), np.uint16)), "PNG"),
    "RGB PNG": png(2, 1, 16, 2, bytes(13)),
    "RGBA PNG": png(2, 1, 16, 6, bytes(17)),
    "grey TIFF": encoded(PIL.Image.fromarray(np.zeros((4, 4), np.uint16)), "TIFF"),
    "RGB TIFF": tiff16(),
    "RGB JPEG 2000": deep_jpeg2000(),
}


@pytest.mark.parametrize("data", DEEP.values(), ids=DEEP.keys())
def test_photos_of_16_bits_are_refused_grey_or_not(data):
    with PIL.Image.open(io.BytesIO(data)) as photo:
        photo.verify()  # it is a photo, of which Pillow keeps 8 bits without a word
    with pytest.raises(ValueError, match="want 8 bits per channel"):
        decode_image(data, "photo")


def test_16_bits_per_pixel_are_not_16_per_channel():
    header = struct.pack("<IiiHHIIiiII", 40, 2, 1, 1, 16, 0, 4, 0, 0, 0, 0)
    bmp = b"BM" + struct.pack("<IHHI", 58, 0, 0, 54) + header + b"\xff\x7f\x00\x00"
    np.testing.assert_array_equal(decode_image(bmp, "photo")[0], [[255] * 3, [0] * 3])
