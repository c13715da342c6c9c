"""A reference face from files, and `explain` against it."""

import numpy as np
import pytest
import torch
from PIL import Image

from captum_fv.attr.methods import build_methods
from captum_fv.benchmark.maps import maps_of_pair
from captum_fv.cli import main
from captum_fv.data import generated_pairs, read_reference_face, reference_face
from captum_fv.models import load_backbone
from captum_fv.siamese import SiameseCosine


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Four photos of two people, one of them in a folder of its own."""
    folder = tmp_path_factory.mktemp("faces")
    (folder / "inner").mkdir()
    pairs = generated_pairs(4)
    for i in range(4):
        Image.fromarray(pairs.load(i)).save(folder / ("inner" if i == 3 else "") / f"{i}.png")
    (folder / "notes.txt").write_text("no photo")
    return folder


def test_a_folder_has_the_mean_of_its_photos(folder):
    photos = torch.stack(
        [torch.from_numpy(generated_pairs(4).load(i)).permute(2, 0, 1) / 255 for i in range(4)]
    )
    found = read_reference_face(folder, (112, 112))
    torch.testing.assert_close(found, photos.mean(0, keepdim=True))
    torch.testing.assert_close(read_reference_face(folder / "0.png", (112, 112)), photos[:1])
    two = read_reference_face(folder, (112, 112), at_most=2)
    assert not torch.equal(two, found)


def test_what_gives_no_face_is_named(folder, tmp_path):
    with pytest.raises(ValueError, match="no photos"):
        read_reference_face(tmp_path, (112, 112))
    with pytest.raises(ValueError, match="112x112"):
        read_reference_face(folder, (96, 112))


def test_explain_asks_against_the_face_that_is_given(folder, tmp_path, capsys):
    photos = [str(folder / "0.png"), str(folder / "1.png")]
    out = ["--methods", "iag_decision", "--threshold", "-1", "--fast"]
    out += ["--out", str(tmp_path / "p.png")]
    assert main(["explain", *photos, *out]) == 0
    assert "--reference takes a better one" in capsys.readouterr().out
    without = np.asarray(Image.open(tmp_path / "p.png"))
    assert main(["explain", *photos, *out, "--reference", str(folder)]) == 0
    assert "--reference" not in capsys.readouterr().out
    assert not np.array_equal(without, np.asarray(Image.open(tmp_path / "p.png")))
    other = ["--methods", "xssab", *out[2:]]
    assert main(["explain", *photos, *other, "--reference", str(folder)]) == 2
    assert "none of these methods asks for it" in capsys.readouterr().err


def test_maps_of_a_pair_are_those_against_the_reference():
    siamese = SiameseCosine(load_backbone("demo"))
    pair, face = generated_pairs(8).tensors([0]), reference_face(generated_pairs(8))
    methods = build_methods(["iag_decision", "xssab"], siamese, -1.0)
    found = maps_of_pair(methods, pair, reference=face)
    expected = methods["iag_decision"].attribute(pair, reference=face)
    assert torch.equal(found["iag_decision"][0], expected[0])
    assert not torch.equal(found["iag_decision"][0], maps_of_pair(methods, pair)["iag_decision"][0])
    assert torch.equal(found["xssab"][1], methods["xssab"].attribute(pair)[1])
