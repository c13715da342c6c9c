"""Pairs in chunks, from a patched set or from whatever gives batches."""

import multiprocessing
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from captum_fv.benchmark import source as sources
from captum_fv.benchmark.source import as_source
from captum_fv.data import generated_pairs, patch_pairs
from tests.support.nets import random_pair

GENUINE = torch.tensor([1, 0, 1, 0, 0])


def images():
    original_a, img_b = random_pair(5)
    patched_a = original_a.clone()
    patched_a[:, :, 2:9, 3:8] = img_b[:, :, 2:9, 3:8]
    return patched_a, original_a, img_b


@pytest.mark.parametrize("kind", ["patched", "loader", "list", "generator"])
def test_chunks_are_the_pairs_in_order(kind):
    patched = patch_pairs(generated_pairs(5))
    sides = patched.tensors(range(5)) if kind == "patched" else images()
    genuine = patched.genuine if kind == "patched" else GENUINE.bool().numpy()
    loader = DataLoader(TensorDataset(*sides, torch.from_numpy(genuine)), batch_size=2)
    source = as_source(
        {
            "patched": patched,
            "loader": loader,
            "list": list(loader),
            "generator": (item for item in loader),
        }[kind],
        chunk_size=2,
    )
    for _ in range(2):
        chunks = list(source.chunks())
        assert [batch.numbers.tolist() for batch in chunks] == [[0, 1], [2, 3], [4]]
        whole = source.batch(range(5))
        for k, batch in enumerate(chunks):
            part = whole.rows(range(2 * k, min(2 * k + 2, 5)))
            assert batch.image_hashes().tolist() == part.image_hashes().tolist()
            np.testing.assert_array_equal(batch.genuine, genuine[2 * k : 2 * k + 2])
    some = source.batch([1, 4])
    assert some.numbers.tolist() == [1, 4]
    torch.testing.assert_close(some.patched_a, sides[0][[1, 4]], rtol=0, atol=0)
    inside = some.mask.expand_as(some.patched_a)
    torch.testing.assert_close(some.patched_a[~inside], some.original_a[~inside], rtol=0, atol=0)
    assert some.mask.any()


def test_sets_are_told_apart_without_their_images():
    whole = patch_pairs(generated_pairs(6))
    described = as_source(whole, 2).identity()
    assert described == as_source(whole, 3).identity()
    assert described["pairs"] == 6
    for other in (patch_pairs(generated_pairs(6), seed=4), whole.subset([0, 1, 2, 3, 5])):
        assert as_source(other, 2).identity() != described


A, ORIGINAL, B = images()


@pytest.mark.parametrize(
    ("item", "says"),
    [
        ((A, ORIGINAL, B), "want a tuple"),
        ({"a": A}, "got dict"),
        ((A.numpy(), ORIGINAL, B, GENUINE), "patched_a: got .*ndarray"),
        ((A, (ORIGINAL * 255).byte(), B, GENUINE), "original_a: got torch.uint8"),
        ((A, ORIGINAL, B[0], GENUINE), "img_b: got"),
        ((A, ORIGINAL[:4], B, GENUINE), "equal shapes"),
        ((A, ORIGINAL, B, GENUINE[:4]), "one label"),
        ((A, ORIGINAL, B, GENUINE * 2), "0 and 1"),
    ],
)
def test_bad_batches_are_named(item, says):
    source = as_source([(A, ORIGINAL, B, GENUINE), item], 2)
    with pytest.raises(ValueError, match=f"batch 1.*{says}"):
        list(source.chunks())


def test_what_gives_no_batches_is_named():
    with pytest.raises(TypeError, match="got int"):
        as_source(3, 2)


@pytest.mark.parametrize("method", ["fork", pytest.param("spawn", marks=pytest.mark.extended)])
def test_any_number_of_workers_gives_the_same_bytes(method, monkeypatch):
    patched = patch_pairs(generated_pairs(7))
    expected = list(as_source(patched, 2).chunks(lambda number: number != 1))
    assert [batch is None for batch in expected] == [False, True, False, False]
    before = torch.get_rng_state()
    context = multiprocessing.get_context(method)
    monkeypatch.setattr(sources, "DataLoader", partial(DataLoader, multiprocessing_context=context))
    found = list(as_source(patched, 2, workers=2).chunks(lambda number: number != 1))
    assert torch.equal(torch.get_rng_state(), before)
    assert found[1] is None
    for one, other in zip(expected, found, strict=True):
        if one is not None:
            assert one.image_hashes().tolist() == other.image_hashes().tolist()
            assert torch.equal(one.mask, other.mask)
            assert other.reference is not None


def test_what_is_wrong_in_a_worker_is_said_as_here():
    def load(i):
        raise OSError(f"photo {i} is gone")

    pairs = patch_pairs(generated_pairs(4))
    broken = replace(pairs, clean=replace(pairs.clean, load=load))
    for workers in (0, 2):
        with pytest.raises(OSError, match=r"^photo \d is gone$"):
            list(as_source(broken, 2, workers=workers).chunks())
