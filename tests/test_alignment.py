import io
import json
import tracemalloc
from types import SimpleNamespace

import numpy as np
import PIL.Image
import pytest
import skimage.data
import torch
from skimage.transform import SimilarityTransform, estimate_transform

from captum_fv import SiameseCosine, load_backbone
from captum_fv.data import cascade
from captum_fv.data.alignment import TEMPLATE, align_face, template
from captum_fv.data.cascade import find_face, guess_landmarks
from captum_fv.data.face_search import align_detected
from captum_fv.data.images import read_image
from captum_fv.data.pairs import to_tensor
from tests.support.shared import SHARED, needs_shared


def photo(height=250, width=250):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def raw_samples():
    folder = SHARED / "data" / "lfw_raw_sample"
    landmarks = json.loads((folder / "landmarks.json").read_text())
    return [(name, read_image(folder / name), points) for name, points in landmarks.items()]


def test_template_on_other_sizes():
    np.testing.assert_allclose(template((112, 96)), TEMPLATE - (8, 0))
    np.testing.assert_allclose(template((224, 224)), 2 * TEMPLATE)


def test_a_face_on_the_template_stays_and_a_shifted_one_comes_back():
    face = photo(112, 112)
    np.testing.assert_array_equal(align_face(face, TEMPLATE), face)
    np.testing.assert_array_equal(align_face(face, TEMPLATE, (112, 96)), face[:, 8:104])
    large = photo()
    np.testing.assert_array_equal(
        align_face(large, np.add(TEMPLATE, (30, 50))), large[50 : 50 + 112, 30 : 30 + 112]
    )


def test_a_turned_and_scaled_face_comes_back():
    rows, columns = np.mgrid[:250, :250]

    def wave(x, y):  # smooth, so that interpolation costs little
        return 128 + 100 * np.sin(x / 11) * np.cos(y / 13)

    transform = SimilarityTransform(scale=1.3, rotation=0.3, translation=(60, 20))
    back = transform.inverse(np.stack([columns.ravel(), rows.ravel()], axis=1))
    image = np.repeat(wave(back[:, 0], back[:, 1]).reshape(250, 250, 1), 3, axis=2)
    aligned = align_face(np.rint(image).astype(np.uint8), transform(TEMPLATE))
    expected = wave(*np.mgrid[:112, :112][::-1])
    assert np.abs(aligned[..., 0] - expected).max() < 2


def test_outside_the_photo_is_black():
    aligned = align_face(np.full((112, 112, 3), 200, dtype=np.uint8), TEMPLATE - (20, 0))
    assert (aligned[:, :19] == 0).all()
    assert (aligned[:, 21:] == 200).all()


@pytest.mark.parametrize(
    ("landmarks", "message"),
    [
        (TEMPLATE[:4], r"want five points \(x, y\), shape \(5, 2\); got \(4, 2\)"),
        (np.where(TEMPLATE > 92.3, np.nan, TEMPLATE), "want finite numbers"),
        (np.add(TEMPLATE, (200, 0)), r"inside the 250x250 image"),
        (TEMPLATE - (60, 0), r"inside the 250x250 image"),
        (TEMPLATE * 1e300, r"inside the 250x250 image"),
        (TEMPLATE / 112, r"got a face of under 4 pixels, as fractions"),
        (TEMPLATE.T.reshape(5, 2), r"these are x1 to x5 and then y1 to y5, as MTCNN gives"),
        (TEMPLATE[:, ::-1], r"these are \(y, x\)"),
        (TEMPLATE[[0, 1, 3, 2, 4]], r"want left eye, .* would be points\[\[0, 1, 3, 2, 4\]\]"),
        (TEMPLATE[[2, 0, 1, 3, 4]], r"would be points\[\[1, 2, 0, 3, 4\]\]"),
        ([(0, 0), (100, 0), (200, 0), (100, 20), (50, 10)], "these are no face's"),
        (np.outer(np.arange(5), (10, 20)), "lie on a line"),
        (np.full((5, 2), 50), "lie on a line"),
        (TEMPLATE[[1, 0, 2, 4, 3]], "left and right are exchanged"),
    ],
)
def test_bad_landmarks_are_named(landmarks, message):
    with pytest.raises(ValueError, match=f"landmarks: .*{message}"):
        align_face(photo(), landmarks)


def test_a_little_outside_the_photo_is_black_too():
    face = np.full((112, 112, 3), 200, dtype=np.uint8)
    for shift in (50, -50):
        aligned = align_face(face, np.add(TEMPLATE, (shift, 0)))
        shown = aligned[:, :61] if shift > 0 else aligned[:, 51:]
        hidden = aligned[:, 63:] if shift > 0 else aligned[:, :49]
        assert (shown == 200).all()
        assert (hidden == 0).all()


@pytest.mark.parametrize("order", [[4, 3, 2, 1, 0], [1, 4, 2, 0, 3], [3, 0, 2, 4, 1]])
def test_a_turned_face_is_warned_of(order):
    with pytest.warns(UserWarning, match="turned by more than 60 degrees"):
        align_face(photo(), TEMPLATE[order])


def test_a_larger_face_is_averaged_and_its_noise_goes():
    face = photo(112, 112)
    for factor in (2, 3, 6):
        large = np.kron(face, np.ones((factor, factor, 1), np.uint8))
        points = TEMPLATE * factor + (factor - 1) / 2
        np.testing.assert_array_equal(align_face(large, points), face)
        smooth = align_face(np.pad(np.full_like(large, 90), ((41, 7), (23, 5), (0, 0))), points)
        assert (smooth[42 // factor + 1 : 90, 24 // factor + 1 : 90] == 90).all()
        assert (smooth[: 39 // factor - 1] == 0).all()
    noise = np.random.default_rng(0).normal(128, 40, (672, 672, 1)).clip(0, 255)
    grey = np.repeat(noise.astype(np.uint8), 3, axis=2)
    assert align_face(grey, TEMPLATE * 6 + 2.5).std() < 40 / 6 + 1


def test_a_face_in_a_huge_photo_takes_little_memory():
    image = np.zeros((5000, 6000, 3), np.uint8)
    image[4000:4112, 5000:5112] = face = photo(112, 112)
    tracemalloc.start()
    for scale, corner in ((1, (5000, 4000)), (8, (2000, 2000))):
        aligned = align_face(image, TEMPLATE * scale + corner)
        assert scale > 1 or np.array_equal(aligned, face)
    assert tracemalloc.get_traced_memory()[1] < 2e7
    tracemalloc.stop()


def test_boxes_of_one_face_are_one_and_the_largest_of_several_can_be_asked_for(monkeypatch):
    boxes = [
        {"r": r, "c": c, "width": width}
        for r, c, width in ((10, 10, 60), (45, 45, 50), (5, 100, 80))
    ]
    found = SimpleNamespace(detect_multi_scale=lambda *_, **__: boxes)
    monkeypatch.setattr(cascade, "_detector", lambda: found)
    assert find_face(photo(), largest=True) == (5, 100, 80, 80)
    with pytest.raises(ValueError, match=r"found 2 at .*or --largest"):
        find_face(photo())
    boxes.pop()
    assert find_face(photo()) == (10, 10, 60, 60)


@needs_shared
def test_real_landmarks_pass_and_the_usual_slips_are_named():
    image = photo()
    for _, image, points in raw_samples():
        points = np.asarray(points)
        align_face(image, points)
        with pytest.raises(ValueError, match="as MTCNN gives them"):
            align_face(image, points.T.reshape(5, 2))
        with pytest.raises(ValueError, match=r"points\[\[0, 1, 3, 2, 4\]\]"):
            align_face(image, points[[0, 1, 3, 2, 4]])
        with pytest.raises(ValueError, match="left and right are exchanged"):
            align_face(image, points[[1, 0, 2, 4, 3]])


@pytest.mark.extended
@needs_shared
def test_a_real_face_six_times_larger_and_noisy_stays_the_person():
    program = SHARED / "models" / "edgeface_xxs.pt2"
    siamese = SiameseCosine(load_backbone(program), 0.5, 0.5)
    rng = np.random.default_rng(0)
    clean, noisy = [], []
    for _, image, points in raw_samples():
        large = np.asarray(PIL.Image.fromarray(image).resize((1500, 1500), PIL.Image.BICUBIC))
        large = (large + rng.normal(0, 40, large.shape)).clip(0, 255).astype(np.uint8)
        clean.append(align_face(image, points))
        noisy.append(align_face(large, np.multiply(points, 6) + 2.5))
    with torch.no_grad():
        cosines = siamese(to_tensor(clean), to_tensor(noisy))
    # Without averaging 0.82, and 0.32 for the worst photo.
    assert cosines.mean() > 0.98
    assert cosines.min() > 0.94


def test_finds_the_astronaut():
    image = skimage.data.astronaut()
    top, left, height, width = find_face(image)
    # Her eyes are near row 110, columns 205 and 250.
    assert top < 110 < top + height / 2
    assert left < 205 < 250 < left + width
    assert align_detected(image, (112, 96)).shape == (112, 96, 3)


def test_no_face_and_several_are_named():
    with pytest.raises(ValueError, match=r"one frontal face in the 300x451 photo, found 0;"):
        find_face(skimage.data.chelsea())
    face = skimage.data.astronaut()[:256, 96:352]
    with pytest.raises(ValueError, match=r"256x512 photo, found 2 at \(top, .*\[\(\d+, \d+, "):
        find_face(np.hstack([face, face]))


@needs_shared
def test_reproduces_the_aligned_copies_up_to_jpeg():
    differences, after_jpeg = [], []
    for name, image, points in raw_samples():
        copy = SHARED / "data" / "lfw_aligned_112" / name[:-9] / name
        expected = read_image(copy).astype(int)
        aligned = align_face(image, points)
        differences.append(np.abs(aligned - expected).mean())
        buffer = io.BytesIO()
        PIL.Image.fromarray(aligned).save(buffer, "JPEG", quality=95)
        after_jpeg.append(np.abs(np.asarray(PIL.Image.open(buffer)) - expected).mean())
    # The copies are JPEG files of quality 95. Seen: 1.13 grey levels on average (bicubic 1.30,
    # nearest 2.36), and 0.05, at most 0.15, once ours goes through the same JPEG.
    assert len(differences) == 24
    assert np.mean(differences) < 1.2
    assert max(after_jpeg) < 0.25


@needs_shared
def test_guessed_landmarks_bring_the_true_ones_near_the_template():
    residuals = []
    for _, image, points in raw_samples():
        transform = estimate_transform("similarity", guess_landmarks(image), TEMPLATE)
        residuals.append(np.linalg.norm(transform(points) - TEMPLATE, axis=1).mean())
        assert abs(np.degrees(transform.rotation)) < 0.5
    assert np.mean(residuals) < 4.4
    assert max(residuals) < 12
