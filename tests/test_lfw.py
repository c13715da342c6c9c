import io
import warnings

import numpy as np
import PIL.Image
import pytest

from captum_fv.data.images import read_image
from captum_fv.data.lfw import lfw_pairs
from tests.support.shared import SHARED, needs_shared

ROWS = [
    "2\t2",
    *["Ann\t1\t2", "Bob\t1\t3", "Ann\t1\tBob\t2", "Cy\t4\tAnn\t3"],
    *["Cy\t1\t2", "Cy\t2\t3", "Cy\t1\tBob\t1", "Bob\t2\tAnn\t1"],
]


def write_list(folder, rows=ROWS):
    path = folder / "pairs.txt"
    path.write_text("\n".join(rows) + "\n")
    return path


def write_photo(folder, person, number, suffix="png", size=(112, 112)):
    pixels = np.full((*size, 3), 10 * number + len(person), dtype=np.uint8)
    (folder / person).mkdir(exist_ok=True)
    PIL.Image.fromarray(pixels).save(folder / person / f"{person}_{number:04d}.{suffix}")
    return pixels


def test_list_keeps_file_order_and_needs_no_images(tmp_path):
    pairs = lfw_pairs(tmp_path / "nowhere", write_list(tmp_path))
    assert pairs.people[:8] == ["Ann", "Ann", "Bob", "Bob", "Ann", "Bob", "Cy", "Ann"]
    assert pairs.genuine.tolist() == [True, True, False, False] * 2


def test_folds_count_from_one_and_keep_the_order_given(tmp_path):
    path = write_list(tmp_path)
    whole = lfw_pairs(tmp_path, path).people
    assert lfw_pairs(tmp_path, path, folds=[2]).people == whole[8:]
    assert lfw_pairs(tmp_path, path, folds=[2, 1]).people == whole[8:] + whole[:8]
    with pytest.raises(
        ValueError, match=r"folds: got \[0\]; want a list of folds 1 to 2 of .*pairs.txt"
    ):
        lfw_pairs(tmp_path, path, folds=[0])


def test_a_lone_count_is_one_fold(tmp_path):
    pairs = lfw_pairs(tmp_path, write_list(tmp_path, ["2", *ROWS[1:5]]))
    assert pairs.genuine.tolist() == [True, True, False, False]


def test_loads_jpg_and_png(tmp_path):
    path = write_list(tmp_path)
    first = write_photo(tmp_path, "Ann", 1, "jpg")
    second = write_photo(tmp_path, "Ann", 2, "png")
    image_a, image_b = lfw_pairs(tmp_path, path).pair(0)
    np.testing.assert_array_equal(image_a, first)
    np.testing.assert_array_equal(image_b, second)


@pytest.mark.parametrize(
    ("line", "row", "message"),
    [
        (1, "two\t2", r"line 1: want a header .* got 'two\\t2'"),
        (1, "2\t3", r"line 10: the header promises 2 x 2 x 3 = 12 pairs, the file has 8"),
        (1, "1\t2", r"line 6: the header promises 1 x 2 x 2 = 4 pairs, the file has 8"),
        (3, "Bob\t1", r"line 3: want a genuine pair here, 'name number number'; got 2 columns"),
        (4, "Ann\t1\t2", r"line 4: want an impostor pair here, .* got 3 columns"),
        (2, "Ann\t1\tx", r"line 2: want an image number from 1, got 'x'"),
        (5, "Cy\t-4\tAnn\t3", r"line 5: want an image number from 1, got '-4'"),
        (5, "Cy\t4\tCy\t3", r"line 5: an impostor pair names Cy twice"),
        (6, "", r"line 6: .* got 0 columns"),
        (2, "..\t1\t2", r"line 2: want a person's name, .* got '\.\.'"),
        (2, "../Ann\t1\t2", r"line 2: want a person's name, .* got '\.\./Ann'"),
        (2, "/etc/Ann\t1\t2", r"line 2: want a person's name, .* got '/etc/Ann'"),
        (5, "a\\b\t1\tAnn\t2", r"line 5: want a person's name"),
        (5, "C:Ann\t1\tAnn\t2", r"line 5: want a person's name"),
        (5, "A\x1b[2J\t1\tAnn\t2", r"line 5: want a name that can be printed"),
    ],
)
def test_a_bad_line_is_named(tmp_path, line, row, message):
    rows = [row if number == line else good for number, good in enumerate(ROWS, start=1)]
    with pytest.raises(ValueError, match=rf"pairs\.txt, {message}"):
        lfw_pairs(tmp_path, write_list(tmp_path, rows))


def test_a_missing_list_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"pairs\.txt: no such pairs file"):
        lfw_pairs(tmp_path, tmp_path / "pairs.txt")


def test_missing_and_wrong_images_are_named_with_their_line(tmp_path):
    path = write_list(tmp_path)
    write_photo(tmp_path, "Ann", 1)
    write_photo(tmp_path, "Ann", 2, size=(96, 112))
    pairs = lfw_pairs(tmp_path, path)
    with pytest.raises(FileNotFoundError, match=r"Bob_0001\.jpg: no such .*pairs\.txt, line 3"):
        pairs.load(2)
    with pytest.raises(
        ValueError, match=r"Ann_0002\.png: want 112x112 .* got 96x112 .*pairs\.txt, line 2"
    ):
        pairs.load(1)
    assert lfw_pairs(tmp_path, path, size=None).load(1).shape == (96, 112, 3)
    with pytest.raises(FileNotFoundError, match=r"Bob_0001\.jpg.*line 3; 12 of 16 images"):
        lfw_pairs(tmp_path, path, check_images=True)


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "CMYK", "1"])
def test_any_mode_becomes_rgb(tmp_path, mode):
    photo = PIL.Image.new("RGB", (6, 4), (255, 255, 255)).convert(mode)
    if mode == "P":
        photo.info["transparency"] = b"\x00\x01"
    path = tmp_path / ("photo.tif" if mode == "CMYK" else "photo.png")
    photo.save(path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        image = read_image(path, (4, 6))
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image, np.full((4, 6, 3), 255))


def test_exif_orientation_is_applied(tmp_path):
    pixels = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    exif = PIL.Image.Exif()
    exif[0x0112] = 6  # the camera was turned: show it a quarter turn clockwise
    PIL.Image.fromarray(pixels).save(tmp_path / "photo.png", exif=exif)
    np.testing.assert_array_equal(read_image(tmp_path / "photo.png"), np.rot90(pixels, -1))


def test_what_is_no_photo_is_named(tmp_path):
    path = tmp_path / "photo.jpg"
    with pytest.raises(FileNotFoundError, match=r"photo\.jpg: no such image file"):
        read_image(path)
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    PIL.Image.fromarray(noise).save(buffer, "JPEG")
    for data in (b"", b"hello", buffer.getvalue()[:-300]):
        path.write_bytes(data)
        with pytest.raises(ValueError, match=rf"photo\.jpg: .* got {len(data)} bytes that do not"):
            read_image(path)
    PIL.Image.fromarray(np.zeros((4, 4), dtype=np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(ValueError, match=r"deep\.png: want 8 bits per channel"):
        read_image(tmp_path / "deep.png")


@needs_shared
def test_the_standard_list_has_6000_pairs():
    pairs = lfw_pairs("nowhere", SHARED / "data" / "pairs.txt")
    golden = np.load(SHARED / "golden" / "patch_lfw_places.npz")["genuine"]
    np.testing.assert_array_equal(pairs.genuine, golden)


@needs_shared
def test_all_pairs_of_folds_1_to_4_are_read():
    images = SHARED / "data" / "lfw_aligned_112"
    pairs = lfw_pairs(images, SHARED / "data" / "pairs_folds_1_4.txt", check_images=True)
    assert len(pairs) == 2400
    assert pairs.genuine.sum() == 1200
    assert sum(a.shape == b.shape == (112, 112, 3) for a, b in map(pairs.pair, range(2400))) == 2400
    whole = lfw_pairs(images, SHARED / "data" / "pairs.txt", folds=[1, 2, 3, 4])
    assert pairs.people == whole.people
