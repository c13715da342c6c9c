"""The data's part of the command line: lists, folds, sizes, folders of photos."""

from __future__ import annotations

import argparse
import io
import sys

import numpy as np
import PIL.Image
import pytest

from captum_fv.cli import main
from captum_fv.cli.inputs import load_patched
from captum_fv.cli.options import add_data_options, folds
from captum_fv.data import patch_pairs, read_image, read_pairs
from captum_fv.data.alignment import TEMPLATE

LIST = "2\t1\nAnn\t1\t2\nAnn\t1\tBob\t1\nBob\t1\t2\nBob\t2\tAnn\t2\n"


def parse(*words):
    parser = argparse.ArgumentParser()
    add_data_options(parser)
    return parser.parse_args([str(word) for word in words])


@pytest.fixture
def data(tmp_path):
    rng = np.random.default_rng(0)
    for person in ("Ann", "Bob"):
        (tmp_path / person).mkdir()
        for number in (1, 2):
            photo = PIL.Image.fromarray(rng.integers(0, 256, (112, 96, 3), dtype=np.uint8))
            photo.save(tmp_path / person / f"{person}_000{number}.png")
    (tmp_path / "pairs.txt").write_text(LIST)
    return tmp_path


def test_the_readers_size_is_the_models_else_the_first_photos(data):
    options = parse("--data", data, "--pairs", data / "pairs.txt")
    assert load_patched(options).places.size == (112, 96)
    assert load_patched(options, (112, 96)).places.size == (112, 96)
    with pytest.raises(ValueError, match=r"want 112x112 pixels .* got 112x96"):
        load_patched(options, (112, 112))


def test_unusual_sizes_are_warned_of(data):
    for path in data.glob("*/*.png"):
        PIL.Image.new("RGB", (250, 250)).save(path)
    with pytest.warns(UserWarning, match="250x250, which is no usual size"):
        load_patched(parse("--data", data, "--pairs", data / "pairs.txt"))


def test_folds_and_missing_photos(data):
    list_of = ["--data", data, "--pairs", data / "pairs.txt"]
    assert load_patched(parse(*list_of, "--folds", "2")).clean.people[:2] == ["Bob", "Bob"]
    assert folds("1-4,7") == [1, 2, 3, 4, 7]
    for wrong in ("0", "4-1", "x", "1,1"):
        with pytest.raises(argparse.ArgumentTypeError):
            folds(wrong)
    (data / "Bob" / "Bob_0002.png").unlink()
    with pytest.raises(FileNotFoundError, match="2 of 8 images are missing"):
        load_patched(parse(*list_of))
    with pytest.warns(UserWarning, match="2 of 4 pairs are left out"):
        assert len(load_patched(parse(*list_of, "--skip-missing"))) == 2


def test_the_published_folder_is_measured_too(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("published")
    for path in data.glob("*/*.png"):
        PIL.Image.open(path).resize((112, 112)).save(path)
    patched = patch_pairs(read_pairs(data, data / "pairs.txt"))
    lines = {True: [], False: []}
    for k, same in enumerate(patched.genuine.tolist()):
        PIL.Image.fromarray(patched.patched(k)).save(folder / f"{2 * k + 1}.jpg")
        fields = [f"{2 * k}, {2 * k + 1}", *([str(patched.places.donors[k])] if same else [])]
        fields += [str(side[k].tolist()) for side in (patched.places.rows, patched.places.columns)]
        lines[same].append("\t".join(fields))
    (folder / "patch_idx_gen.txt").write_text("\n".join(lines[True]))
    (folder / "patch_idx_imp.txt").write_text("\n".join(lines[False]))
    with pytest.raises(ValueError, match=r"published Patch-LFW: give --pairs .* --originals"):
        load_patched(parse("--data", folder))
    options = parse("--data", folder, "--pairs", data / "pairs.txt", "--originals", data)
    found = load_patched(options)
    np.testing.assert_array_equal(found.mask(1), patched.mask(1))
    np.testing.assert_array_equal(found.patched(1), read_image(folder / "3.jpg"))


@pytest.fixture
def photos(tmp_path):
    face = np.random.default_rng(0).integers(0, 256, (112, 112, 3), dtype=np.uint8)
    for name in ("a", "sub/b", "sub/c"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        PIL.Image.fromarray(face).save(tmp_path / "in" / f"{name}.png")
    numbers = " ".join(str(number) for number in TEMPLATE.ravel())
    wrong = " ".join(str(number) for number in TEMPLATE.T.ravel())
    text = f"a.png {numbers}\nsub/b.png,{numbers.replace(' ', ',')}\n\nc.png {wrong}\n"
    (tmp_path / "landmarks.txt").write_text(text)
    return tmp_path


def test_a_folder_is_aligned_into_a_folder(photos, capsys):
    file = str(photos / "landmarks.txt")
    command = ["align", str(photos / "in"), str(photos / "out"), "--landmarks-file", file]
    assert main(command) == 0
    said = capsys.readouterr()
    assert "wrote 2 of 3 photos" in said.out
    assert "c.png: landmarks: these are x1 to x5" in said.err
    face = read_image(photos / "in" / "a.png")
    for name in ("a", "sub/b"):
        np.testing.assert_array_equal(read_image(photos / "out" / f"{name}.png"), face)
    assert not (photos / "out" / "sub" / "c.png").exists()
    (photos / "landmarks.txt").write_text("a.png 1 2 3\n")
    assert main(command) == 2
    assert "line 1: want 'name x1 y1" in capsys.readouterr().err


def test_landmarks_of_a_smaller_copy_are_warned_of(tmp_path, capsys):
    import skimage.data

    PIL.Image.fromarray(skimage.data.astronaut()).save(tmp_path / "in.png")
    points = TEMPLATE * 1.3 + (150, 45)  # about where her face is
    for scale, warned in ((1, False), (0.4, True)):
        numbers = [str(number) for number in (points * scale).ravel()]
        command = ["align", str(tmp_path / "in.png"), str(tmp_path / "out.png"), "--landmarks"]
        assert main([*command, *numbers]) == 0
        assert ("in a copy of another size?" in capsys.readouterr().err) == warned


def test_a_console_without_the_letters_does_not_undo_success(photos, monkeypatch):
    console = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(console, "ascii", write_through=True))
    numbers = [str(number) for number in TEMPLATE.ravel()]
    out = photos / "J\u00f6rg.png"
    assert main(["align", str(photos / "in" / "a.png"), str(out), "--landmarks", *numbers]) == 0
    assert out.is_file()
    assert rb"J\xf6rg.png" in console.getvalue()
