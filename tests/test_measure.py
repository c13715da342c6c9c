"""The core of a run: every map is measured as by the public functions, with each work done once."""

import numpy as np
import pytest
import torch

from captum_fv.attr import (
    OcclusionPairAttribution,
    PatchOracle,
    RandomPairBaseline,
    SimilarityArgumentGradient,
)
from captum_fv.benchmark.maps import maps_of_a
from captum_fv.benchmark.measure import measure_batch
from captum_fv.data.patched_pairs import PairBatch
from captum_fv.metrics import decision_patch_replacement, face_rings, patch_localisation
from tests.support.nets import SIZE, THRESHOLD, random_pair, small_siamese

GENUINE = np.array([True, False, True, False])


@pytest.fixture
def batch():
    original, img_b = random_pair()
    donor, _ = random_pair(seed=2)
    mask = torch.zeros(4, 1, *SIZE, dtype=torch.bool)
    for k in range(4):
        mask[k, :, 2 + k : 12 + k, 3 : 9 + k] = True
    patched = torch.where(mask, donor, original)
    return PairBatch(np.arange(10, 14), GENUINE, patched, original, img_b, mask)


def xface(siamese, variant, **options):
    return OcclusionPairAttribution(siamese, variant, (3, 6), 4, **options)


def count_images(siamese):
    """A list that grows by the number of images in each forward."""
    siamese(*random_pair(1))  # the first call asks the backbone more often
    seen = []
    siamese.backbone.register_forward_hook(lambda module, args, out: seen.append(len(args[0])))
    return seen


@pytest.mark.parametrize("cells", [None, (4, 3)])
def test_rows_are_what_the_metrics_say(batch, cells):
    siamese = small_siamese()
    method = SimilarityArgumentGradient(siamese, THRESHOLD)
    method.cells = cells
    scores, tables = measure_batch(
        siamese, {"xssab": method}, batch, THRESHOLD, strata=face_rings(*SIZE), batch_size=3
    )
    map_a, _ = method.attribute(batch.patched_a, batch.img_b)
    pair = (batch.patched_a, batch.img_b)
    run = decision_patch_replacement(
        siamese, pair, batch.original_a, map_a, THRESHOLD, GENUINE, cells=cells
    )
    table = tables["xssab"]
    np.testing.assert_array_equal(table["pair"], batch.numbers)
    np.testing.assert_allclose(table["replaced"].T[:-1], run.scores, atol=1e-6)
    np.testing.assert_allclose(table["replaced"].T[-1], run.repaired_scores, atol=1e-6)
    np.testing.assert_allclose(scores, run.scores[0], atol=1e-6)
    found = patch_localisation(map_a, batch.mask, run.scores[0] >= THRESHOLD)
    np.testing.assert_allclose(table["auroc"], found.auroc)
    np.testing.assert_allclose(table["average_precision"], found.average_precision)
    if cells:
        assert np.isnan(table["stratified"]).all()
        return
    run = decision_patch_replacement(
        siamese, pair, batch.original_a, map_a, THRESHOLD, GENUINE, strata=face_rings(*SIZE)
    )
    np.testing.assert_allclose(table["stratified"].T[:-1], run.scores, atol=1e-6)


def test_shared_images_are_embedded_once(batch):
    siamese = small_siamese()
    methods = {str(k): RandomPairBaseline(siamese) for k in range(3)}
    seen = count_images(siamese)
    _, tables = measure_batch(siamese, methods, batch, THRESHOLD)
    # Patched A, B and original A once; each method replaces in 19 steps that are not yet the whole.
    assert sum(seen) <= 4 * (3 + 3 * 19)
    assert sum(seen) > 4 * (3 + 3 * 17)
    for table in tables.values():
        np.testing.assert_array_equal(table["replaced"], tables["0"]["replaced"])


def test_variants_share_one_sweep_and_keep_their_maps(batch):
    siamese = small_siamese()
    alone = {f"xface{v}": xface(siamese, v).attribute(batch.patched_a, batch.img_b) for v in (1, 3)}
    methods = {"xface3": xface(siamese, 3), "rnd": RandomPairBaseline(siamese)}
    methods |= {"xface1": xface(siamese, 1), "other": xface(siamese, 1, remove_offset=True)}
    sweep = methods["xface1"].num_forwards(batch.patched_a)
    seen = count_images(siamese)
    maps = dict(maps_of_a(methods, batch))
    assert list(maps) == list(methods)
    assert sum(seen) == 2 * sweep  # one for both variants, one for the other settings
    for name, (map_a, _) in alone.items():
        torch.testing.assert_close(maps[name], map_a)
    torch.testing.assert_close(
        maps["other"].mean((1, 2, 3)) == maps["xface1"].mean((1, 2, 3)),
        torch.zeros(4, dtype=torch.bool),
    )


def test_one_side_alone_is_covered_for_the_map_of_a(batch):
    siamese = small_siamese()
    method = xface(siamese, 2)
    seen = count_images(siamese)
    dict(maps_of_a({"xface2": method}, batch))
    assert sum(seen) == method.num_forwards(batch.patched_a, explain="a")


@pytest.mark.parametrize("name", ["rnd", "oracle", "noise"])
def test_what_is_drawn_depends_on_the_pair_alone(batch, name):
    siamese = small_siamese()
    generator = torch.Generator().manual_seed(5)
    method = {
        "rnd": RandomPairBaseline(siamese, generator),
        "oracle": PatchOracle(siamese, THRESHOLD, generator),
        "noise": xface(siamese, 2, fill="noise", generator=generator),
    }[name]
    before = generator.get_state()
    maps = dict(maps_of_a({name: method}, batch, seed=1))[name]
    torch.testing.assert_close(generator.get_state(), before)
    part = dict(maps_of_a({name: method}, batch.rows([2]), seed=1))[name]
    torch.testing.assert_close(part, maps[2:3], rtol=0, atol=0)
    assert not torch.equal(dict(maps_of_a({name: method}, batch, seed=2))[name], maps)
    assert not torch.equal(maps[0], maps[1])


def test_one_order_for_all_pairs_stays_one(batch):
    method = RandomPairBaseline(None, torch.Generator().manual_seed(5), shared_order=True)
    maps = dict(maps_of_a({"rnd": method}, batch))["rnd"]
    torch.testing.assert_close(maps, maps[:1].expand_as(maps), rtol=0, atol=0)
    torch.testing.assert_close(maps, method.attribute(batch.patched_a, batch.img_b)[0])


class Drawn:
    """A method that draws from torch's global generator."""

    def attribute(self, img_a, img_b):
        return torch.rand_like(img_a), torch.rand_like(img_b)


def test_the_global_generator_is_seeded_and_left_as_it_was(batch):
    before = torch.get_rng_state()
    first = dict(maps_of_a({"drawn": Drawn()}, batch))["drawn"]
    torch.testing.assert_close(torch.get_rng_state(), before)
    torch.rand(3)
    torch.testing.assert_close(dict(maps_of_a({"drawn": Drawn()}, batch))["drawn"], first)


class Broken:
    def __init__(self, result):
        self.result = result

    def attribute(self, img_a, img_b):
        return self.result


def test_a_method_that_gives_no_maps_is_named(batch):
    siamese = small_siamese()
    nan = torch.full_like(batch.patched_a, torch.nan)
    for result, kind, text in (
        (nan, TypeError, "mine: .*Tensor.*map of A"),
        ((nan, nan), ValueError, "mine: .*NaN"),
        ((nan[:, :, :3], nan), ValueError, "mine: .*shape"),
    ):
        with pytest.raises(kind, match=text):
            measure_batch(siamese, {"mine": Broken(result)}, batch, THRESHOLD)


def test_slow_methods_take_some_rows(batch):
    siamese = small_siamese()
    methods = {"slow": RandomPairBaseline(siamese), "rnd": RandomPairBaseline(siamese)}
    told = []
    _, tables = measure_batch(
        siamese,
        methods,
        batch,
        THRESHOLD,
        strata=face_rings(*SIZE),
        rows_of={"slow": [1, 3]},
        on_map=lambda name, count: told.append((name, count)),
    )
    assert sorted(told) == [("rnd", 4), ("slow", 2)]
    np.testing.assert_array_equal(tables["slow"]["pair"], [11, 13])
    for column in ("replaced", "stratified", "auroc"):
        np.testing.assert_allclose(tables["slow"][column], tables["rnd"][column][[1, 3]], atol=1e-6)
    _, tables = measure_batch(siamese, methods, batch, THRESHOLD, rows_of={"slow": []})
    assert list(tables) == ["rnd"]


def test_pairs_without_patches_have_no_localisation(batch):
    siamese = small_siamese()
    mask = batch.mask.clone()
    mask[1], mask[2] = False, True
    same = torch.where(mask[1], batch.patched_a[1], batch.original_a[1])[None]
    patched = torch.cat([batch.patched_a[:1], same, batch.patched_a[2:]])
    odd = PairBatch(batch.numbers, GENUINE, patched, batch.original_a, batch.img_b, mask)
    method = {"rnd": RandomPairBaseline(siamese)}
    _, tables = measure_batch(siamese, method, odd, THRESHOLD)
    assert np.isnan(tables["rnd"]["auroc"]).tolist() == [False, True, True, False]
    assert np.ptp(tables["rnd"]["replaced"][1]) < 1e-6
