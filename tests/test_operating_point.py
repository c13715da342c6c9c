"""Where decisions are made: as given, the model's own, for an FMR, or at the EER."""

import json

import numpy as np
import pytest

from captum_fv.benchmark import BenchmarkResults, BenchmarkSettings, run_benchmark
from captum_fv.cli import main
from captum_fv.metrics import eer_threshold, error_rates
from captum_fv.metrics.rates import fmr_threshold
from captum_fv.models import load_backbone
from captum_fv.report.tables import error_table
from tests.support.nets import small_siamese
from tests.test_benchmark import GENUINE, loader, pairs

QUICK = {"batch_size": 4, "stratified": False, "latency_pairs": 0}


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_the_lowest_threshold_that_keeps_the_fmr(kind):
    rng = np.random.default_rng(0)
    scores = np.round(rng.random(300), 2).astype(kind)  # with many ties
    genuine = np.arange(300) % 3 == 0
    for fmr in (0.001, 0.005, 0.01, 0.29, 0.5, 0.999):
        threshold = fmr_threshold(scores, genuine, fmr)
        assert error_rates(scores, genuine, threshold).fmr <= fmr
        lower = scores[scores < threshold].max()
        assert error_rates(scores, genuine, float(lower)).fmr > fmr


def run(folder, **settings):
    models = {"net": small_siamese(), "other": small_siamese(seed=3)}
    for name, siamese in models.items():
        siamese.backbone.threshold = {"net": 0.9, "other": 0.8}[name]
    return run_benchmark(models, loader(), ["rnd"], folder, BenchmarkSettings(**QUICK, **settings))


@pytest.mark.parametrize(
    ("settings", "wanted", "words"),
    [
        ({"threshold": 0.7}, {"net": 0.7, "other": 0.7}, "as given"),
        ({"threshold": "model"}, {"net": 0.9, "other": 0.8}, "as given"),
        ({"fmr": 0.3}, fmr_threshold, "FMR at most 0.3"),
        ({}, eer_threshold, "EER"),
    ],
)
def test_a_run_decides_there(tmp_path, settings, wanted, words):
    run(tmp_path, **settings)
    results = BenchmarkResults.load(tmp_path)
    assert results.config["fmr"] == settings.get("fmr")
    original_a, img_b = pairs()[1:]
    for name, seed in (("net", 0), ("other", 3)):
        model = results.models[name]
        clean = small_siamese(seed=seed)(original_a, img_b).detach().numpy()
        extra = (settings["fmr"],) if "fmr" in settings else ()
        expected = wanted[name] if isinstance(wanted, dict) else wanted(clean, GENUINE, *extra)
        assert model.threshold == pytest.approx(expected, abs=1e-6)
        assert model.methods["rnd"].dpr.threshold == model.threshold
    assert error_table(results).caption.endswith(f"threshold: {words}.")
    if settings:
        with pytest.raises(ValueError, match="holds a run with"):
            run(tmp_path)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"threshold": 0.3, "fmr": 0.1}, "got both"),
        ({"threshold": 31}, r"threshold: got 31; want a cosine in \[-1, 1\]"),
        ({"threshold": float("nan")}, "threshold: got nan"),
        ({"fmr": 0}, "fmr: got 0; want a share above 0"),
        ({"fmr": 1.0}, "fmr: got 1.0"),
    ],
)
def test_bad_ones_are_named(settings, says):
    with pytest.raises(ValueError, match=says):
        BenchmarkSettings(**settings)


def test_a_model_without_a_threshold_of_its_own_is_named(tmp_path):
    settings = BenchmarkSettings(**QUICK, threshold="model")
    with pytest.raises(ValueError, match="net brings none of its own; want a number, or an FMR"):
        run_benchmark({"net": small_siamese()}, loader(), ["rnd"], tmp_path / "run", settings)
    assert not (tmp_path / "run").exists()


@pytest.mark.extended
@pytest.mark.filterwarnings("default:.*are few")
@pytest.mark.parametrize(
    ("command", "options", "threshold"),
    [
        ("dpr", ["--threshold", "0.31"], 0.31),
        ("dpr", ["--threshold", "model"], load_backbone("demo").threshold),
        ("benchmark", ["--threshold", "0.31", "--latency-pairs", "0", "--no-faces"], 0.31),
    ],
)
def test_commands_take_it(tmp_path, capsys, command, options, threshold):
    out = tmp_path / "run"
    call = [command, "--limit", "20", "--methods", "rnd", "--out", str(out), *options]
    assert main(call) == 0
    printed = capsys.readouterr()
    assert f"{threshold:.4f}" in printed.out
    assert "as given" in printed.out
    assert json.loads((out / "config.json").read_text())["thresholds"] == {"demo": threshold}
    assert "warning: 10 genuine and 10 impostor pairs are few" in printed.err


@pytest.mark.extended
@pytest.mark.filterwarnings("default:.*are few")
def test_an_fmr_on_the_command_line(tmp_path, capsys):
    call = ["dpr", "--limit", "100", "--methods", "rnd", "--out", str(tmp_path), "--fmr", "0.1"]
    assert main(call) == 0
    printed = capsys.readouterr()
    assert "(FMR at most 0.1)" in printed.out
    assert "are few" not in printed.err
    model = BenchmarkResults.load(tmp_path).models["demo"]
    clean = error_rates(model.clean_scores, model.genuine, model.threshold)
    assert 0.08 <= clean.fmr <= 0.1
    with pytest.raises(SystemExit):
        main([*call[:-2], "--threshold", "high"])
    assert "argument --threshold: got 'high'; want a cosine" in capsys.readouterr().err


def test_a_seed_without_effect_is_refused(tmp_path, capsys):
    written = str(tmp_path / "set")
    assert main(["patch", "--limit", "8", "--seed", "5", "--out", written]) == 0
    call = ["--data", written, "--methods", "rnd", "--seed", "5", "--out"]
    assert main(["dpr", *call, str(tmp_path / "dpr")]) == 2
    said = capsys.readouterr().err
    assert f"--seed: the patches in {written} are drawn already; leave it out" in said
    assert not (tmp_path / "dpr").exists()
    quick = ["--latency-pairs", "0", "--no-strata", "--no-faces"]
    assert main(["benchmark", *call, str(tmp_path / "benchmark"), *quick]) == 0  # of random maps
    config = json.loads((tmp_path / "benchmark/config.json").read_text())
    assert config["seed"] == 5
