"""Deletion, insertion and sanity in a run: naive loops, tables, and a run that reads back."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import nn

from captum_fv.attr import PatchOracle, RandomPairBaseline, SimilarityArgumentGradient
from captum_fv.benchmark import run_benchmark
from captum_fv.benchmark.audit import STEPS, MapAudit, audit_method
from captum_fv.benchmark.results import BenchmarkResults
from captum_fv.benchmark.settings import BenchmarkSettings
from captum_fv.data.patched_pairs import PairBatch
from captum_fv.metrics import sanity_suite
from captum_fv.report.tables import benchmark_tables
from captum_fv.siamese import SiameseCosine
from tests.support.nets import SIZE, THRESHOLD, random_pair, small_siamese

COUNT = 14
GENUINE = np.arange(COUNT) % 3 == 0
SETTINGS = BenchmarkSettings(batch_size=4, sanity_pairs=9)


def batch(patched=True):
    original_a, img_b = random_pair(COUNT)
    mask = torch.zeros(COUNT, 1, *SIZE, dtype=torch.bool)
    mask[:, :, 2:12, 3:9] = patched
    patched_a = torch.where(mask, random_pair(COUNT, seed=5)[0], original_a)
    return PairBatch(np.arange(COUNT), GENUINE, patched_a, original_a, img_b, mask)


@pytest.fixture(scope="module")
def siamese():
    return small_siamese()


@pytest.fixture(scope="module")
def table(siamese):
    return audit_method(SimilarityArgumentGradient, siamese, batch(), THRESHOLD, SETTINGS)


def test_curves_are_those_of_a_naive_loop(siamese, table):
    pairs = batch()
    maps, _ = SimilarityArgumentGradient(siamese, THRESHOLD).attribute(
        pairs.original_a, pairs.img_b
    )
    height, width = SIZE
    for k in (0, 1, 13):
        img_a, img_b = pairs.original_a[k].numpy(), pairs.img_b[k : k + 1]
        blurred = gaussian_filter(img_a, (0, height / 14, height / 14), mode="mirror")
        values = maps[k].mean(0).flatten().numpy()
        order = np.argsort(-values if GENUINE[k] else values, kind="stable")
        for step in (0, 1, 7, STEPS):
            there = np.zeros(height * width, dtype=bool)
            there[order[: round(height * width * step / STEPS)]] = True
            there = there.reshape(SIZE)
            for curve, inside, outside in (
                ("deletion", blurred, img_a),
                ("insertion", img_a, blurred),
            ):
                image = torch.from_numpy(np.where(there, inside, outside))[None]
                expected = siamese(image, img_b).item()
                assert table[curve][k, step] == pytest.approx(expected, abs=1e-5)


def test_sanity_is_the_suites_on_a_few_pairs(siamese, table):
    pairs = batch()
    rows = np.flatnonzero(np.isfinite(table["swap_error"]))
    assert len(rows) == SETTINGS.sanity_pairs
    expected = sanity_suite(
        lambda model: SimilarityArgumentGradient(model, THRESHOLD),
        siamese,
        (pairs.patched_a[rows], pairs.img_b[rows]),
        pairs.original_a[rows],
        pairs.mask[rows],
        THRESHOLD,
    )
    found = MapAudit.from_table(table, GENUINE, THRESHOLD)
    for name in ("randomised_signed", "randomised_absolute", "swap_error", "identity_similar"):
        np.testing.assert_allclose(getattr(found.sanity, name), getattr(expected, name), atol=1e-5)
    assert found.sanity.localisation_gain == pytest.approx(expected.localisation_gain, abs=1e-6)
    assert found.curves["genuine"].deletion.shape == (STEPS + 1, GENUINE.sum())
    assert found.pairs == COUNT


def test_pairs_without_patches_have_curves_and_no_sanity(siamese):
    table = audit_method(
        SimilarityArgumentGradient, siamese, batch(patched=False), THRESHOLD, SETTINGS
    )
    found = MapAudit.from_table(table, GENUINE, THRESHOLD)
    assert found.sanity is None
    assert found.pairs == COUNT


def test_what_is_told_the_patches_is_left_out(siamese):
    table = audit_method(PatchOracle, siamese, batch(), THRESHOLD, SETTINGS)
    assert {len(values) for values in table.values()} == {0}


METHODS = {
    "xssab": SimilarityArgumentGradient,
    "oracle": PatchOracle,
    "rnd": lambda siamese, threshold: RandomPairBaseline(siamese),
}


def test_a_run_has_its_checks_in_tables_and_reads_back(siamese, tmp_path):
    pairs = batch()
    items = [(pairs.patched_a, pairs.original_a, pairs.img_b, pairs.genuine)]
    settings = BenchmarkSettings(audit_pairs=9, latency_pairs=0)
    results = run_benchmark({"net": siamese}, items, METHODS, tmp_path, settings)
    again = BenchmarkResults.load(tmp_path).models["net"].methods
    own = results.models["net"].methods["xssab"].audit
    np.testing.assert_array_equal(
        again["xssab"].audit.curves["impostor"].insertion, own.curves["impostor"].insertion
    )
    assert own.pairs == 9
    assert again["oracle"].audit is None
    tables = {table.name: table for table in benchmark_tables(results)}
    deletion = {row[1]: row for row in tables["deletion"].rows}
    chance = again["rnd"].audit.curves["genuine"]
    assert deletion["rnd"][3] == chance.auc("deletion")
    assert deletion["xssab"][3] == own.curves["genuine"].difference_to(chance, "deletion")
    sanity = {row[1]: str(row[-1]) for row in tables["sanity"].rows}
    assert "signed map survives random weights" in sanity["rnd"]
    assert "random weights" not in sanity["xssab"]
    assert sanity.keys() == {"xssab", "rnd"}


def test_a_model_without_weights_is_named_before_anything_is_measured(tmp_path):
    model = SiameseCosine(nn.Flatten())
    with pytest.raises(ValueError, match="audit_pairs: flat has no parameters"):
        run_benchmark(
            {"flat": model}, [], METHODS, tmp_path / "run", BenchmarkSettings(audit_pairs=4)
        )
    assert not (tmp_path / "run").exists()
