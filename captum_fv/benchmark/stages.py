"""The stages of a run: scores, maps, audits, latency, and the tables of the whole."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import numpy.typing as npt
import torch

from captum_fv.attr.methods import Builder
from captum_fv.benchmark import columns
from captum_fv.benchmark.audit import audit_method
from captum_fv.benchmark.columns import Table
from captum_fv.benchmark.folder import RunFolder
from captum_fv.benchmark.forecast import Forecast
from captum_fv.benchmark.intact import check_same_scores, untouched
from captum_fv.benchmark.latency import time_method
from captum_fv.benchmark.measure import measure_batch, score_batch
from captum_fv.benchmark.operating_point import OperatingPoint
from captum_fv.benchmark.results import AUDIT, LATENCY, MAPS, SCORES
from captum_fv.benchmark.settings import STRATA, BenchmarkSettings, evenly
from captum_fv.benchmark.source import PairSource
from captum_fv.benchmark.workers import Workers
from captum_fv.data.patched_pairs import PairBatch
from captum_fv.metrics.rates import equal_error_rate, warn_of_few
from captum_fv.metrics.strata import equal_strata, summed_sensitivity
from captum_fv.siamese.model import SiameseCosine


@dataclass(frozen=True)
class _Scores:
    """A model's scores of all pairs, and what follows from them."""

    table: Table
    threshold: float
    strata: torch.Tensor | None


@dataclass
class Run:
    """One process's part of a run: the stages, in the order in which they are called.

    Every stage is cut into chunks, and a chunk is measured only if the folder does not have it: so
    an interrupted run goes on where it stopped, and it does not matter which process measures what.

    Args:
        models: Name -> model, on the device.
        builders: Name -> what builds the method for a model and its threshold.
        source: The pairs.
        folder: Where the chunks and the tables go.
        settings: What is measured.
        device: Where the models are.
        workers: The processes that share the run.
        forecast: Told of what is done.
    """

    models: Mapping[str, SiameseCosine]
    builders: Mapping[str, Builder]
    source: PairSource
    folder: RunFolder
    settings: BenchmarkSettings
    device: str | torch.device
    workers: Workers
    forecast: Forecast
    scores: dict[str, _Scores] = field(default_factory=dict, init=False)
    chunks: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        # Of the stages that measure each method by itself.
        self._pairs = {AUDIT: self.settings.audit_pairs, LATENCY: self.settings.latency_pairs}

    def measure_all(self) -> None:
        """Scores, maps and audits, by all processes; then latency, by the first alone."""
        if self.source.count is not None:
            self._plan(self.source.count, len(self.models))
        for model in self.models:
            self._each_chunk(model, SCORES, self._score)
            self.workers.wait()
            self.scores[model] = self._gather_scores(model)
            if self.source.count is None and len(self.scores) == 1:
                self._plan(len(self.scores[model].table["pair"]), len(self.models) - 1)
            self._each_chunk(model, MAPS, self._explain)
            self._each_method(model, AUDIT, self._audit, self.workers.owns)
        self.workers.wait()
        for model in self.models if self.workers.is_first else ():
            self._each_method(model, LATENCY, self._time, lambda _: True)

    def _each_chunk(self, model: str, stage: str, work: Callable[[str, PairBatch], Table]) -> None:
        """Do this process's part of a stage, except for what is done."""
        started, pairs, progress = time.perf_counter(), 0, ""
        for number, loaded in enumerate(self.source.chunks(partial(self._wants, stage, model))):
            self.chunks = number + 1
            if loaded is None:
                continue
            if progress:
                self.forecast.tell(progress)
            batch = loaded.to(self.device)
            self.folder.write_chunk(self._chunk(stage, model, number), work(model, batch))
            pairs += len(batch)
            speed = pairs / (time.perf_counter() - started)
            progress = f"{stage} of {model}: {pairs} pairs, {speed:.3g} pairs/s"
        if progress:
            self.forecast.tell(progress, at_once=True)

    def _wants(self, stage: str, model: str, number: int) -> bool:
        """Whether this process has to measure a chunk: its own, and not done before."""
        if not self.workers.owns(number):
            return False
        if (stored := self.folder.read_chunk(self._chunk(stage, model, number))) is None:
            return True
        # A chunk of maps may be empty: then it has no pairs, and only this column.
        kinds = stored["method"] if stage == MAPS else np.full(len(stored["pair"]), stage)
        for kind, rows in zip(*np.unique(kinds, return_counts=True), strict=True):
            self.forecast.plan(str(kind), -int(rows))
        return False

    def _plan(self, count: int, unscored: int) -> None:
        """Tell the forecast of this process's share of `count` pairs, on all models."""
        self.forecast.plan(SCORES, unscored * count // self.workers.count)
        for name in self.builders:
            measured = len(self.settings.measured(name, count))
            self.forecast.plan(name, len(self.models) * measured // self.workers.count)

    def _score(self, model: str, batch: PairBatch) -> Table:
        started = time.perf_counter()
        siamese = self.models[model]
        scored = score_batch(siamese, batch)
        table: Table = {
            "pair": batch.numbers,
            "genuine": batch.genuine,
            "clean_score": scored.original.cpu().numpy(),
            "patched_score": scored.patched.cpu().numpy(),
            "image_sha256": batch.image_hashes(),
        }
        if self.settings.stratified:
            pair = (batch.patched_a, batch.img_b)
            table["sensitivity"] = summed_sensitivity(siamese, pair).numpy()
        self.forecast.done(SCORES, len(batch), time.perf_counter() - started)
        return table

    def _gather_scores(self, model: str) -> _Scores:
        parts = self._all_chunks(SCORES, model)
        sensitivity = [part.pop("sensitivity") for part in parts if "sensitivity" in part]
        table = columns.concatenate(parts)
        genuine = table["genuine"]
        if self.scores:
            first = next(iter(self.scores.values()))
            _check_same(first.table["image_sha256"], table["image_sha256"])
        elif self.workers.is_first:
            warn_of_few(genuine)
        if self.workers.is_first:
            _warn_of_reversal(model, table["clean_score"], genuine)
        for name in self.builders:
            labels = genuine[self.settings.measured(name, len(genuine))]
            if labels.all() or not labels.any():
                raise ValueError(
                    f"{name}: got {labels.sum()} genuine and {(~labels).sum()} impostor pairs to "
                    "measure it on; want both"
                )
        strata = None
        if sensitivity:
            strata = equal_strata(torch.from_numpy(np.sum(sensitivity, axis=0)), STRATA)
        point = OperatingPoint.in_config(self.folder.settings, model)
        return _Scores(table, point.threshold_on(table["clean_score"], genuine), strata)

    def _explain(self, model: str, batch: PairBatch) -> Table:
        """All methods' maps of some pairs, measured: one row for each method and pair."""
        siamese, scores = self.models[model], self.scores[model]
        self._check_images(model, batch)
        count = len(scores.table["pair"])
        measured = {
            name: np.isin(batch.numbers, self.settings.measured(name, count))
            for name in self.builders
        }
        clock = time.perf_counter()

        def on_map(name: str, pairs: int) -> None:
            nonlocal clock
            now = time.perf_counter()
            self.forecast.done(name, pairs, now - clock)
            clock = now

        patched, tables = measure_batch(
            siamese,
            {name: build(siamese, scores.threshold) for name, build in self.builders.items()},
            batch,
            scores.threshold,
            seed=self.settings.seed,
            strata=scores.strata,
            rows_of={name: np.flatnonzero(rows).tolist() for name, rows in measured.items()},
            on_map=on_map,
        )
        check_same_scores(model, scores.table["patched_score"][batch.numbers], patched.numpy())
        return columns.stacked("method", tables) if tables else {"method": np.array([], dtype=str)}

    def _each_method(
        self,
        model: str,
        stage: str,
        work: Callable[[str, Builder, PairBatch], Table],
        owns: Callable[[int], bool],
    ) -> None:
        """This process's part of a stage that measures each method by itself, on some pairs."""
        chosen = evenly(len(self.scores[model].table["pair"]), self._pairs[stage])
        if not len(chosen):
            return
        batch: PairBatch | None = None
        for number, (name, build) in enumerate(self.builders.items()):
            chunk = self._chunk(stage, model, number)
            if owns(number) and self.folder.read_chunk(chunk) is None:
                self.forecast.tell(f"{stage} of {name} on {model}", at_once=True)
                if batch is None:
                    batch = self.source.batch(chosen.tolist()).to(self.device)
                    self._check_images(model, batch)
                with untouched(self.models[model], name):
                    table = work(model, build, batch)
                self.folder.write_chunk(chunk, table)

    def _audit(self, model: str, build: Builder, pairs: PairBatch) -> Table:
        siamese, threshold = self.models[model], self.scores[model].threshold
        return audit_method(build, siamese, pairs, threshold, self.settings)

    def _time(self, model: str, build: Builder, pairs: PairBatch) -> Table:
        method = build(self.models[model], self.scores[model].threshold)
        at_once, at_most = self.settings.pairs_at_once, self.settings.latency_seconds
        return time_method(method, pairs, at_once, at_most)

    def finish(self) -> None:
        """Write the tables of the whole run, and its config."""
        scores = {model: dict(found.table) for model, found in self.scores.items()}
        hashes = [table.pop("image_sha256") for table in scores.values()]
        self.folder.write_table(SCORES, columns.stacked("model", scores))
        maps = {model: self._gather_maps(model) for model in self.models}
        self.folder.write_table(MAPS, columns.stacked("model", maps))
        for stage, pairs in self._pairs.items():
            if pairs:
                found = {model: self._gather_methods(stage, model) for model in self.models}
                self.folder.write_table(stage, columns.stacked("model", found))
        self.folder.write_config({"images_sha256": columns.sha256({"images": hashes[0]})})

    def _gather_maps(self, model: str) -> Table:
        """One row for each map, by method in the order asked for, and by pair."""
        parts = self._all_chunks(MAPS, model)
        table = columns.concatenate([part for part in parts if len(part["method"])])
        # Chunks come in order: the pairs of each method ascend already.
        order = [np.flatnonzero(table["method"] == name) for name in self.builders]
        return {name: values[np.concatenate(order)] for name, values in table.items()}

    def _gather_methods(self, stage: str, model: str) -> Table:
        """The rows of a stage whose chunks are methods."""
        chunks = {
            name: self.folder.need_chunk(self._chunk(stage, model, number))
            for number, name in enumerate(self.builders)
        }
        return columns.stacked("method", chunks)

    def _all_chunks(self, stage: str, model: str) -> list[Table]:
        """All chunks of a stage over pairs, in order."""
        names = [self._chunk(stage, model, number) for number in range(self.chunks)]
        return [self.folder.need_chunk(name) for name in names]

    def _chunk(self, stage: str, model: str, number: int) -> str:
        return f"{stage}-{list(self.models).index(model)}-{number:06d}"

    def _check_images(self, model: str, batch: PairBatch) -> None:
        _check_same(self.scores[model].table["image_sha256"][batch.numbers], batch.image_hashes())


def _warn_of_reversal(
    model: str, scores: npt.NDArray[np.float64], genuine: npt.NDArray[np.bool_]
) -> None:
    if genuine.any() and not genuine.all() and (eer := equal_error_rate(scores, genuine)) > 0.5:
        warnings.warn(
            f"{model}: genuine pairs score lower than impostor pairs (EER {eer:.2f}), so nothing "
            "below means anything: are the list's labels the other way round, or its photos "
            "mixed up?",
            stacklevel=2,
        )


def _check_same(before: npt.NDArray[np.str_], now: npt.NDArray[np.str_]) -> None:
    """Raise a ValueError for images with another hash than at first."""
    if not np.array_equal(before, now):
        raise ValueError(
            "the images are not those that were scored at first; begin anew in another folder, "
            "with images that stay (a DataLoader must not shuffle or augment)"
        )
