"""A whole run from Python: what it measures, and that nothing depends on how it was done."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from captum.attr import NoiseTunnel, Saliency
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from captum_fv.attr import (
    OcclusionPairAttribution,
    PatchOracle,
    RandomPairBaseline,
    SimilarityArgumentGradient,
)
from captum_fv.attr.methods import METHODS as METHODS_BY_NAME
from captum_fv.benchmark import run_benchmark
from captum_fv.benchmark.columns import has_parquet, read_table
from captum_fv.benchmark.results import BenchmarkResults, read_config
from captum_fv.benchmark.settings import BenchmarkSettings
from captum_fv.metrics import decision_patch_replacement, patch_localisation, sensitivity_strata
from captum_fv.report import write_report
from captum_fv.siamese import SiameseCosine
from tests.support.nets import SmallNet, random_pair, small_siamese

COUNT = 14
GENUINE = np.arange(COUNT) % 2 == 0
QUICK = BenchmarkSettings(batch_size=4, seed=5, latency_pairs=0, subset={"slow": 5})
QUICK_RND = BenchmarkSettings(batch_size=4, latency_pairs=0, stratified=False)
METHODS = {
    "xssab": SimilarityArgumentGradient,
    "slow": lambda siamese, threshold: OcclusionPairAttribution(siamese, 2, (5, 9), 6),
    "rnd": lambda siamese, threshold: RandomPairBaseline(siamese),
    "oracle": PatchOracle,
}


def pairs():
    """Genuine pairs alike, impostors not, and patches that turn both round."""
    original_a, noise = random_pair(COUNT)
    genuine = torch.from_numpy(GENUINE)[:, None, None, None]
    img_b = torch.where(genuine, 0.8 * original_a + 0.2 * noise, noise)
    donor = torch.where(genuine, random_pair(COUNT, seed=7)[0], img_b)
    patched_a = original_a.clone()
    patched_a[:, :, 2:16, 3:15] = donor[:, :, 2:16, 3:15]
    return patched_a, original_a, img_b


def loader(**options):
    return DataLoader(TensorDataset(*pairs(), torch.from_numpy(GENUINE)), batch_size=4, **options)


def maps_file(folder):
    return folder / ("maps.parquet" if has_parquet() else "maps.npz")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    models = {"net": small_siamese(), "other": small_siamese(seed=3)}
    return run_benchmark(models, loader(), METHODS, folder, QUICK, command="mine"), folder


def test_a_run_is_what_the_metrics_say(run):
    results, _ = run
    patched_a, original_a, img_b = pairs()
    mask = (patched_a != original_a).any(1, keepdim=True)
    for name, seed in (("net", 0), ("other", 3)):
        siamese, found = small_siamese(seed=seed), results.models[name]
        np.testing.assert_allclose(
            found.clean_scores, siamese(original_a, img_b).detach(), atol=1e-6
        )
        np.testing.assert_array_equal(found.genuine, GENUINE)
        method = SimilarityArgumentGradient(siamese, found.threshold)
        map_a, _ = method.attribute(patched_a, img_b)
        strata = sensitivity_strata(siamese, (patched_a, img_b))
        own = found.methods["xssab"]
        for result, places in ((own.dpr, None), (own.stratified, strata)):
            expected = decision_patch_replacement(
                siamese,
                (patched_a, img_b),
                original_a,
                map_a,
                found.threshold,
                GENUINE,
                strata=places,
            )
            np.testing.assert_allclose(result.scores, expected.scores, atol=1e-5)
            np.testing.assert_allclose(result.repaired_scores, expected.repaired_scores, atol=1e-5)
        auroc, _ = patch_localisation(map_a, mask, found.patched_scores >= found.threshold)
        np.testing.assert_allclose(own.auroc, auroc, atol=1e-6)
        assert found.methods["oracle"].auroc.min() == 1
        assert found.methods["slow"].pairs.tolist() == [0, 3, 6, 10, 13]
        assert own.latency is None


def test_chunks_do_not_matter(run, tmp_path):
    results, _ = run
    # Batches of 4 again, but all in one chunk of a list.
    whole = [(*pairs(), GENUINE)]
    again = run_benchmark({"net": small_siamese()}, whole, METHODS, tmp_path, QUICK)
    for name, own in again.models["net"].methods.items():
        before = results.models["net"].methods[name]
        np.testing.assert_array_equal(own.pairs, before.pairs)
        np.testing.assert_allclose(own.dpr.scores, before.dpr.scores, atol=1e-5)


def test_a_run_goes_on_past_chunks_in_which_no_method_is_measured(tmp_path):
    few = BenchmarkSettings(batch_size=2, latency_pairs=0, stratified=False, subset={"rnd": 4})
    items = [tuple(part[k : k + 2] for part in (*pairs(), GENUINE)) for k in range(0, COUNT, 2)]
    rnd = {"rnd": METHODS["rnd"]}
    for _ in range(2):
        results = run_benchmark({"net": small_siamese()}, items, rnd, tmp_path, few)
        assert results.models["net"].methods["rnd"].pairs.tolist() == [0, 4, 9, 13]


@pytest.mark.extended
def test_the_folder_reads_back(run):
    results, folder = run
    again = BenchmarkResults.load(folder)
    assert again.config == results.config
    assert again.config["command"] == "mine"
    assert len(again.config["images_sha256"]) == 64
    table = read_table(folder / "maps")
    assert table["method"].tolist()[:COUNT] == ["xssab"] * COUNT
    assert table["model"].tolist()[-1] == "other"
    assert maps_file(folder).is_file()
    write_report(folder)
    for name in ("report.html", "tables/table2.md", "tables/table2_stratified.tex"):
        assert (folder / name).stat().st_size > 500


def test_the_same_run_measures_nothing_again(run, monkeypatch):
    results, folder = run
    monkeypatch.setattr("captum_fv.benchmark.stages.measure_batch", None)
    monkeypatch.setattr("captum_fv.benchmark.stages.score_batch", None)
    models = {"net": small_siamese(), "other": small_siamese(seed=3)}
    before = maps_file(folder).read_bytes()
    again = run_benchmark(models, loader(), METHODS, folder, QUICK, command="mine")
    assert again.config == results.config
    assert maps_file(folder).read_bytes() == before


def test_another_run_in_the_folder_is_refused(run):
    _, folder = run
    models = {"net": small_siamese(), "other": small_siamese(seed=3)}
    other = {"net": small_siamese(), "other": small_siamese(seed=4)}
    with pytest.raises(ValueError, match="holds a run with models"):
        run_benchmark(other, loader(), METHODS, folder, QUICK)
    with pytest.raises(ValueError, match="holds a run with seed 5, and this is 6"):
        run_benchmark(models, loader(), METHODS, folder, replace(QUICK, seed=6))
    with pytest.raises(ValueError, match="holds a run with methods"):
        run_benchmark(
            models,
            loader(),
            {"xssab": METHODS["xssab"]},
            folder,
            BenchmarkSettings(batch_size=4, seed=5, latency_pairs=0),
        )


def test_labels_the_other_way_round_are_spoken_of(tmp_path):
    reversed_ = DataLoader(TensorDataset(*pairs(), torch.from_numpy(~GENUINE)), batch_size=4)
    said = r"net: genuine pairs score lower than impostor pairs \(EER 1\.00\)"
    with pytest.warns(UserWarning, match=said):
        run_benchmark({"net": small_siamese()}, reversed_, ["rnd"], tmp_path, QUICK_RND)


def test_images_that_change_are_noticed(tmp_path):
    generator = torch.Generator().manual_seed(0)
    shuffled = loader(shuffle=True, generator=generator)
    with pytest.raises(ValueError, match="must not shuffle"):
        run_benchmark({"net": small_siamese()}, shuffled, METHODS, tmp_path, QUICK)


def test_a_black_box_method_of_ones_own(tmp_path):
    """A method of Captum's under another one, which is called with the pair as a tuple."""

    class Own:
        def __init__(self, siamese):
            self.tunnel = NoiseTunnel(Saliency(siamese))

        def attribute(self, img_a, img_b):
            return self.tunnel.attribute((img_a, img_b), nt_samples=2, stdevs=0.01)

    methods = {"own": lambda siamese, threshold: Own(siamese), "rnd": METHODS["rnd"]}
    settings = BenchmarkSettings(batch_size=4, latency_pairs=3, latency_seconds=0, stratified=False)
    results = run_benchmark({"net": small_siamese()}, loader(), methods, tmp_path, settings)
    own = results.models["net"].methods["own"]
    assert own.stratified is None
    assert own.latency.pairs == 3
    assert (own.latency.seconds > 0).all()
    assert own.latency.batched_total > 0


def test_an_edited_method_of_ones_own_is_another_run(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    source = "from captum_fv.attr import SimilarityArgumentGradient as Mine\n"
    call = [{"net": small_siamese()}, loader(), ["edited_method:Mine"], tmp_path / "run"]
    settings = BenchmarkSettings(batch_size=4, latency_pairs=0, stratified=False)
    for text in (source, source):
        (tmp_path / "edited_method.py").write_text(text)
        run_benchmark(*call, settings)
    (tmp_path / "edited_method.py").write_text(f"{source}# edited\n")
    with pytest.raises(ValueError, match="holds a run with own_methods_sha256"):
        run_benchmark(*call, settings)


def occlusion(stride):
    return lambda siamese, threshold: OcclusionPairAttribution(siamese, 2, (5, 9), stride)


CHANGES = {
    "another class": {"own": lambda siamese, threshold: SimilarityArgumentGradient(siamese, 0.5)},
    "another option": {"own": occlusion(5)},
    "not the user's": {"own": METHODS_BY_NAME["xssab"]},
}


@pytest.mark.parametrize("change", CHANGES)
def test_another_method_under_the_same_name_is_another_run(tmp_path, change):
    settings = BenchmarkSettings(batch_size=4, latency_pairs=0, stratified=False)
    call = {"models": {"net": small_siamese()}, "pairs": loader(), "out": tmp_path}
    for _ in range(2):
        run_benchmark(methods={"own": occlusion(6)}, settings=settings, **call)
    with pytest.raises(ValueError, match="holds a run with own_methods_sha256"):
        run_benchmark(methods=CHANGES[change], settings=settings, **call)


def first(answer):
    return answer[0]


def last(answer):
    return answer[-1]


@pytest.mark.parametrize("outputs", [(0, 1), (first, last), (0, first)])
def test_another_output_of_the_model_is_another_run(tmp_path, outputs):
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = small_siamese().backbone

        def forward(self, images):
            embeddings = self.net(images)
            return embeddings, embeddings.abs()

    settings = BenchmarkSettings(batch_size=4, latency_pairs=0, stratified=False)
    one, other = (SiameseCosine(Two().eval(), 0.5, 0.5, output=output) for output in outputs)
    for model in (one, one):
        run_benchmark({"net": model}, loader(), ["rnd"], tmp_path, settings)
    with pytest.raises(ValueError, match="holds a run with models"):
        run_benchmark({"net": other}, loader(), ["rnd"], tmp_path, settings)


def test_a_method_that_does_not_fit_a_model_stops_the_run_at_once(tmp_path):
    with pytest.raises(ValueError, match="xcos_w on net: head: got NoneType"):
        run_benchmark({"net": small_siamese()}, loader(), ["rnd", "xcos_w"], tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"models": {}}, "models: got none"),
        ({"models": small_siamese()}, "models: got SiameseCosine; want names and models"),
        ({"models": {"net": SmallNet()}}, r"models\['net'\]: got SmallNet; want a SiameseCosine"),
        ({"models": {"net\udcff": small_siamese()}}, r"not UTF-8, in .*net\\udcff"),
        ({"methods": ["xsab"]}, "unknown method 'xsab'"),
        ({"methods": "xssab"}, r"want a list, as \['xssab'\]"),
        ({"methods": ["torch:nothing"]}, "nothing"),
        ({"methods": ["torch:nn"]}, "torch:nn.*got module; want a class"),
        ({"methods": ["no_such_module:Class"]}, "no_such_module"),
        ({"settings": BenchmarkSettings(subset={"xface": 3})}, "xface is not measured"),
        ({"pairs": [(*pairs(), np.ones(COUNT))]}, "14 genuine and 0 impostor"),
        ({"settings": BenchmarkSettings(subset={"slow": 1})}, "slow: got 1 genuine and 0 impostor"),
    ],
)
def test_bad_calls_are_named(change, says, tmp_path):
    call = {"models": {"net": small_siamese()}, "pairs": loader(), "methods": METHODS}
    call |= {"settings": QUICK} | change
    with pytest.raises((TypeError, ValueError), match=says):
        run_benchmark(**call, out=tmp_path)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"batch_size": 0}, "batch_size: got 0"),
        ({"latency_pairs": -1}, "latency_pairs: got -1"),
        ({"audit_pairs": -1}, "audit_pairs: got -1"),
        ({"subset": {"rnd": 0}}, "got 0 pairs for rnd"),
    ],
)
def test_bad_settings_are_named(settings, says):
    with pytest.raises(ValueError, match=says):
        BenchmarkSettings(**settings)


def test_a_batch_size_that_nobody_says_is_that_of_the_run(tmp_path):
    models, settings = {"net": small_siamese()}, replace(QUICK_RND, batch_size=None)
    builders = {"rnd": METHODS["rnd"]}
    first = run_benchmark(models, loader(), builders, tmp_path / "a", settings)
    assert read_config(tmp_path / "a")["batch_size"] == 32
    whole = run_benchmark(models, loader(), builders, tmp_path / "b", QUICK_RND)
    again = run_benchmark(models, loader(), builders, tmp_path / "b", settings)
    assert read_config(tmp_path / "b")["batch_size"] == 4
    for result in (whole, again):
        np.testing.assert_allclose(
            result.models["net"].methods["rnd"].dpr.scores,
            first.models["net"].methods["rnd"].dpr.scores,
            atol=1e-6,
        )
    with pytest.raises(ValueError, match="batch_size"):
        run_benchmark(models, loader(), builders, tmp_path / "b", replace(settings, batch_size=5))
