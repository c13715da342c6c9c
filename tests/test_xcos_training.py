"""Training of xCos heads: what it learns, that it resumes, and what it refuses."""

import errno
import os
import resource
import shutil
from pathlib import Path

import filelock
import numpy as np
import pytest
import torch
from torch.nn import functional as F

from captum_fv.data.generated import UNSEEN_PEOPLE, photograph
from captum_fv.data.identities import IdentitySet, generated_identities
from captum_fv.models.xcos import grids as xcos_grids
from captum_fv.models.xcos.grids import GridCache, cache_grids
from captum_fv.models.xcos.margin import margin_loss
from captum_fv.models.xcos.training import Recipe, _batches, _Training, train_head
from tests.support.nets import small_siamese


def faces(people=8, photos=4):
    """Noisy photos of people who are a random picture each."""
    generator = np.random.default_rng(0)
    persons = generator.integers(0, 200, (people, 20, 18, 3))

    def load(i):
        noise = np.random.default_rng(i).integers(0, 55, (20, 18, 3))
        return (persons[i // photos] + noise).astype(np.uint8)

    names = [f"person {i // photos}" for i in range(people * photos)]
    return IdentitySet("noise", names, load)


@pytest.fixture
def cache(tmp_path):
    return cache_grids(small_siamese(), faces(), tmp_path / "grids")


RECIPE = Recipe(epochs=6, batch=8)


def test_the_grids_are_the_backbones(cache):
    siamese, people = small_siamese(), faces()
    for i in (0, 17, 31):
        image = torch.from_numpy(people.load(i)).permute(2, 0, 1)[None] / 255
        grid = siamese.backbone.features((image - 0.5) / 0.5)[0].detach()
        np.testing.assert_allclose(cache.grids[i], grid, rtol=1e-3, atol=1e-4)
        embedding = F.normalize(siamese.backbone((image - 0.5) / 0.5), dim=1)[0].detach()
        np.testing.assert_allclose(cache.embeddings[i], embedding, atol=1e-5)
    assert cache.people.tolist() == [i // 4 for i in range(32)]


def test_grids_go_on_where_they_stopped(tmp_path, cache, monkeypatch):
    whole, loaded = faces(), []

    def load(i):
        if len(loaded) == 20:
            raise KeyboardInterrupt
        loaded.append(i)
        return whole.load(i)

    folder = tmp_path / "stopped"
    broken = IdentitySet(whole.name, whole.people, load)
    monkeypatch.setattr(xcos_grids, "SAVE_EVERY_S", 0.0)
    with pytest.raises(KeyboardInterrupt):
        cache_grids(small_siamese(), broken, folder, batch_size=4)
    loaded.clear()
    resumed = cache_grids(small_siamese(), broken, folder, batch_size=4)
    assert loaded == list(range(20, 32))
    assert np.array_equal(resumed.grids, cache.grids)
    with pytest.raises(ValueError, match="holds grids with model"):
        cache_grids(small_siamese(seed=1), whole, folder)
    with pytest.raises(ValueError, match="holds grids with photos 32"):
        cache_grids(small_siamese(), faces(people=4), folder)


def test_batches_hold_two_photos_of_everybody():
    people = np.array([3, 0, 1, 1, 0, 3, 0, 2, 3, 3, 1, 0])
    seen = []
    for chosen in _batches(people, 4, np.random.default_rng(0)):
        assert len(chosen) == 4
        assert (people[chosen[0::2]] == people[chosen[1::2]]).all()
        seen += chosen.tolist()
    assert len(set(seen)) == len(seen) == 8  # 2, 1, 2 and 0 twos: one batch of four and half a one
    assert 7 not in seen


def test_the_margin_loss_is_cosface():
    generator = torch.Generator().manual_seed(0)
    embeddings, centres = torch.randn(2, 5, 7, generator=generator)
    labels = torch.tensor([0, 3, 1, 1, 4])
    expected = 0.0
    for i in range(5):
        logits = []
        for j in range(5):
            cosine = embeddings[i] @ centres[j] / (embeddings[i].norm() * centres[j].norm())
            logits.append(24 * (cosine - (0.3 if j == labels[i] else 0.0)))
        expected -= torch.log_softmax(torch.stack(logits), 0)[labels[i]] / 5
    torch.testing.assert_close(margin_loss(embeddings, centres, labels, 0.3), expected)


def test_training_lowers_both_losses(tmp_path, cache):
    head, losses = train_head(cache, tmp_path, Recipe(epochs=20, batch=8))
    assert not head.training
    assert len(losses.margin) == 20
    assert losses.margin[-1] < 0.5 * max(losses.margin)
    assert losses.imitation[-1] < 0.5 * losses.imitation[0]


def test_an_interrupted_training_ends_with_the_same_head(tmp_path, cache, monkeypatch):
    whole, losses = train_head(cache, tmp_path, RECIPE)
    stopped = tmp_path / "stopped"
    stopped.mkdir()
    step, count = _Training.step, 0

    def failing(self, chosen, epoch):
        nonlocal count
        count += 1
        if count == 11:
            raise KeyboardInterrupt
        return step(self, chosen, epoch)

    torch.manual_seed(123)
    before = torch.get_rng_state()
    monkeypatch.setattr(_Training, "step", failing)
    with pytest.raises(KeyboardInterrupt):
        train_head(cache, stopped, RECIPE)
    monkeypatch.setattr(_Training, "step", step)
    resumed, again = train_head(cache, stopped, RECIPE)
    assert torch.equal(torch.get_rng_state(), before)
    assert again == losses
    for name, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value), name
    with pytest.raises(ValueError, match=r"training with margin 0\.3, and this is 0\.1"):
        train_head(cache, stopped, Recipe(epochs=6, batch=8, margin=0.1))


def test_too_few_photos_are_named(tmp_path):
    grids, embeddings = np.zeros((4, 8, 5, 5), np.float16), np.zeros((4, 16), np.float32)
    cache = GridCache(grids, embeddings, np.array([0, 1, 2, 2]))
    with pytest.raises(ValueError, match="got 4 photos of 3 people; want two photos each of 4"):
        train_head(cache, tmp_path, Recipe(batch=8))


@pytest.mark.parametrize(
    ("name", "value"),
    [("batch", 3), ("epochs", 0), ("neck", -1), ("seed", -1), ("margin", -0.1), ("rate", np.nan)],
)
def test_numbers_that_nothing_can_be_trained_with_are_named(name, value):
    with pytest.raises(ValueError, match=f"{name}: got {value}; want"):
        Recipe(**{name: value})


@pytest.mark.parametrize("epochs", range(1, 8))
def test_a_training_of_any_length_ends(tmp_path, cache, epochs):
    _, losses = train_head(cache, tmp_path, Recipe(epochs=epochs, batch=32))
    assert len(losses.margin) == epochs


def test_a_loss_beyond_all_numbers_ends_the_training(tmp_path, cache):
    with pytest.raises(ValueError, match="epoch 1: the loss is no longer a number; take a smaller"):
        train_head(cache, tmp_path, Recipe(epochs=6, batch=8, rate=1e38))
    assert not list(tmp_path.glob("*.pt"))


def test_damaged_files_say_how_to_start_anew(tmp_path, cache):
    folder = tmp_path / "damaged"
    for name, damage in (
        ("grids.json", lambda path: path.write_text("{")),
        ("grids.json", lambda path: path.write_text("[]")),
        ("grids.npy", lambda path: os.truncate(path, 300)),
        ("embeddings.npy", Path.unlink),
    ):
        cache_grids(small_siamese(), faces(), folder)
        damage(folder / name)
        with pytest.raises(ValueError, match=r"damaged: cannot be read \(.*remove it to start"):
            cache_grids(small_siamese(), faces(), folder)
        shutil.rmtree(folder)
    checkpoint = tmp_path / "checkpoint.pt"
    for content in (b"junk", b""):
        checkpoint.write_bytes(content)
        with pytest.raises(ValueError, match=r"checkpoint\.pt: cannot be read .*start anew"):
            train_head(cache, tmp_path, RECIPE)
    torch.save({"recipe": {}}, checkpoint)
    with pytest.raises(ValueError, match=r"cannot be read \(KeyError: 'people'\)"):
        train_head(cache, tmp_path, RECIPE)


@pytest.mark.parametrize("name", ["grids.npy", "embeddings.npy"])
def test_a_changed_cache_is_not_trained_on(tmp_path, cache, name):
    path = tmp_path / "grids" / name
    content = bytearray(path.read_bytes())
    content[-40] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="not those that were written\\); remove it to start anew"):
        cache_grids(small_siamese(), faces(), tmp_path / "grids")


def test_two_processes_do_not_share_a_folder(tmp_path, cache):
    with filelock.FileLock(tmp_path / ".lock"), pytest.raises(ValueError, match="another process"):
        train_head(cache, tmp_path, RECIPE)
    with (
        filelock.FileLock(tmp_path / "grids/.lock"),
        pytest.raises(ValueError, match="grids: another process is writing there; wait for it"),
    ):
        cache_grids(small_siamese(), faces(), tmp_path / "grids")


def test_a_full_disk_is_named_before_anything_is_mapped(tmp_path, monkeypatch):
    """Written to through its mapping, a file without room would end the process."""

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match="No space left") as caught:
        cache_grids(small_siamese(), faces(), tmp_path / "grids")
    assert caught.value.filename == str(tmp_path / "grids/grids.npy")
    assert not list((tmp_path / "grids").glob("*.npy"))
    monkeypatch.undo()
    made = cache_grids(small_siamese(), faces(), tmp_path / "grids")
    size = os.stat(tmp_path / "grids/grids.npy")
    assert size.st_blocks * 512 >= made.grids.nbytes


def test_a_file_that_may_not_grow_is_named(tmp_path):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, limits[1]))
    try:
        with pytest.raises(OSError, match=r"grids\.npy") as caught:
            cache_grids(small_siamese(), faces(), tmp_path / "grids")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert caught.value.errno == errno.EFBIG


def test_generated_people_are_not_those_of_the_pairs():
    people = generated_identities(people=3, photos=2, first=7)
    assert people.people == ["person-7", "person-7", "person-8", "person-8", "person-9", "person-9"]
    assert np.array_equal(people.load(3), photograph(8, 1, 1.4))
    assert people.labels.tolist() == [0, 0, 1, 1, 2, 2]
    for bad in ({"people": 0, "photos": 1}, {"people": 2, "photos": 1, "first": UNSEEN_PEOPLE - 1}):
        with pytest.raises(ValueError, match="want at least one of each"):
            generated_identities(**bad)


def test_people_are_split_and_paired():
    train, test = faces().split(3)
    assert len(set(train.people)) == 5
    assert not set(train.people) & set(test.people)
    assert len(train) + len(test) == 32
    assert np.array_equal(train.load(4), faces().load(faces().people.index(train.people[4])))
    pairs = test.pairs(20)
    assert pairs.genuine.tolist() == [True] * 10 + [False] * 10
    for k in range(10):
        assert not np.array_equal(*pairs.pair(k))
    with pytest.raises(ValueError, match="got 7 of 8 people"):
        faces().split(7)
    with pytest.raises(ValueError, match="one with two photos"):
        faces(photos=1).pairs(4)
