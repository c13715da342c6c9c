"""Bad input of every kind to data, files and tools: a clear error or the right answer."""

from __future__ import annotations

import io

import numpy as np
import PIL.Image
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from captum_fv import SiameseCosine, load_backbone
from captum_fv.attr.captum_tools import one_sided_baselines, pair_feature_masks, split_layer_maps
from captum_fv.data import (
    PairSet,
    align_face,
    apply_patches,
    find_face,
    lfw_pairs,
    patch_mask,
    patch_pairs,
    patch_places,
    read_image,
    read_patch_set,
    to_image,
    to_tensor,
)
from captum_fv.data.alignment import TEMPLATE
from captum_fv.models import load_patched_cosine_head
from captum_fv.siamese.prelu import unfold_prelu
from tests.support.bad_input import (
    ALL_IMAGES,
    clear_error,
    fuzzed,
    image_state,
    world,
)
from tests.support.nets import SmallNet, random_pair, small_siamese

PHOTO = np.random.default_rng(0).integers(0, 256, (112, 112, 3), dtype=np.uint8)
PHOTOS = st.sampled_from(
    [
        PHOTO,
        PHOTO[:, ::-1],
        np.asfortranarray(PHOTO),
        PHOTO[:1, :1],
        PHOTO[:40],
        PHOTO[:0],
        PHOTO[..., 0],
        np.dstack([PHOTO, PHOTO[..., :1]]),
        PHOTO / 255,
        PHOTO.astype(int),
        torch.from_numpy(PHOTO),
        None,
        "a.jpg",
        [PHOTO],
    ]
)
NUMBERS = st.one_of(st.integers(-2, 130), st.floats(), st.sampled_from([None, "7", 16, 50]))


def is_photo(image: object) -> bool:
    """Whether this is what all data sets hand over."""
    if not isinstance(image, np.ndarray):
        return False
    return image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3 and image.size > 0


@fuzzed(60)
@given(
    image=PHOTOS,
    landmarks=st.one_of(
        st.just(TEMPLATE),
        st.just(TEMPLATE.tolist()),
        st.just(TEMPLATE[:, ::-1]),
        st.just(TEMPLATE[::-1]),
        st.just(None),
        st.lists(st.tuples(st.floats(), st.floats()), min_size=4, max_size=6),
    ),
    size=st.one_of(st.just((112, 112)), st.just((112, 96)), st.tuples(NUMBERS, NUMBERS), NUMBERS),
)
def test_align_face(image, landmarks, size):
    face, _ = clear_error(lambda: align_face(image, landmarks, size))
    if face is None:
        return
    assert is_photo(image)
    assert face.shape == (*size, 3)
    assert face.dtype == np.uint8
    if size == (112, 112):  # the template's own landmarks leave a photo where it is
        upside_down = np.array_equal(landmarks, TEMPLATE[::-1])
        assert np.array_equal(face, image) != upside_down


@fuzzed(40)
@given(images=st.lists(PHOTOS, max_size=3))
def test_photos_to_tensors_and_back(images):
    tensor, _ = clear_error(lambda: to_tensor(images))
    if tensor is None:
        assert not images or not all(map(is_photo, images)) or len({i.shape for i in images}) > 1
        return
    for one, image in zip(tensor, images, strict=True):
        np.testing.assert_allclose(one.numpy(), image.transpose(2, 0, 1) / 255, rtol=1e-6)
        np.testing.assert_array_equal(to_image(one), image)


@pytest.mark.parametrize("spoil", ALL_IMAGES.values(), ids=ALL_IMAGES.keys())
def test_tensors_to_photos(spoil):
    photo = random_pair(1)[0]
    given = spoil(photo)
    if isinstance(given, torch.Tensor) and not given.is_nested and given.shape[:1] == (1,):
        given = given[0]
    photo, _ = clear_error(lambda: to_image(given), given)
    if photo is not None:
        wanted = np.clip(np.rint(given.detach().double().numpy() * 255), 0, 255)
        assert np.abs(photo.transpose(2, 0, 1) - wanted).max() <= 1
        assert torch.isfinite(given).all()


@fuzzed(60)
@given(
    image=PHOTOS,
    donor=PHOTOS,
    places=st.lists(st.tuples(NUMBERS, NUMBERS), max_size=3),
    patch=NUMBERS,
)
def test_patches(image, donor, places, patch):
    rows, columns = ([place[side] for place in places] for side in (0, 1))
    patched, _ = clear_error(lambda: apply_patches(image, donor, rows, columns, patch))
    mask, _ = clear_error(lambda: patch_mask(rows, columns, (112, 112), patch))
    if patched is None:
        return
    assert is_photo(image)
    assert is_photo(donor)
    expected = image.copy()
    for row, column in places:
        where = slice(row - patch, row), slice(column, column + patch)
        expected[where] = donor[where]
    np.testing.assert_array_equal(patched, expected)
    if image.shape[:2] == (112, 112):
        assert (patched != image).any(2)[~mask].sum() == 0


@fuzzed(60)
@given(
    people=st.one_of(st.lists(st.sampled_from("ab"), max_size=5), st.sampled_from([None, "ab"])),
    image=PHOTOS,
    indices=st.one_of(st.lists(st.integers(-2, 3), max_size=3), NUMBERS),
    count=NUMBERS,
    patch=NUMBERS,
)
def test_pair_sets(people, image, indices, count, patch):
    before = world()
    clear_error(lambda: patch_places(people, size=(112, 112), count=count, patch=patch))
    pairs, _ = clear_error(lambda: PairSet("set", people, lambda i: image))
    if pairs is not None:
        clear_error(lambda: pairs.tensors(indices))
        clear_error(lambda: list(pairs.batches(count)))
        patched, _ = clear_error(lambda: patch_pairs(pairs, count=count, patch=patch))
        if patched is not None:
            assert is_photo(image)
            tensors, _ = clear_error(lambda: patched.tensors(indices))
            clear_error(lambda: patched.subset(indices).masks([0]))
            assert tensors is None or all(len(side) == len(indices) for side in tensors)
    assert before == world()


def _png() -> bytes:
    file = io.BytesIO()
    PIL.Image.fromarray(PHOTO).save(file, "PNG")
    return file.getvalue()


CONTENTS = st.one_of(
    st.binary(max_size=40),
    st.text(max_size=40).map(lambda text: text.encode("utf-8", "replace")),
    st.integers(0, 400).map(lambda cut: _png()[:cut]),
    st.sampled_from([b"", b"PK\x03\x04", b"{}", b"[]", b"1\n", b"2\t1\na 1 2\n", b'{"recipe": 1}']),
)


@fuzzed(60)
@given(
    content=CONTENTS,
    name=st.sampled_from(
        ["a.jpg", "b.png", "c.pt", "d.pt2", "e.safetensors", "f.txt", "manifest.json"]
    ),
)
def test_files_of_anything(content, name, tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    path = folder / name
    path.write_bytes(content)
    before = world()
    for read in (
        read_image,
        load_backbone,
        load_patched_cosine_head,
        lambda path: lfw_pairs(folder, path, check_images=True),
        lambda path: read_patch_set(folder),
        lambda path: load_backbone("arcface-r100", path),
    ):
        _, error = clear_error(lambda read=read: read(path))
        assert error is not None
        assert str(folder) in str(error), error
    assert before == world()


@pytest.mark.parametrize("spoil", ALL_IMAGES.values(), ids=ALL_IMAGES.keys())
def test_pair_tools(spoil):
    pair = random_pair(2)
    image = spoil(pair[0])
    before = image_state(image)
    clear_error(lambda: pair_feature_masks(image), image)
    clear_error(lambda: find_face(image), image)
    for images in ((image, pair[1]), (pair[0], image)):
        bases, _ = clear_error(lambda images=images: one_sided_baselines(*images, 0.5), images)
        if bases is not None:
            (base_a, same_b), (same_a, base_b) = bases
            assert same_a is images[0]
            assert same_b is images[1]
            assert (base_a == 0.5).all()
            assert (base_b == 0.5).all()
    bases, _ = clear_error(lambda: one_sided_baselines(*pair, image), image)
    assert bases is None or all(torch.isfinite(base).all() for base in bases[0])
    clear_error(lambda: split_layer_maps(image), image)
    assert image_state(image) == before


@pytest.mark.parametrize("model", [None, "demo", nn.ReLU(), nn.PReLU, small_siamese()])
def test_models_that_are_none(model):
    twin, _ = clear_error(lambda: unfold_prelu(model))
    assert twin is None or isinstance(model, SiameseCosine)
    clear_error(lambda: SiameseCosine(model))


@fuzzed(40)
@given(
    mean=st.one_of(st.floats(), st.lists(st.floats(-1, 1), max_size=4), st.text(), st.none()),
    std=st.one_of(st.floats(), st.lists(st.floats(0.1, 1), max_size=4), st.text(), st.none()),
)
def test_any_normalisation(mean, std):
    net = SmallNet().eval()
    scores, _ = clear_error(lambda: SiameseCosine(net, mean, std)(*random_pair(1)))
    assert scores is None or torch.isfinite(scores).all()


@pytest.mark.parametrize("device", ["gpu", "cuda:99", "", 3.5, None, "cpu:x"])
def test_devices_that_are_not_there(device):
    backbone, error = clear_error(lambda: load_backbone("demo", device=device))
    assert (backbone is None) == (device is not None), error
