"""Lists of pairs as people have them."""

from __future__ import annotations

import io
import pickle

import numpy as np
import PIL.Image
import pytest

from captum_fv.data import (
    generated_identities,
    generated_pairs,
    lfw_pairs,
    patch_pairs,
    read_pairs,
    read_patch_set,
    write_patch_set,
)


def write(folder, text, encoding="utf-8"):
    path = folder / "pairs.txt"
    path.write_bytes(text.encode(encoding))
    return path


def write_photo(path, value=7):
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.new("RGB", (4, 6), (value,) * 3).save(path)


MIXED = "Ann 1 2\nAnn 1 Bob 2\nBob 1 Cy 1\nCy 2 1\nAnn 3 Cy 1\n"
PATHS = "Ann/1.jpg Ann/2.jpg 1\nAnn/1.jpg Bob/2.jpg 0\nCy/1.png Cy/2.png 1\n"
CPLFW = "Ann_1.jpg 1\nAnn_2.jpg 1\nAnn_1.jpg 0\nBob_3.jpg 0\n"


@pytest.mark.parametrize(
    ("text", "genuine", "people"),
    [
        (MIXED, [1, 0, 0, 1, 0], "Ann Ann Ann Bob Bob Cy Cy Cy Ann Cy"),
        (MIXED.replace(" ", "\t"), [1, 0, 0, 1, 0], "Ann Ann Ann Bob Bob Cy Cy Cy Ann Cy"),
        (MIXED.replace(" ", ","), [1, 0, 0, 1, 0], "Ann Ann Ann Bob Bob Cy Cy Cy Ann Cy"),
        ("\n\n" + MIXED.replace("\n", "\r\n\r\n"), [1, 0, 0, 1, 0], None),
        (PATHS, [1, 0, 1], "Ann Ann Ann Bob Cy Cy"),
        (PATHS.replace(" ", ", "), [1, 0, 1], "Ann Ann Ann Bob Cy Cy"),
        ("path1,path2,label\n" + PATHS.replace(" ", ","), [1, 0, 1], None),
        (PATHS.replace(" 0", " different").replace(" 1\n", " True\n"), [1, 0, 1], None),
        (PATHS.replace(" 0", " -1"), [1, 0, 1], None),
        (CPLFW, [1, 0], "Ann Ann Ann Bob"),
        (CPLFW.replace("jpg 1", "jpg  7").replace("_", "_000"), [1, 0], "Ann Ann Ann Bob"),
        ("1\nAnn 1 2\nAnn 1 Bob 2\n", [1, 0], "Ann Ann Ann Bob"),
        ("x/1.jpg x/2.jpg 1\nx/2.jpg x/3.jpg 1\nx/1.jpg x/4.jpg 0\n", [1, 1, 0], None),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_every_usual_kind_is_read(tmp_path, text, genuine, people, encoding):
    pairs = read_pairs(tmp_path, write(tmp_path, text, encoding))
    assert pairs.genuine.tolist() == [bool(label) for label in genuine]
    assert people is None or list(pairs.people) == people.split()
    assert len(pickle.loads(pickle.dumps(pairs))) == len(pairs)


def test_genuine_pairs_link_photos_without_names(tmp_path):
    text = "x/1.jpg x/2.jpg 1\nx/3.jpg x/2.jpg 1\nx/1.jpg x/4.jpg 0\n"
    people = read_pairs(tmp_path, write(tmp_path, text)).people
    assert len({people[i] for i in (0, 1, 2, 3, 4)}) == 1
    assert people[5] != people[4]
    contradiction = text + "x/1.jpg x/3.jpg 0\n"
    pairs = read_pairs(tmp_path, write(tmp_path, contradiction))
    assert pairs.genuine.tolist() == [True, True, False, False]


FOLDS = """2 2
Ann 1 2
Bob 1 2
Ann 1 Bob 1
Ann 2 3

Ann 1 Cem 1
Bob 2 Cem 2
Ann 2 Cem 2
"""


def test_a_header_with_other_counts_is_taken_at_the_lists_word(tmp_path):
    """As where pairs were struck out of LFW's list; the genuine ones begin each fold."""
    path = write(tmp_path, FOLDS)
    said = r"promises 2 x 2 x 2 = 8 pairs, and the list has 3 genuine and 4 impostor ones"
    with pytest.warns(UserWarning, match=said):
        assert read_pairs(tmp_path, path).genuine.tolist() == [True, True, False, True] + 3 * [
            False
        ]
    for folds, count in ([1], 3), ([2], 4), ([2, 1], 7):
        with pytest.warns(UserWarning, match=said):
            assert len(read_pairs(tmp_path, path, folds=folds)) == count
    with pytest.warns(UserWarning, match=said):
        people = read_pairs(tmp_path, path, folds=[2]).people
    assert people == ["Ann", "Ann", "Ann", "Cem", "Bob", "Cem", "Ann", "Cem"]
    with pytest.warns(UserWarning, match=said), pytest.raises(ValueError, match="folds 1 to 2 of"):
        read_pairs(tmp_path, path, folds=[3])


def test_folds_that_cannot_be_told_are_refused_with_the_cure(tmp_path):
    path = write(tmp_path, FOLDS.replace("2 2\n", "3 2\n", 1))
    with (
        pytest.warns(UserWarning, match="promises 3 x 2 x 2"),
        pytest.raises(ValueError, match=r"cannot be told; leave them out, or list the genuine"),
    ):
        read_pairs(tmp_path, path, folds=[1])
    huge = write(tmp_path, FOLDS.replace("2 2\n", "999999999 999999999\n", 1))
    with pytest.warns(UserWarning, match="999999999 x 2"):
        assert len(read_pairs(tmp_path, huge)) == 7


@pytest.mark.filterwarnings("error")
def test_a_first_line_of_numbers_alone_may_be_a_pair(tmp_path):
    """People are called by numbers in many sets."""
    pairs = read_pairs(tmp_path, write(tmp_path, "0000045 1 2\n0000045 1 0000046 3\n"))
    assert pairs.people == ["0000045"] * 3 + ["0000046"]


def test_names_with_spaces_want_tabs(tmp_path):
    write_photo(tmp_path / "Ann Lee" / "Ann Lee_0001.jpg")
    path = write(tmp_path, "1\nAnn Lee\t1\t2\nAnn Lee\t1\tBob\t2\n")
    for read in (read_pairs, lfw_pairs):
        assert read(tmp_path, path).people == ["Ann Lee", "Ann Lee", "Ann Lee", "Bob"]
    assert read_pairs(tmp_path, path).load(0).shape == (6, 4, 3)
    with pytest.raises(ValueError, match=r"line 1: want 'name number number'.* by tabs"):
        read_pairs(tmp_path, write(tmp_path, "Ann Lee Smith 1 2\n"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("../x.jpg Ann/1.jpg 1\n", r"line 1: want a path within the folder .* got '\.\./x\.jpg'"),
        ("/etc/x.jpg Ann/1.jpg 1\n", "line 1: want a path within the folder"),
        ("C:x.jpg Ann/1.jpg 1\n", "line 1: want a path within the folder"),
        ("a\\..\\..\\x.jpg Ann/1.jpg 1\n", "line 1: want a path within the folder"),
        ("a/1.jpg\ta/2\x1b[2J.jpg\t1\n", "line 1: want a path within the folder"),
        ("Ann 1 2\n.. 1 2\n", r"line 2: want a person's name"),
        (PATHS + "a/1.jpg a/2.jpg maybe\n", "line 4: want a label, 1 for a genuine pair or 0"),
        (CPLFW + "Ann_1.jpg 1\n", "line 5: the pair's second line is missing"),
        ("Ann_1.jpg 1\nAnn_2.jpg 0\n", "line 2: both lines of a pair want the same label"),
        ("\n\n", "no pairs"),
    ],
)
def test_bad_lines_are_named(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        read_pairs(tmp_path, write(tmp_path, text))


def test_another_encoding_is_named_with_its_line(tmp_path):
    path = write(tmp_path, "Ann 1 2\nJos\u00e9 1 2\n", "latin-1")
    for read in (read_pairs, lfw_pairs):
        with pytest.raises(ValueError, match=r"line 2: want UTF-8, got the byte 0xe9; save the"):
            read(tmp_path, path)


@pytest.mark.parametrize(
    "name", ["Ann_0001.jpeg", "Ann_0001.JPG", "Ann_1.webp", "Ann_1.bmp", "Ann_0001.PNG"]
)
def test_usual_endings_and_unpadded_numbers_are_found(tmp_path, name):
    write_photo(tmp_path / "Ann" / name)
    path = write(tmp_path, "1\nAnn 1 1\nAnn 1 Bob 1\n")
    for read in (read_pairs, lfw_pairs):
        assert read(tmp_path, path, size=(6, 4)).load(0).shape == (6, 4, 3)


def test_missing_photos_are_named_or_left_out(tmp_path):
    write_photo(tmp_path / "Ann" / "1.jpg")
    write_photo(tmp_path / "Ann" / "2.jpg", 9)
    path = write(tmp_path, PATHS)
    with pytest.raises(FileNotFoundError, match=r"Bob.2\.jpg .*line 2; 3 of 6 images"):
        read_pairs(tmp_path, path, check_images=True)
    with pytest.warns(UserWarning, match="2 of 3 pairs are left out"):
        pairs = read_pairs(tmp_path, path, check_images=True, skip_missing=True)
    assert pairs.genuine.tolist() == [True]
    assert abs(int(pairs.load(1)[0, 0, 0]) - 9) < 3
    with pytest.warns(match="3 of 3"), pytest.raises(ValueError, match="no pairs with photos in"):
        read_pairs(tmp_path / "no", path, skip_missing=True)


def jpeg(value):
    buffer = io.BytesIO()
    PIL.Image.new("RGB", (4, 6), (value,) * 3).save(buffer, "PNG")
    return buffer.getvalue()


BINS = [jpeg(value) for value in (1, 2, 3, 1)]


@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_insightfaces_bin_is_read(tmp_path, protocol):
    path = tmp_path / "lfw.bin"
    path.write_bytes(pickle.dumps((BINS, [True, False]), protocol))
    pairs = pickle.loads(pickle.dumps(read_pairs("nowhere", path, (6, 4))))
    assert pairs.name == "lfw"
    assert pairs.genuine.tolist() == [True, False]
    assert [int(pairs.load(i)[0, 0, 0]) for i in range(4)] == [1, 2, 3, 1]
    assert pairs.people[0] == pairs.people[3]  # the same photo


def test_bins_of_python_2_are_read(tmp_path):
    path = tmp_path / "lfw.bin"
    parts = b"".join(b"T" + len(data).to_bytes(4, "little") + data for data in BINS)
    path.write_bytes(b"\x80\x02](" + parts + b"e](\x88\x89e\x86.")
    assert read_pairs("nowhere", path).genuine.tolist() == [True, False]


class Runs:
    def __reduce__(self):
        return pytest.fail, ("it ran",)


@pytest.mark.parametrize(
    "content",
    [
        pickle.dumps((BINS, [Runs()])),
        pickle.dumps((BINS, [True, Runs()]), 0),
        b"cos\nsystem\n(S'false'\ntR.",
        b"\x80\x02]r\xff\xff\xff\x7f.",
        pickle.dumps((BINS, [True])),
        pickle.dumps((BINS, [np.bool_(True), np.bool_(False)])),
        pickle.dumps(5),
        pickle.dumps((BINS, [True, False]))[:-9],
        b"",
    ],
)
def test_other_pickles_are_refused_and_never_run(tmp_path, content):
    path = tmp_path / "lfw.bin"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"lfw\.bin: not insightface's photos and labels"):
        read_pairs("nowhere", path)


def test_what_data_sets_give_can_be_pickled(tmp_path):
    patched = patch_pairs(generated_pairs(6))
    write_patch_set(patched, tmp_path / "set")
    folder = read_patch_set(tmp_path / "set")
    for one in (patched, patched.subset([4, 1]), folder, folder.subset([3])):
        again = pickle.loads(pickle.dumps(one))
        np.testing.assert_array_equal(again.patched(0), one.patched(0))
        np.testing.assert_array_equal(again.partner(0), one.partner(0))
    pickle.loads(pickle.dumps(patched.batch([0])))
    pairs = generated_identities(3, 2).pairs(4).subset([1])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(pairs)).load(1), pairs.load(1))
