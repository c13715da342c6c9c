"""Finding faces: of any size, tilted and turned, one of several, and words where there is none."""

import numpy as np
import PIL.Image
import pytest
import skimage.data
from skimage.transform import SimilarityTransform

from captum_fv.data.alignment import TEMPLATE, align_face, crop_to_photo
from captum_fv.data.cascade import find_by_cascade
from captum_fv.data.face_search import (
    APPROXIMATE,
    LONGEST,
    FoundFaces,
    SeveralFacesError,
    find_faces,
)
from captum_fv.data.faces import FoundFace
from captum_fv.data.mtcnn import find_by_mtcnn, has_mtcnn
from captum_fv.data.tilted import tilt
from tests.support.shared import needs_shared
from tests.test_alignment import raw_samples

needs_mtcnn = pytest.mark.skipif(not has_mtcnn(), reason='needs pip install "captum_fv[faces]"')
COLOURS = np.array([(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (0, 255, 255)])


def dotted(size, places, radius=4):
    """A photo with a dot of its own colour at each of five places (x, y)."""
    rows, columns = np.indices(size)
    photo = np.full((*size, 3), 90, np.uint8)
    for (x, y), colour in zip(places, COLOURS, strict=True):
        photo[np.hypot(rows - y, columns - x) <= radius] = colour
    return photo


def find_dots(photo, confidence=0.999):
    """A finder of such faces, which like others sees only heads that are nearly upright."""
    points = []
    for colour in COLOURS:
        near = np.abs(photo.astype(int) - colour).sum(2) < 120
        if not near.any():
            return []
        points.append(np.argwhere(near).mean(0)[::-1])
    points = np.array(points)
    (left, top), (wide, high) = points.min(0), np.ptp(points, axis=0)
    face = FoundFace((left, top, wide, high), points, confidence)
    return [face] if abs(tilt(points)) < 20 else []


@pytest.mark.parametrize("degrees", [0, 30, -44, 55])
def test_tilted_heads_are_found_where_they_are(degrees):
    place = SimilarityTransform(scale=1.5, rotation=np.radians(degrees), translation=(150, 130))
    places = place(TEMPLATE)
    found = find_faces(dotted((420, 400), places), find_dots)
    assert found.turned == 0
    np.testing.assert_allclose(found.choose().landmarks, places, atol=0.7)
    left, top, wide, high = found.choose().box
    middle = np.array([left + wide / 2, top + high / 2])
    assert np.abs(middle - places.mean(0)).max() < 20


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_photos_on_their_side_are_turned_upright(quarters):
    upright = dotted((420, 300), 1.5 * TEMPLATE + (60, 90))
    lying = np.ascontiguousarray(np.rot90(upright, quarters))
    found = find_faces(lying, find_dots)
    assert found.turned == (360 - 90 * quarters) % 360
    np.testing.assert_array_equal(found.photo, upright)
    np.testing.assert_allclose(found.choose().landmarks, 1.5 * TEMPLATE + (60, 90), atol=0.5)


@pytest.mark.parametrize(("size", "scale"), [((1100, 1500), 6), ((130, 112), 1)])
def test_large_photos_are_searched_small_and_small_ones_large(size, scale):
    seen = []

    def finder(photo):
        seen.append(photo.shape)
        return find_dots(photo)

    places = scale * TEMPLATE + (0, 5)
    found = find_faces(dotted(size, places, 4 * scale), finder)
    assert max(seen[0]) == LONGEST if scale > 1 else min(seen[0][:2]) == 240
    np.testing.assert_allclose(found.choose().landmarks, places, atol=0.3 * scale)


@pytest.mark.parametrize("size", [(1, 300), (3, 4000), (19, 1024)])
def test_what_is_no_picture_of_a_face_is_not_searched(size):
    def finder(photo):
        pytest.fail("searched")

    found = find_faces(np.zeros((*size, 3), np.uint8), finder)
    with pytest.raises(ValueError, match="by finder, upright, tilted by 45"):
        found.choose()


def test_several_are_numbered_from_the_left():
    faces = [
        FoundFace((left, 0, wide, wide), wide / 112 * TEMPLATE + (left, 0), 0.999)
        for left, wide in ((300, 90), (20, 60), (120, 150))
    ]
    found = find_faces(np.zeros((400, 400, 3), np.uint8), lambda photo: faces)
    assert [face.box[0] for face in found.faces] == [20, 120, 300]
    assert found.choose(3).box[0] == 300
    assert found.choose(largest=True).box[0] == 120
    with pytest.raises(SeveralFacesError, match=r"3 faces: 1 at \(x, y\) \(20, 0\), 60 wide"):
        found.choose()
    for number in (0, 4):
        with pytest.raises(ValueError, match=f"there is no face {number}; the photo has 3"):
            found.choose(number)


def test_the_surest_turn_wins_and_what_is_no_face_does_not_count():
    upright = dotted((300, 300), 1.5 * TEMPLATE + (60, 60))
    lying = np.ascontiguousarray(np.rot90(upright))

    def finder(photo):
        real = find_dots(photo)
        return real or [FoundFace((0, 0, 150, 150), 1.3 * TEMPLATE, 0.95)]

    assert find_faces(lying, finder).turned == 270
    flat = FoundFace((0, 0, 100, 100), np.outer(np.arange(5), (20, 20)), 1.0)
    assert not find_faces(upright, lambda photo: [flat]).faces
    assert isinstance(find_faces(upright, lambda photo: []), FoundFaces)


def test_the_way_back_into_the_photo_is_that_of_the_aligned_face():
    place = SimilarityTransform(scale=1.7, rotation=0.4, translation=(90, 40))
    columns, rows = np.meshgrid(np.arange(300), np.arange(300))
    photo = np.stack([columns * 0.8, rows * 0.8, columns * 0], 2).astype(np.uint8)
    landmarks = place(TEMPLATE)
    aligned = align_face(photo, landmarks)
    to_photo = crop_to_photo(landmarks)
    for x, y in ((10, 10), (56, 60), (100, 80)):
        where = to_photo @ (x, y, 1)
        np.testing.assert_allclose(aligned[y, x, :2], 0.8 * where, atol=1.5)


@needs_mtcnn
def test_mtcnn_finds_the_astronaut_upright_and_on_her_side():
    image = skimage.data.astronaut()
    found = find_faces(image)
    eyes = np.array([(206, 105), (250, 105)])
    assert found.by == "mtcnn"
    assert np.abs(found.choose(largest=True).landmarks[:2] - eyes).max() < 6
    assert find_faces(np.ascontiguousarray(np.rot90(image, 3))).turned == 90


def test_the_cascade_serves_without_mtcnn_and_says_so(monkeypatch):
    monkeypatch.setattr("captum_fv.data.face_search.has_mtcnn", lambda: False)
    found = find_faces(skimage.data.astronaut())
    assert found.by == APPROXIMATE
    assert found.choose().confidence is None


def landmarks_off(finder, degrees):
    """Of each raw photo, turned, how far the landmarks are off, in pixels of 112."""
    for _, image, points in raw_samples():
        height, width = image.shape[:2]
        middle = ((width - 1) / 2, (height - 1) / 2)
        turned = np.asarray(PIL.Image.fromarray(image).rotate(degrees, PIL.Image.BILINEAR))
        back = SimilarityTransform(translation=np.negative(middle))
        back += SimilarityTransform(rotation=-np.radians(degrees))
        back += SimilarityTransform(translation=middle)
        wanted = back(np.asarray(points))
        scale = np.linalg.norm(crop_to_photo(points)[:, 0])
        found = find_faces(turned, finder)
        if found.faces:
            face = found.choose(largest=True)
            yield np.linalg.norm(face.landmarks - wanted, axis=1).mean() / scale


@pytest.mark.extended
@needs_mtcnn
@needs_shared
@pytest.mark.parametrize("degrees", [0, 30])
def test_real_landmarks_are_found(degrees):
    off = list(landmarks_off(find_by_mtcnn, degrees))
    assert len(off) == 24
    assert np.median(off) < 3


@needs_shared
def test_the_cascade_is_rougher():
    off = list(landmarks_off(find_by_cascade, 0))
    assert 3 < np.median(off) < 4
