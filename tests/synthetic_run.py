"""A benchmark run made of random scores: two models, fast methods and a slow one."""

import numpy as np

from captum_fv.columns import concatenate
from captum_fv.results import BenchmarkResults

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
        concatenate(maps),
        concatenate(latency) if timed else None,
    )
