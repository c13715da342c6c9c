"""Two photos in, one explanation out: what is in it, what it saves, and what it refuses."""

import json

import numpy as np
import PIL.Image
import pytest
import torch
from torch import nn

import captum_fv as fv
from captum_fv.attr.methods import build_methods
from captum_fv.cli import main
from captum_fv.data.alignment import TEMPLATE, align_face
from captum_fv.data.face_search import APPROXIMATE, SeveralFacesError
from captum_fv.data.faces import FoundFace
from captum_fv.explain import PairExplainer, explain_photos
from captum_fv.explain.photos import LONGEST_SHOWN, view_photo
from captum_fv.metrics import Calibration
from captum_fv.report.pair_document import MethodView
from captum_fv.report.panel import paint_on_photo
from captum_fv.report.pictures import display_values
from tests.test_commands import fails

FACES = fv.generated_pairs(2).pair(0)


def in_a_larger_photo(face, scale=1, corner=(90, 40), size=(300, 340)):
    """A face on a grey ground, and a finder that knows where it is."""
    large = np.kron(face, np.ones((scale, scale, 1), np.uint8))
    photo = np.full((*size, 3), 128, np.uint8)
    left, top = corner
    photo[top : top + len(large), left : left + len(large)] = large
    points = TEMPLATE * scale + (scale - 1) / 2 + corner
    return photo, FoundFace((left, top, 112 * scale, 112 * scale), points, 0.999)


def knows(*faces):
    """A finder that gives these, for photos that are searched at their own size."""
    return lambda photo: list(faces)


@pytest.fixture(scope="module")
def fast():
    return explain_photos(*FACES, fast=True)


def test_the_figures_are_the_models_and_the_methods(fast):
    siamese = fv.SiameseCosine(fv.load_backbone("demo"))
    pair = fv.generated_pairs(2).tensors([0])
    assert fast.score == pytest.approx(siamese(*pair).item(), abs=1e-6)
    assert fast.threshold == siamese.backbone.threshold
    assert fast.matches
    (method,) = build_methods(["iag_decision"], siamese, fast.threshold).values()
    for found, expected in zip(fast.maps["iag_decision"], method.attribute(pair), strict=True):
        torch.testing.assert_close(found, expected)
    (view,) = fast.document.methods
    expected = display_values(fast.maps["iag_decision"][0][0], (112, 112), blur=True)
    np.testing.assert_array_equal(view.maps[0], expected)
    assert fast.regions is None
    assert fast.evidence is None


def test_one_picture_twice_is_said(fast):
    same = explain_photos(FACES[0], FACES[0], fast=True)
    assert "Both faces are the very same picture" in " ".join(same.document.summary)
    assert "very same picture" not in " ".join(fast.document.summary)


def test_the_demo_model_says_that_it_knows_no_real_people(fast):
    assert "the demo model knows only generated faces" in fast.document.threshold_from
    assert "photos of real people its answer means nothing" in fast.sentences()[0]
    mine = fv.SiameseCosine(nn.Sequential(nn.AvgPool2d(8), nn.Flatten()).eval(), 0.5, 0.5)
    found = explain_photos(*FACES, mine, 0.3, fast=True)
    assert "demo" not in found.document.threshold_from + " ".join(found.sentences())


@pytest.mark.parametrize("name", ["p.html", "deep/er/p.png", "p.json", "p.svg"])
def test_saves_by_what_the_name_ends_in(fast, tmp_path, name):
    path = fast.save(tmp_path / name)
    content = path.read_bytes()
    if path.suffix == ".png":
        PIL.Image.open(path).verify()
    elif path.suffix == ".json":
        assert json.loads(content)["score"] == fast.score
    else:
        assert b"svg" in content
        assert path.suffix == ".svg" or b"<!doctype html>" in content
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_shows_itself(fast, tmp_path):
    assert repr(fast) == (
        f"PairExplanation of photo A and photo B: MATCH: cosine {fast.score:.3f}, threshold "
        f"{fast.threshold:.3f}, margin {fast.score - fast.threshold:+.3f}"
    )
    assert fast._repr_html_().startswith("<iframe srcdoc=")
    for name in ("p", "p.txt", ""):
        with pytest.raises(ValueError, match=r"write one that ends in \.html, \.png"):
            fast.save(tmp_path / name)


@pytest.mark.extended
def test_the_whole_has_two_maps_and_the_regions():
    whole = explain_photos(*FACES)
    assert list(whole.maps) == ["iag_decision", "occlusion_alt"]
    names = [row.name for row in whole.regions.rows]
    assert [view.name for view in whole.document.regions] == names
    assert whole.document.links.shape == (len(names), len(names))
    sure = [row for row in whole.regions.rows if row.interval[1] < 0]
    lowest = min(sure, key=lambda row: row.contribution)
    assert f"Takes most from it: {lowest.name} (\u2212" in whole.document.summary[1]


@pytest.mark.parametrize("scale", [1, 2])
def test_a_face_in_a_larger_photo_is_the_same_face(scale):
    photos, faces = zip(
        *(in_a_larger_photo(face, scale, (90, 40), (300, 340)) for face in FACES), strict=True
    )
    views = [
        view_photo(photo, finder=knows(face)) for photo, face in zip(photos, faces, strict=True)
    ]
    for view, photo, face in zip(views, photos, faces, strict=True):
        np.testing.assert_array_equal(view.crop, align_face(photo, face.landmarks))
        expected = [(scale, 0, 90 + (scale - 1) / 2), (0, scale, 40 + (scale - 1) / 2)]
        np.testing.assert_allclose(view.to_photo, expected, atol=1e-9)
        assert [box.chosen for box in view.faces] == [True]
        assert view.photo.shape == (300, 340, 3)
    if scale == 1:
        found = PairExplainer(fast=True, finder=knows(faces[0])).explain(*photos)
        aligned = explain_photos(*FACES, fast=True, aligned=True)
        assert found.score == pytest.approx(aligned.score, abs=1e-6)


def test_a_large_photo_is_kept_small_with_its_places():
    photo, face = in_a_larger_photo(FACES[0], 10, (300, 100), (1600, 2400))
    small = face.scaled(1024 / 2400)
    view = view_photo(photo, finder=lambda searched: [small])
    assert view.photo.shape == (800, LONGEST_SHOWN, 3)
    # The crop's first pixel covers ten of the photo from its corner, and five of the small one.
    np.testing.assert_allclose(view.to_photo @ (0, 0, 1), (152, 52), atol=1e-6)
    np.testing.assert_allclose(view.faces[0].box, (150, 50, 560, 560), atol=1e-6)


def find_by_nobody(photo):
    """A finder of boxes, which cannot tell where an aligned face lies."""
    return [FoundFace((100, 100, 50, 50), TEMPLATE * 0.5 + (80, 90), None)]


find_by_nobody.__name__ = APPROXIMATE


def test_aligned_photos_are_known_by_size_and_place():
    face = FACES[0]
    searched = 240 / 112  # at which size small photos are searched
    there = FoundFace((10, 10, 90, 90), np.add(TEMPLATE, (3, -2)), 0.999).scaled(searched)
    elsewhere = FoundFace((40, 20, 50, 50), TEMPLATE * 0.5 + (30, 10), 0.999).scaled(searched)
    assert view_photo(face, finder=knows(there)).found_by == "aligned already"
    assert view_photo(face, finder=knows()).notes
    assert view_photo(face, finder=knows(elsewhere)).found_by == "<lambda>"
    assert view_photo(face, finder=find_by_nobody).notes == view_photo(face, finder=knows()).notes
    assert view_photo(face, finder=knows(elsewhere), aligned=True).found_by == "aligned already"
    with pytest.raises(ValueError, match=r"got 60x112 pixels .* want a face aligned to 112x112"):
        view_photo(face[:60], aligned=True)


def test_a_reader_is_told_of_small_faces_and_of_what_is_cut_off():
    tiny = FoundFace((0, 0, 30, 30), TEMPLATE * 0.3 + (50, 50), 0.999)
    view = view_photo(np.zeros((300, 300, 3), np.uint8), finder=knows(tiny))
    assert "The face is small: where the model looks at 112 pixels across" in view.notes[0]
    assert "the photo has 34" in view.notes[0]
    cut = FoundFace((0, 0, 112, 112), TEMPLATE - (28, 0), 0.999)
    view = view_photo(np.zeros((300, 300, 3), np.uint8), finder=knows(cut))
    assert view.notes[0].startswith("25 % of the aligned face lie outside the photo")


def test_pictures_of_pillow_are_turned_upright_and_tensors_refused():
    lying = PIL.Image.fromarray(np.ascontiguousarray(np.rot90(FACES[0])))
    lying.getexif()[0x0112] = 6
    np.testing.assert_array_equal(view_photo(lying, aligned=True).crop, FACES[0])
    with pytest.raises(TypeError, match=r"got Tensor; want a file, .* write to_image\(img\[0\]\)"):
        explain_photos(torch.zeros(3, 112, 112), FACES[1])


def test_a_map_is_painted_where_the_face_is():
    mapped = np.zeros((112, 112))
    mapped[30:34, 70:74] = 1.0
    method = MethodView("mine", "", (mapped, -mapped), 1.0)
    photo = np.full((400, 500, 3), 200, np.uint8)
    to_photo = np.array([(0.0, -2.0, 300.0), (2.0, 0.0, 100.0)])  # doubled, turned by a quarter
    for which in (0, 1):
        painted = paint_on_photo(photo, method, which, to_photo).astype(int)
        changed = np.argwhere(np.abs(painted - 200).sum(2) > 60)
        rows, columns = changed[:, 0], changed[:, 1]
        # x of the photo is 300 - 2 y, and y is 100 + 2 x, of y in 30..33 and x in 70..73.
        assert (columns.min(), columns.max()) == pytest.approx((233, 241), abs=1)
        assert (rows.min(), rows.max()) == pytest.approx((239, 247), abs=1)
        middle = painted[243, 237]
        assert (middle[1] > middle[0]) == (which == 0)  # green speaks for the same person


def test_a_calibration_gives_threshold_and_evidence():
    explainer = PairExplainer(fast=True)
    rng = np.random.default_rng(0)
    genuine = np.repeat([True, False], 100)
    scores = rng.normal(np.where(genuine, 0.6, 0.1), 0.15)
    settings = {"model_hash": explainer.model_hash, "fmr": 0.05, "resamples": 20}
    calibration = Calibration.fit(scores, genuine, **settings)
    found = explain_photos(*FACES, calibration=calibration, fast=True)
    assert found.threshold == calibration.threshold
    assert found.document.threshold_from.startswith("an FMR of at most 0.05 on these pairs")
    assert found.evidence.log10_lr == calibration.evidence(found.score).log10_lr
    assert found.evidence.sentence in found.sentences()
    given = explain_photos(*FACES, threshold=0.2, calibration=calibration, fast=True)
    assert (given.threshold, given.document.threshold_from) == (0.2, "as given")
    other = Calibration.fit(scores, genuine, model_hash="another", resamples=20)
    with pytest.raises(ValueError, match="set for this model"):
        explain_photos(*FACES, calibration=other, fast=True)


def test_strangers_are_asked_without_the_pair_itself():
    siamese = fv.SiameseCosine(fv.load_backbone("demo"))
    with torch.no_grad():
        images = torch.cat(fv.generated_pairs(12).tensors(range(12)))
        cohort = siamese.embed_images(images)
    photos = fv.generated_pairs(12).pair(0)
    found = PairExplainer(fast=True, strangers=cohort).explain(*photos, aligned=True)
    kept = cohort[1:12], cohort[13:]  # 0 and 12 are the pair's own photos
    expected = cohort[:1] @ torch.cat(kept).T
    np.testing.assert_allclose(found.document.strangers[0], expected[0], atol=1e-5)
    assert f"Only {len(torch.cat(kept))} strangers were asked" in " ".join(found.document.limits)
    with pytest.raises(ValueError, match="want 3 or more"):
        explain_photos(*FACES, fast=True, strangers=cohort[:2])


@pytest.mark.extended
def test_strangers_are_read_from_a_folder(tmp_path):
    pairs = fv.generated_pairs(4)
    for i in range(6):
        PIL.Image.fromarray(pairs.load(i)).save(tmp_path / f"{i}.png")
    (tmp_path / "broken.png").write_bytes(b"none")
    with pytest.warns(UserWarning, match=r"1 of 7 photos are left out: .*broken\.png"):
        found = PairExplainer(strangers=tmp_path, methods=["rnd"]).explain(*FACES, aligned=True)
    siamese = fv.SiameseCosine(fv.load_backbone("demo"))
    with torch.no_grad():
        ours = siamese.embed_images(torch.cat(fv.generated_pairs(2).tensors([0])))
        others = torch.cat([torch.stack(pairs.tensors([k]), 1)[0] for k in range(3)])
        expected = ours @ siamese.embed_images(others).T
    scores = np.stack(found.document.strangers)
    np.testing.assert_allclose(scores, expected[:, expected.amax(0) < 0.999], atol=1e-5)
    _, beyond = found.document.methods
    assert beyond.name == "beyond_strangers"
    assert beyond.significant[0].dtype == bool
    assert all(row.z is not None for row in found.regions.rows)
    with pytest.raises(ValueError, match="no such folder"):
        PairExplainer(strangers="nowhere", fast=True).explain(*FACES, aligned=True)


class Rounds(nn.Module):
    """A model that gives no gradient."""

    size = (112, 112)

    def forward(self, x):
        return torch.nn.functional.avg_pool2d(x, 8).flatten(1).detach()


def test_a_model_without_gradients_is_asked_by_occlusion():
    siamese = fv.SiameseCosine(Rounds().eval(), 0.5, 0.5)
    found = explain_photos(*FACES, siamese, 0.3, fast=True)
    assert list(found.maps) == ["occlusion_alt"]
    with pytest.raises(ValueError, match="no gradient of the score"):
        explain_photos(*FACES, siamese, 0.3, fast=True, methods=["xssab"])


def test_what_is_missing_or_wrong_is_named():
    mine = fv.SiameseCosine(nn.Sequential(nn.AvgPool2d(8), nn.Flatten()).eval(), 0.5, 0.5)
    with pytest.raises(ValueError, match=r"threshold is missing: Sequential does not say"):
        explain_photos(*FACES, mine)
    with pytest.raises(ValueError, match=r"got 31.*want a cosine"):
        explain_photos(*FACES, threshold=31)
    with pytest.raises(ValueError, match="it knows the patches"):
        explain_photos(*FACES, methods=["oracle"])
    with pytest.raises(ValueError, match="none of these methods asks for it"):
        explain_photos(*FACES, methods=["xssab"], reference="face.png")
    with pytest.raises(FileNotFoundError, match="no such image file"):
        explain_photos("a.jpg", "b.jpg", fast=True)


def test_several_faces_are_numbered_in_a_picture(tmp_path, capsys, monkeypatch):
    photo, first = in_a_larger_photo(FACES[0])
    second = FoundFace((220, 120, 90, 90), TEMPLATE * 0.8 + (220, 120), 0.999)
    finder = knows(first, second)
    monkeypatch.setattr("captum_fv.data.face_search.has_mtcnn", lambda: True)
    monkeypatch.setattr("captum_fv.data.face_search.find_by_mtcnn", finder)
    with pytest.raises(SeveralFacesError, match=r"^photo A: 2 faces: 1 at .*, 112 wide"):
        explain_photos(photo, photo, fast=True)
    path, out = tmp_path / "two.png", tmp_path / "pair.html"
    PIL.Image.fromarray(photo).save(path)
    (tmp_path / "list.txt").write_text("two.png two.png\n")
    listed = ["--pairs", str(tmp_path / "list.txt"), "--data", str(tmp_path), "--out"]
    assert main(["explain", *listed, str(tmp_path / "pages.json"), "--fast"]) == 2
    said = capsys.readouterr().err
    assert f"{tmp_path / 'pages'}: none of 1 pairs" in said
    assert "--largest takes the largest" in said
    command = ["explain", str(path), str(path), "--fast", "--out", str(out)]
    said = fails(capsys, *command)
    assert "two.png: 2 faces: 1 at" in said
    assert "give --face-a, --face-b, or --largest" in said
    picture = np.asarray(PIL.Image.open(tmp_path / "pair_faces.png"))
    assert (picture == (255, 212, 0)).all(2).sum() > 300
    assert not out.exists()
    assert main([*command, "--face-a", "1", "--face-b", "2"]) == 0
    assert out.is_file()
    assert "--aligned: no face is looked for" in fails(
        capsys, *command, "--face-a", "1", "--aligned"
    )
    assert "there is no face 3" in fails(capsys, *command, "--face-a", "3", "--largest")


def test_the_command_says_what_it_found(tmp_path, capsys):
    paths = [tmp_path / "a.png", tmp_path / "b.png"]
    for path, face in zip(paths, FACES, strict=True):
        PIL.Image.fromarray(face).save(path)
    out = tmp_path / "pair.html"
    photos = [str(path) for path in paths]
    assert main(["explain", *photos, "--aligned", "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("MATCH: cosine 0.")
    assert "\nthreshold: the model's own; the demo model knows only generated faces\n" in printed
    assert "Nose " in printed
    assert "A (a.png): aligned already." in printed
    assert printed.endswith(f"wrote {out}\n")
    assert "want two photos, A.jpg B.jpg, or a list" in fails(capsys, "explain", photos[0])
    assert "--pairs: want two photos or a list" in fails(
        capsys, "explain", *photos, "--pairs", "p.txt"
    )
