"""Columns in files, and what a finished run folder says."""

import json
import sys

import numpy as np
import pytest

from captum_fv.benchmark.columns import (
    concatenate,
    has_parquet,
    npz_bytes,
    parquet_bytes,
    read_table,
    sha256,
)
from captum_fv.benchmark.results import BenchmarkResults
from captum_fv.metrics import eer_threshold, error_rates
from captum_fv.metrics.dpr_result import DPRResult

GENUINE = np.array([True, True, False, False, True, False])
PAIRS = np.arange(6)


def scores_table(models=("net", "other")):
    rng = np.random.default_rng(0)
    return concatenate(
        [
            {
                "model": np.full(6, model),
                "pair": PAIRS,
                "genuine": GENUINE,
                "clean_score": GENUINE + rng.uniform(-0.4, 0.4, 6),
                "patched_score": rng.uniform(-1, 1, 6),
            }
            for model in models
        ]
    )


def maps_table(model="net", method="fast", pairs=PAIRS, stratified=True):
    rng = np.random.default_rng(len(method))
    replaced = rng.uniform(-1, 1, (len(pairs), 5))
    within_strata = -replaced if stratified else np.full_like(replaced, np.nan)
    scores = scores_table()
    for steps in (replaced, within_strata) if stratified else (replaced,):
        steps[:, -1] = scores["clean_score"][scores["model"] == model][pairs]
    return {
        "model": np.full(len(pairs), model),
        "method": np.full(len(pairs), method),
        "pair": np.asarray(pairs),
        "replaced": replaced,
        "stratified": within_strata,
        "auroc": rng.random(len(pairs)),
        "average_precision": rng.random(len(pairs)),
    }


def test_results_are_the_tables_by_model_and_method():
    scores = scores_table()
    slow = maps_table(method="slow", pairs=[0, 2, 3, 4], stratified=False)
    maps = concatenate([maps_table(), slow, maps_table("other")])
    latency = {
        "model": np.array(["net", "net"]),
        "method": np.array(["slow", "slow"]),
        "seconds": np.array([2.0, 4.0]),
        "batched_seconds": np.array([1.0, 1.5]),
    }
    results = BenchmarkResults.from_tables({"seed": 3}, scores, maps, latency)
    assert list(results.models) == ["net", "other"]
    net = results.models["net"]
    assert list(net.methods) == ["fast", "slow"]
    assert net.threshold == eer_threshold(scores["clean_score"][:6], GENUINE)
    assert net.patched_errors == error_rates(scores["patched_score"][:6], GENUINE, net.threshold)
    fast = net.methods["fast"]
    replaced = maps_table()["replaced"]
    expected = DPRResult(replaced.T[:-1], replaced[:, -1], GENUINE, net.threshold)
    assert fast.dpr.fmr_auc == expected.fmr_auc
    np.testing.assert_array_equal(fast.stratified.scores, -expected.scores)
    assert net.methods["slow"].stratified is None
    assert net.methods["slow"].latency.seconds.tolist() == [2, 4]
    assert net.methods["slow"].latency.batched_total == 2.5
    assert fast.latency is None

    alike = net.on_pairs_of("slow")
    assert list(alike) == ["fast", "slow"]
    np.testing.assert_array_equal(alike["fast"].dpr.scores, replaced[[0, 2, 3, 4], :4].T)
    np.testing.assert_array_equal(alike["fast"].dpr.genuine, GENUINE[[0, 2, 3, 4]])
    assert alike["slow"].dpr.difference_to(alike["slow"].dpr).value == 0
    assert list(net.on_pairs_of("fast")) == ["fast"]
    with pytest.raises(ValueError, match="among the 4"):
        net.methods["slow"].on(np.array([1]))


@pytest.mark.parametrize("kind", ["npz", "parquet"])
def test_a_run_folder_reads_back(tmp_path, kind):
    if kind == "parquet" and not has_parquet():
        pytest.skip("pyarrow is not installed")
    encode = npz_bytes if kind == "npz" else parquet_bytes
    tables = {"scores": scores_table(), "maps": maps_table(stratified=False)}
    for name, table in tables.items():
        (tmp_path / f"{name}.{kind}").write_bytes(encode(table))
        assert encode(table) == encode(table)
        back = read_table(tmp_path / name)
        assert list(back) == list(table)
        for column, values in table.items():
            np.testing.assert_array_equal(back[column], values)
    (tmp_path / "config.json").write_text(json.dumps({"seed": 3}))
    results = BenchmarkResults.load(tmp_path)
    assert results.config == {"seed": 3}
    assert results.models["net"].methods["fast"].latency is None


def test_what_is_no_run_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"config\.json"):
        BenchmarkResults.load(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ValueError, match="not JSON"):
        BenchmarkResults.load(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(FileNotFoundError, match="has not ended"):
        BenchmarkResults.load(tmp_path)


def test_the_hash_follows_names_types_shapes_and_values():
    table = {"a": np.arange(4.0), "b": np.array(["x"])}
    same = {"b": np.array(["x"]), "a": np.arange(4.0)}
    assert sha256(table) == sha256(same)
    for other in (
        {"a": np.arange(4.0), "c": np.array(["x"])},
        {"a": np.arange(4), "b": np.array(["x"])},
        {"a": np.arange(4.0).reshape(2, 2), "b": np.array(["x"])},
        {"a": np.array([0.0, 1, 2, 4]), "b": np.array(["x"])},
    ):
        assert sha256(other) != sha256(table)


def test_results_show_themselves_shortly_and_as_frames(monkeypatch):
    slow = maps_table(method="slow", pairs=[0, 2, 3, 4], stratified=False)
    other = maps_table("other") | {"model": np.full(6, "<other>")}
    maps = concatenate([maps_table(), slow, other])
    results = BenchmarkResults.from_tables({}, scores_table(("net", "<other>")), maps)
    dpr = results.models["net"].methods["slow"].dpr
    assert repr(dpr).startswith("DPRResult(4 pairs, 4 steps, threshold ")
    assert f"FMR area {dpr.fmr_auc:.2f}, FNMR area {dpr.fnmr_auc:.2f}" in repr(dpr)
    assert len(repr(results)) < 300
    assert repr(results.models["net"]) in repr(results)
    html = results._repr_html_()
    assert html.count("<tr>") == 1 + 3
    assert "<other>" not in html
    assert dpr._repr_html_().count("<tr>") == 1 + 4

    pytest.importorskip("pandas")
    frame = results.to_pandas()
    assert len(frame) == 6 + 4 + 6
    own = frame[(frame.model == "net") & (frame.method == "slow")]
    assert own.pair.tolist() == [0, 2, 3, 4]
    assert own.genuine.tolist() == GENUINE[[0, 2, 3, 4]].tolist()
    assert own.area[~own.genuine].mean() == pytest.approx(dpr.fmr_auc)
    assert own.stratified_area.isna().all()
    assert own.clean_score.tolist() == results.models["net"].clean_scores[own.pair].tolist()
    curves = dpr.to_pandas()
    assert curves.fnmr.tolist() == dpr.fnmr.tolist()

    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"this needs pandas .*; pip install pandas"):
        dpr.to_pandas()
