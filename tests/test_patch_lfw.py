import json
import time

import numpy as np
import PIL.Image
import pytest
import torch

from captum_fv.data.images import read_image
from captum_fv.data.lfw import lfw_pairs
from captum_fv.data.pairs import PairSet
from captum_fv.data.patch_folder import read_patch_set, write_patch_set
from captum_fv.data.patched_pairs import patch_pairs
from captum_fv.data.patches import apply_patches, patch_mask, patch_places
from captum_fv.data.published_patch_lfw import read_published_patch_lfw
from tests.support.shared import SHARED, needs_shared

PEOPLE = ["Ann", "Ann", "Ann", "Bob", "Cy", "Cy", "Bob", "Cy", "Dee", "Dee"]


def noise_pairs(people=PEOPLE, size=(112, 112)):
    def load(i):
        return np.random.default_rng(i).integers(0, 256, (*size, 3), dtype=np.uint8)

    return PairSet("noise", people, load)


def published_recipe(people, load):
    """Every patched A as BENCHMARK.md spells it out, pixel block by pixel block."""
    patched = {}
    genuine = [a == b for a, b in zip(people[::2], people[1::2], strict=True)]
    for kind in (False, True):
        rng = np.random.RandomState(3)
        for k in [k for k in range(len(genuine)) if genuine[k] == kind]:
            columns = rng.randint(0, 112 - 16, 27)
            rows = rng.randint(16, 112, 27)
            donor = 2 * k + 1
            if kind:
                donor = rng.choice([i for i in range(len(people)) if people[i] != people[2 * k]])
            image, other = load(2 * k).copy(), load(donor)
            for row, column in zip(rows, columns, strict=True):
                image[row - 16 : row, column : column + 16] = other[
                    row - 16 : row, column : column + 16
                ]
            patched[k] = image
    return patched


def assert_equal_sets(one, other):
    assert one.clean.people == other.clean.people
    for name in ("rows", "columns", "donors"):
        np.testing.assert_array_equal(getattr(one.places, name), getattr(other.places, name))
    assert (one.places.size, one.places.patch) == (other.places.size, other.places.patch)
    for k in range(len(one)):
        for part in ("patched", "original", "partner", "mask"):
            np.testing.assert_array_equal(getattr(one, part)(k), getattr(other, part)(k))


def test_follows_the_published_recipe_on_any_pairs():
    pairs = noise_pairs()
    patched = patch_pairs(pairs)
    for k, expected in published_recipe(PEOPLE, pairs.load).items():
        np.testing.assert_array_equal(patched.patched(k), expected)
        changed = (patched.patched(k) != patched.original(k)).any(axis=-1)
        assert not (changed & ~patched.mask(k)).any()
        assert changed.sum() > 0.99 * patched.mask(k).sum()  # noise seldom agrees by chance


@pytest.mark.parametrize("seed", range(20))
def test_donors_are_drawn_from_a_list_of_the_others_or_as_if(seed):
    rng = np.random.default_rng(seed)
    people = rng.choice(list("abcdef"), 2 * 40, p=[0.5, 0.2, 0.1, 0.1, 0.05, 0.05]).tolist()
    donors = patch_places(people, seed, count=2).donors
    drawn = np.random.RandomState(seed)
    for k in range(40):
        if people[2 * k] == people[2 * k + 1]:
            drawn.randint(0, 96, 2), drawn.randint(16, 112, 2)
            others = [i for i, person in enumerate(people) if person != people[2 * k]]
            assert donors[k] == drawn.choice(others)


def test_a_long_list_is_drawn_in_seconds():
    count = 40_000  # a search through all images for each pair took a minute
    people = [f"person-{k // 3}" for k in range(count) for _ in range(2)]
    started = time.process_time()
    patch_places(people, count=1)
    assert time.process_time() - started < 5


def test_the_global_generator_is_left_alone():
    np.random.seed(7)
    before = np.random.get_state()[1].copy()
    patch_places(PEOPLE)
    np.testing.assert_array_equal(np.random.get_state()[1], before)


def test_sizes_counts_and_seeds_are_free():
    pairs = noise_pairs(size=(112, 96))
    patched = patch_pairs(pairs, seed=5, count=4, patch=20)
    assert patched.places.rows.shape == (5, 4)
    assert patched.mask(0).shape == (112, 96)
    assert 400 <= patched.mask(0).sum() <= 1600
    other = patch_pairs(pairs, seed=6, count=4, patch=20)
    assert (other.places.rows != patched.places.rows).any()


def test_tensors_masks_batches_and_subset():
    patched = patch_pairs(noise_pairs())
    patched_a, original_a, img_b = patched.tensors([1, 4])
    assert patched_a.shape == original_a.shape == img_b.shape == (2, 3, 112, 112)
    for n, k in enumerate([1, 4]):
        expected = torch.from_numpy(patched.patched(k)).permute(2, 0, 1) / 255
        torch.testing.assert_close(patched_a[n], expected, rtol=0, atol=0)
    masks = patched.masks([1, 4])
    assert masks.shape == (2, 1, 112, 112)
    assert masks.dtype == torch.bool
    assert not ((patched_a != original_a) & ~masks).any()
    batches = list(patched.batches(2))
    assert [len(batch[0]) for batch in batches] == [2, 2, 1]
    torch.testing.assert_close(batches[2][0], patched_a[1:], rtol=0, atol=0)
    subset = patched.subset([4, 1])
    assert subset.genuine.tolist() == patched.genuine[[4, 1]].tolist()
    torch.testing.assert_close(subset.tensors([0])[0], patched_a[1:], rtol=0, atol=0)
    torch.testing.assert_close(subset.masks([1]), masks[:1], rtol=0, atol=0)


def test_each_image_is_loaded_once_for_a_pair():
    loaded = []
    noise = noise_pairs()
    pairs = PairSet("counted", noise.people, lambda i: loaded.append(i) or noise.load(i))
    patched = patch_pairs(pairs)
    loaded.clear()
    patched.tensors([2, 3])  # a genuine pair, and an impostor pair whose donor is B
    assert loaded == [4, int(patched.places.donors[2]), 5, 6, 7]
    patched.original(3)[:] = 0
    assert patched.original(3).any()


def test_bad_recipes_are_named():
    with pytest.raises(ValueError, match=r"pair 0: no patches for 'Ann', who is the only person"):
        patch_places(["Ann", "Ann"])
    with pytest.raises(ValueError, match=r"patch: got 112; want 1 to 111 on 112x112"):
        patch_places(PEOPLE, patch=112)
    with pytest.raises(ValueError, match=r"count: got 0"):
        patch_places(PEOPLE, count=0)
    for seed in (-1, 2**32, 1.5, None):
        with pytest.raises(ValueError, match=r"seed: got .*want a whole number from 0"):
            patch_places(PEOPLE, seed=seed)
    with pytest.raises(ValueError, match=r"no pairs to patch"):
        patch_pairs(noise_pairs([]))
    with pytest.raises(ValueError, match=r"got \(8, 9, 3\) for \(8, 8, 3\)"):
        apply_patches(np.zeros((8, 8, 3), np.uint8), np.zeros((8, 9, 3), np.uint8), [4], [0], 4)
    with pytest.raises(ValueError, match=r"want bottom edges in \[4, 8\]"):
        patch_mask([3], [0], (8, 8), 4)
    odd = noise_pairs()
    uneven = PairSet("uneven", PEOPLE, lambda i: odd.load(i)[: 112 - (i == 2)])
    with pytest.raises(ValueError, match=r"uneven: image 2 is 111x112, image 0 is 112x112"):
        patch_pairs(uneven).patched(1)


def test_a_written_set_reads_back_bit_for_bit(tmp_path):
    patched = patch_pairs(noise_pairs()).subset([0, 3, 1])
    folder = tmp_path / "sets" / "noise"
    write_patch_set(patched, folder)
    back = read_patch_set(folder)
    assert_equal_sets(back, patched)
    assert back.places.seed == 3
    assert [path.name for path in folder.parent.iterdir()] == ["noise"]
    assert len(list(folder.glob("*.png"))) == 6
    with pytest.raises(FileExistsError, match="noise: want a new or empty folder"):
        write_patch_set(patched, folder)


def test_a_failed_writing_leaves_nothing(tmp_path):
    pairs = noise_pairs()

    def load(i):
        if i == 5:
            raise OSError("the disk is gone")
        return pairs.load(i)

    with pytest.raises(OSError, match="the disk is gone"):
        write_patch_set(patch_pairs(PairSet("gone", PEOPLE, load)), tmp_path / "set")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "use"),
    [
        ("1.png", lambda s: s.patched(0)),
        ("originals/3.png", lambda s: s.original(1)),
        ("4.png", lambda s: s.partner(1)),
    ],
)
def test_changed_and_missing_images_are_named(tmp_path, name, use):
    folder = tmp_path / "set"
    write_patch_set(patch_pairs(noise_pairs()), folder)
    image = read_image(folder / name)
    image[0, 0, 0] ^= 1
    PIL.Image.fromarray(image).save(folder / name)
    with pytest.raises(ValueError, match=rf"{name}: changed since the set was written"):
        use(read_patch_set(folder))
    (folder / name).unlink()
    with pytest.raises(FileNotFoundError, match=rf"{name}: the manifest lists this image"):
        use(read_patch_set(folder))


def test_a_bad_manifest_is_named(tmp_path):
    folder = tmp_path / "set"
    with pytest.raises(FileNotFoundError, match=r"manifest\.json: no manifest"):
        read_patch_set(folder)
    write_patch_set(patch_pairs(noise_pairs()), folder)
    path = folder / "manifest.json"
    good = path.read_text()
    other = json.loads(good) | {"recipe": "patch-lfw-9"}
    short = json.loads(good)
    del short["sha256"]["originals/3.png"]
    for text, message in [
        (good[:500], "Expecting|Unterminated"),
        ("[]", "list indices"),
        ("{}", "recipe"),
        (json.dumps(other), "its recipe is 'patch-lfw-9'"),
        (json.dumps(short), "no sha256 of originals/3.png"),
    ]:
        path.write_text(text)
        with pytest.raises(ValueError, match=rf"manifest\.json: not the manifest.*({message})"):
            read_patch_set(folder)


def write_published(folder, patched, base, brackets="{}"):
    lines = {True: [], False: []}
    for k in range(len(patched)):
        PIL.Image.fromarray(patched.patched(k)).save(folder / f"{2 * k + 1}.jpg", quality=95)
        kind = bool(patched.genuine[k])
        fields = [
            f"{2 * k + base}, {2 * k + 1 + base}",
            *([str(patched.places.donors[k] + base)] if kind else []),
            brackets.format(", ".join(map(str, patched.places.rows[k]))),
            brackets.format(", ".join(map(str, patched.places.columns[k]))),
        ]
        lines[kind].append("\t".join(fields))
    for kind, name in ((True, "gen"), (False, "imp")):
        (folder / f"patch_idx_{name}.txt").write_text("\n".join(lines[kind]) + "\n")


@pytest.mark.parametrize(("base", "brackets"), [(0, "{}"), (1, "[{}]")])
def test_reads_the_published_folder(tmp_path, base, brackets):
    clean = noise_pairs()
    patched = patch_pairs(clean)
    write_published(tmp_path, patched, base, brackets)
    published = read_published_patch_lfw(tmp_path, clean)
    for name in ("rows", "columns", "donors"):
        np.testing.assert_array_equal(
            getattr(published.places, name), getattr(patched.places, name)
        )
    for k in range(len(clean)):
        np.testing.assert_array_equal(
            published.patched(k), read_image(tmp_path / f"{2 * k + 1}.jpg")
        )
        np.testing.assert_array_equal(published.original(k), patched.original(k))
        np.testing.assert_array_equal(published.mask(k), patched.mask(k))


@pytest.mark.parametrize(
    ("name", "line", "message"),
    [
        ("gen", "1, 2\t30\t40", "want 'id1, id2<TAB>donor<TAB>rows<TAB>columns'"),
        ("imp", "3, 4\t7\t30\t40", "want 'id1, id2<TAB>rows<TAB>columns'"),
        ("gen", "1, 3\t7\t30\t40", r"want two ids that follow each other, got \[1, 3\]"),
        ("gen", "1, 2\t7\t30, 31\t40", "got 2 rows and 1 columns"),
        ("gen", "1, 2\t7\t30\t-4", "want whole numbers, got '-4'"),
        ("gen", "1, 2\t7\t3\t40", "want bottom edges in"),
        ("gen", "1, 2\t3\t30\t40", "donor 2 shows the person of image A"),
        ("gen", "1, 2\t99\t30\t40", "list index out of range"),
        ("gen", "3, 4\t7\t30\t40", "pair 1 of the 5 clean pairs is not a genuine one"),
        ("imp", "7, 8\t30\t40", "pair 3 has a line already"),
    ],
)
def test_bad_published_lines_are_named(tmp_path, name, line, message):
    clean = noise_pairs()
    write_published(tmp_path, patch_pairs(clean), base=1)
    path = tmp_path / f"patch_idx_{name}.txt"
    if "already" in message:
        path.write_text("\n".join([*path.read_text().splitlines(), line]))
        number = 3
    else:
        path.write_text("\n".join([line, *path.read_text().splitlines()[1:]]))
        number = 1
    with pytest.raises(ValueError, match=rf"patch_idx_{name}\.txt, line {number}: .*{message}"):
        read_published_patch_lfw(tmp_path, clean)


def test_missing_parts_of_the_published_folder_are_named(tmp_path):
    clean = noise_pairs()
    write_published(tmp_path, patch_pairs(clean), base=1)
    (tmp_path / "5.jpg").unlink()
    with pytest.raises(FileNotFoundError, match=r"5\.jpg: no such patched image"):
        read_published_patch_lfw(tmp_path, clean)
    path = tmp_path / "patch_idx_gen.txt"
    path.write_text("\n".join(path.read_text().splitlines()[:-1]))
    (tmp_path / "5.jpg").write_bytes(b"")
    with pytest.raises(ValueError, match=r"patch_idx_gen\.txt: no line for pair 4"):
        read_published_patch_lfw(tmp_path, clean)
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"patch_idx_gen\.txt: no such list"):
        read_published_patch_lfw(tmp_path, clean)


@needs_shared
def test_the_published_places_of_all_6000_pairs():
    people = lfw_pairs("nowhere", SHARED / "data" / "pairs.txt").people
    places = patch_places(people)
    golden = np.load(SHARED / "golden" / "patch_lfw_places.npz")
    np.testing.assert_array_equal(places.rows, golden["rows"])
    np.testing.assert_array_equal(places.columns, golden["columns"])
    np.testing.assert_array_equal(places.donors, golden["donor"])


@needs_shared
def test_real_faces_written_and_read_back(tmp_path):
    data = SHARED / "data"
    pairs = lfw_pairs(data / "lfw_aligned_112", data / "pairs_folds_1_4.txt")
    patched = patch_pairs(pairs)
    share = patched.masks(range(0, 2400, 20)).float().mean()
    assert 0.40 < share < 0.42  # "about 41 % of the pixels"
    patched = patched.subset(range(0, 2400, 300))
    write_patch_set(patched, tmp_path / "set")
    assert_equal_sets(read_patch_set(tmp_path / "set"), patched)
