"""The atlas of the ArcFace template: landmarks lie in their features, left and right are right."""

import numpy as np
import pytest

from captum_fv.attr import face_regions
from captum_fv.attr.atlas import NAMES
from captum_fv.data.alignment import template

MIRRORED = {
    name: name.replace("right", "?").replace("left", "right").replace("?", "left") for name in NAMES
}


@pytest.mark.parametrize("size", [(112, 112), (112, 96), (160, 160), (224, 224), (56, 56)])
def test_landmarks_lie_in_their_features(size):
    """The template's first eye is on the left of the picture: it is the person's right one."""
    regions = face_regions(size)
    assert regions.labels.shape == size
    found = [
        regions.names[regions.labels[round(y), round(x)]]
        for x, y in template(size)  # mouth corners last
    ]
    assert found == ["right eye", "left eye", "nose", "mouth", "mouth"]


def test_every_pixel_has_a_region_and_both_sides_are_alike():
    regions = face_regions()
    assert regions.names == NAMES
    assert len(NAMES) <= 12
    assert set(np.unique(regions.labels)) == set(range(len(NAMES)))
    swapped = np.array([NAMES.index(MIRRORED[name]) for name in NAMES])
    # Columns 1 to 111 are symmetric about column 56, the middle of the template.
    half = regions.labels[:, 1:]
    np.testing.assert_array_equal(half, swapped[half[:, ::-1]])


def test_names_go_from_top_to_bottom():
    centres = face_regions().centres()[:, 0]
    order = ["forehead", "right eyebrow", "right eye", "nose", "mouth", "chin and jaw"]
    rows = [centres[NAMES.index(name)] for name in order]
    assert rows == sorted(rows)
    assert [name for name in NAMES if name in order] == order


def test_twice_the_size_is_the_same_atlas():
    small, large = face_regions().labels, face_regions((224, 224)).labels
    np.testing.assert_array_equal(large[::2, ::2], small)


@pytest.mark.parametrize("size", [(8, 8), (112, 8), (112,), "112", (0, 112)])
def test_a_size_that_shows_no_face_is_named(size):
    with pytest.raises(ValueError, match=r"size.*want (\(height, width\)|a whole number)"):
        face_regions(size)
