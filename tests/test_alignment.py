import io
import json

import numpy as np
import PIL.Image
import pytest
import skimage.data
from skimage.transform import SimilarityTransform, estimate_transform

from captum_fv.data.alignment import (
    TEMPLATE,
    align_detected,
    align_face,
    find_face,
    guess_landmarks,
    template,
)
from captum_fv.data.images import read_image
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
        (TEMPLATE - (50, 0), r"inside the 250x250 image"),
        (np.outer(np.arange(5), (10, 20)), "lie on a line"),
        (np.full((5, 2), 50), "lie on a line"),
        (TEMPLATE[[1, 0, 2, 4, 3]], "left and right are exchanged"),
    ],
)
def test_bad_landmarks_are_named(landmarks, message):
    with pytest.raises(ValueError, match=f"landmarks: .*{message}"):
        align_face(photo(), landmarks)


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
