"""Benchmark runs to test with: one of random scores, one of a small network on noise."""

import numpy as np
import torch

from captum_fv.attr.controls import PatchOracle, RandomPairBaseline
from captum_fv.attr.xface import OcclusionPairAttribution
from captum_fv.attr.xssab import SimilarityArgumentGradient
from captum_fv.benchmark.columns import concatenate
from captum_fv.benchmark.measure import measure_batch
from captum_fv.benchmark.results import BenchmarkResults
from captum_fv.data.patched_pairs import PairBatch
from captum_fv.metrics.rates import eer_threshold
from tests.support.nets import SIZE, random_pair, small_siamese

COUNT, STEPS = 60, 20
PAIRS = np.arange(COUNT)
GENUINE = PAIRS % 2 == 0
SUBSET = np.arange(0, COUNT, 2) + np.arange(COUNT // 2) % 2
"""Every other pair, of both classes: those that the slow method was measured on."""

MODELS = ("net", "a_b & <script>alert(1)</script>")
METHODS = {"fast": 0.5, "rnd": 1.5, "centre": 0.7, "oracle": 0.4, "sl|ow_2": 0.6}
"""How fast each method's errors go away: the smaller, the faster."""


def synthetic_run(models=MODELS, methods=METHODS, timed=True, stratified=True):
    """Scores that start in error and cross the threshold at a step drawn for each pair."""
    rng = np.random.default_rng(0)
    scores, maps, latency = [], [], []
    for model in models:
        clean = np.where(GENUINE, 0.6, 0.1) + rng.uniform(-0.28, 0.28, COUNT)
        patched = clean + np.where(GENUINE, -1, 1) * rng.uniform(0.1, 0.9, COUNT)
        columns = {"pair": PAIRS, "genuine": GENUINE, "clean_score": clean}
        scores.append({"model": np.full(COUNT, model)} | columns | {"patched_score": patched})
        for method, speed in methods.items():
            pairs = SUBSET if method.startswith("sl") else PAIRS
            share = np.arange(STEPS + 1) / STEPS
            replaced = []
            for _ in range(2):
                power = speed * rng.uniform(0.5, 2, (len(pairs), 1))
                replaced.append(
                    patched[pairs, None] + share**power * (clean - patched)[pairs, None]
                )
            if not stratified:
                replaced[1][:] = np.nan
            names = {"model": np.full(len(pairs), model), "method": np.full(len(pairs), method)}
            measured = dict(zip(("replaced", "stratified"), replaced, strict=True))
            places = dict(
                zip(("auroc", "average_precision"), rng.random((2, len(pairs))), strict=True)
            )
            maps.append(names | {"pair": pairs} | measured | places)
            seconds = dict(zip(("seconds", "batched_seconds"), rng.random((2, 8)), strict=True))
            latency.append({key: value[:8] for key, value in names.items()} | seconds)
    return BenchmarkResults.from_tables(
        {"command": "captum-fv benchmark --out <b>", "versions": {"torch": "2"}, "seed": 3},
        concatenate(scores),
        concatenate(maps) if maps else {"model": np.array([]), "method": np.array([])},
        concatenate(latency) if timed else None,
    )


def measured_run(names=("fast", "rnd", "oracle", "xface2", "xface3")):
    """A small network's real run on noise: results, {model: {name: method}}, and its pairs."""
    siamese = small_siamese()
    patched_a, img_b = random_pair(COUNT)
    mask = torch.zeros(COUNT, 1, *SIZE, dtype=torch.bool)
    mask[:, :, 2:12, 3:14] = True
    original_a = torch.where(mask, 0.9 * img_b + 0.1 * patched_a, patched_a)
    whole = PairBatch(PAIRS, GENUINE, patched_a, original_a, img_b, mask)
    with torch.no_grad():
        clean = siamese(original_a, img_b).double().numpy()
    threshold = eer_threshold(clean, GENUINE)
    available = {
        "fast": SimilarityArgumentGradient(siamese, threshold),
        "rnd": RandomPairBaseline(siamese),
        "oracle": PatchOracle(siamese, threshold, torch.Generator()),
        "xface2": OcclusionPairAttribution(siamese, 2, patch_sizes=(3, 5)),
        "xface3": OcclusionPairAttribution(siamese, 3, patch_sizes=(3, 5)),
    }
    methods = {name: available[name] for name in names}
    patched, tables = measure_batch(siamese, methods, whole, threshold, seed=7)
    columns = {"pair": PAIRS, "genuine": GENUINE, "clean_score": clean}
    scores = {"model": np.full(COUNT, "net")} | columns | {"patched_score": patched.numpy()}
    maps = [
        {"model": np.full(COUNT, "net"), "method": np.full(COUNT, name)} | table
        for name, table in tables.items()
    ]
    results = BenchmarkResults.from_tables({"seed": 7}, scores, concatenate(maps))
    return results, {"net": methods}, whole.rows, siamese
