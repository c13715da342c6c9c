"""A benchmark run: models by methods by pairs -> a folder, by as many processes as there are."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from captum_fv.attr.methods import Builder, expand_names, method_builder
from captum_fv.benchmark import columns, provenance
from captum_fv.benchmark.folder import RunFolder
from captum_fv.benchmark.forecast import Forecast
from captum_fv.benchmark.intact import check_untouched, state_of
from captum_fv.benchmark.operating_point import given_thresholds
from captum_fv.benchmark.results import CONFIG, BenchmarkResults, read_config
from captum_fv.benchmark.settings import PAIRS, BenchmarkSettings
from captum_fv.benchmark.source import Item, as_source
from captum_fv.benchmark.stages import Run
from captum_fv.benchmark.workers import several_processes, torchrun_workers
from captum_fv.data.patched_pairs import PatchedPairs
from captum_fv.siamese.batch_size import images_at_once
from captum_fv.siamese.model import SiameseCosine, check_siamese


def run_benchmark(
    models: Mapping[str, SiameseCosine],
    pairs: PatchedPairs | Iterable[Item],
    methods: Sequence[str] | Mapping[str, Builder],
    out: str | Path,
    settings: BenchmarkSettings | None = None,
    *,
    device: str | torch.device = "cpu",
    workers: int = 0,
    command: str | None = None,
    show_progress: bool = False,
) -> BenchmarkResults:
    """Measure methods on models over patched pairs, and write a run folder.

    Of every model: scores of the clean pairs and their threshold; errors of the patched pairs; of
    each method DPR, stratified DPR, patch localisation and latency, and on demand deletion,
    insertion and sanity. The same call goes on where an interrupted one stopped, and its results
    are the same, times aside. Under torchrun the processes share the work. Memory does not grow
    with the number of pairs, but for their scores.

    Args:
        models: Name -> model, on the device.
        pairs: PatchedPairs, or a DataLoader or other iterable of batches (patched_a, original_a,
            img_b, genuine): images (n, C, H, W) as the models take them, and labels (n,). It must
            give the same batches in every pass.
        methods: Names, as of METHODS, a group or "module:Class"; or name -> a function (siamese,
            threshold) -> method.
        out: The run's folder: config.json, scores, maps, checks and latency as .parquet (with
            pyarrow) or .npz. `write_report(out)` makes the page of it.
        settings: What is measured, and how.
        device: Where the models are.
        workers: Processes that load and patch the photos of PatchedPairs ahead of the models, each
            with photos of its own; 0: this one. The results are the same bytes for any number.
        command: What config.json calls the run.
        show_progress: Print pairs per second and the time to the end.

    Returns:
        The run's results; `BenchmarkResults.load(out)` reads them again.

    Raises:
        ValueError: A method that does not fit a model, a folder of another run or in use, pairs of
            one kind alone, images that changed under the run, a method's map that is none.
    """
    settings = settings or BenchmarkSettings()
    if not isinstance(methods, Mapping):
        methods = {name: method_builder(name) for name in expand_names(methods)}
    if unknown := settings.subset.keys() - methods.keys():
        raise ValueError(
            f"subset: {', '.join(sorted(unknown))} is not measured; there are {', '.join(methods)}"
        )
    _check_models(models, methods, settings)
    if settings.batch_size is None:
        settings = replace(settings, batch_size=_pairs_at_once(models, pairs, device, Path(out)))
    source = as_source(pairs, settings.pairs_at_once, workers=workers)
    config = {
        "command": command,
        "device": torch.device(device).type,
        "tables": "parquet" if columns.has_parquet() else "npz",
        "data": source.identity(),
        **provenance.of_models(models),
        **provenance.of_methods(methods, models.values()),
        **settings.config(),
        "thresholds": given_thresholds(models, settings),
    }
    _check_text(config)
    with torchrun_workers() as ranks:
        folder = RunFolder(out, config)
        forecast = Forecast(ranks.label, show_progress)
        run = Run(models, methods, source, folder, settings, device, ranks, forecast)
        if ranks.is_first:
            folder.open()
        try:
            ranks.wait()
            run.measure_all()
            if ranks.is_first:
                run.finish()
            ranks.wait()
        finally:
            folder.close()
        return BenchmarkResults.load(out)


def _pairs_at_once(
    models: Mapping[str, SiameseCosine], pairs: Any, device: str | torch.device, out: Path
) -> int:
    """The batch size of a run, as `BenchmarkSettings` says, where nobody says."""
    if (out / CONFIG).is_file():
        begun = read_config(out).get("batch_size")
        return begun if isinstance(begun, int) else PAIRS
    on_cuda = torch.device(device).type == "cuda" and isinstance(pairs, PatchedPairs)
    if not on_cuda or several_processes():  # whose trials may end differently
        return PAIRS
    images = torch.rand(1, 3, *pairs.places.size, device=device)
    found = (images_at_once(m, images, gradients=True, batch_size=None) for m in models.values())
    return min(PAIRS, *(count // 2 for count in found))


def _check_text(config: Mapping[str, Any]) -> None:
    """Raise a ValueError for names that no report can hold, before anything is measured."""
    text = json.dumps(config, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        near = ascii(text[max(0, error.start - 40) : error.end + 20])
        raise ValueError(f"a name that is not UTF-8, in {near}; rename the file") from error


def _check_models(
    models: Mapping[str, SiameseCosine], methods: Mapping[str, Builder], settings: BenchmarkSettings
) -> None:
    """Raise for what is no model, or cannot be measured so, before anything is measured."""
    if not isinstance(models, Mapping):
        raise TypeError(
            f'models: got {type(models).__name__}; want names and models, as {{"mine": siamese}}'
        )
    if not models:
        raise ValueError("models: got none; want a name and a SiameseCosine for each")
    for model, siamese in models.items():
        check_siamese(siamese, f"models[{model!r}]")
        if settings.audit_pairs and next(siamese.parameters(), None) is None:
            raise ValueError(
                f"audit_pairs: {model} has no parameters, which the sanity checks make random; "
                "want 0 for it"
            )
        if settings.audit_pairs and "black" in settings.lu_fills and siamese.black is None:
            raise ValueError(
                f"lu_fills: {model} does not say which pixel value is black; give it mean and std, "
                'or write lu_fills=["blur"]'
            )
        before = state_of(siamese)
        for name, build in methods.items():
            try:
                build(siamese, 0.0)
                check_untouched(siamese, before, "its constructor")
            except (TypeError, ValueError) as error:
                raise ValueError(f"{name} on {model}: {error}") from error
