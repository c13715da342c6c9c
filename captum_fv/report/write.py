"""A run's report: tables, figures and one page, from its results and, for faces, its pairs."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from captum_fv.attr.methods import Method, build_methods
from captum_fv.benchmark.model_results import ModelResults
from captum_fv.benchmark.results import BenchmarkResults
from captum_fv.benchmark.source import Item, as_source
from captum_fv.core.files import write_atomically
from captum_fv.data.patched_pairs import PatchedPairs
from captum_fv.report.figures import plot_maps, plot_replacement, plot_sample_pairs
from captum_fv.report.gallery import Pairs, ShownPair, choose_pairs, show_pairs
from captum_fv.report.pictures import plot_dpr
from captum_fv.report.run_page import PairPages, run_page_html
from captum_fv.report.tables import benchmark_tables
from captum_fv.siamese.model import SiameseCosine

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GALLERY = 24
"""Pairs in the gallery, of all models and kinds together, or a few less."""

_OF_A_REPORT = re.compile(
    r"figures/figure(3|4_6|5|5_stratified|7)(_\d+)?_.+\.(png|svg)|"
    r"tables/(table[123]|table2_stratified|localisation|deletion|lu|sanity)\.(md|csv|tex)",
    re.DOTALL,
)
"""What a report's tables and figures are called."""

Methods = Mapping[str, Mapping[str, Method]]
"""Model's name -> method's name -> the method for this model and its threshold."""


def write_report(
    run: BenchmarkResults | str | Path,
    out: str | Path | None = None,
    pairs: PatchedPairs | Iterable[Item] | Pairs | None = None,
    methods: Methods | None = None,
    *,
    models: Mapping[str, SiameseCosine] | None = None,
    pair_pages: PairPages | None = None,
    device: str | torch.device = "cpu",
    show_progress: bool = False,
) -> Path:
    """Write report.html, and all tables and figures as files.

    Equal results give equal bytes. Each file is whole or not there. Nothing is measured anew; for
    faces, the pairs of the gallery are explained again. Tables and figures of an earlier report,
    such as its photos, are removed if this one has none of their names.

    Args:
        run: A finished run: its folder, or its results.
        out: Folder to write: report.html, tables/ (md, csv, tex), figures/ (png, svg). None:
            the run's own folder.
        pairs: The pairs that were measured, as `run_benchmark` took them, or a function that gives
            pairs by their numbers. None: a report without faces.
        methods: Model's name -> method's name -> the method at the model's threshold. None: built
            for `models` by their names.
        models: Name -> model, on the device.
        pair_pages: Model's name -> pair's number -> its page, a path relative to `out`: what the
            gallery's pairs link to.
        device: Where the models are.
        show_progress: For methods that have a bar.

    Returns:
        The page's path.

    Raises:
        FileNotFoundError: No run, or one that has not ended.
        ValueError: Results without `out`, pairs without methods or models, a model of the run that
            is not among them, a pair's page that is no relative path.
    """
    if not isinstance(run, BenchmarkResults):
        out = run if out is None else out
        run = BenchmarkResults.load(run)
    if out is None:
        raise ValueError("out: got None for results without a folder; want a folder to write")
    if methods is None and models is not None:
        methods = _build_methods(run, models)
    if (pairs is None) != (methods is None):
        raise ValueError("a report with faces wants both pairs=, and models= or methods=")
    if pairs is not None and not callable(pairs):
        source = as_source(pairs, chunk_size=32)
        pairs = lambda numbers: source.batch(numbers).to(device)  # noqa: E731
    out = Path(out)
    earlier = _files_of_a_report(out)
    written = set()
    for name, content in report_files(run, pairs, methods, pair_pages, show_progress):
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        write_atomically(out / name, content)
        written.add(name)
    for name in earlier - written:
        (out / name).unlink(missing_ok=True)
    return out / "report.html"


def _files_of_a_report(out: Path) -> set[str]:
    """The tables and figures of the report that lies in a folder; nobody else's files."""
    if not (out / "report.html").is_file():
        return set()
    names = {path.relative_to(out).as_posix() for path in out.glob("*/*") if path.is_file()}
    return {name for name in names if _OF_A_REPORT.fullmatch(name)}


def _build_methods(results: BenchmarkResults, models: Mapping[str, SiameseCosine]) -> Methods:
    """All methods of a run by their names, at the thresholds that it found."""
    if missing := results.models.keys() - models.keys():
        raise ValueError(f"models: got {', '.join(models)}; want {', '.join(sorted(missing))} too")
    return {
        name: build_methods(found.methods, models[name], found.threshold)
        for name, found in results.models.items()
    }


def report_files(
    results: BenchmarkResults,
    pairs: Pairs | None = None,
    methods: Methods | None = None,
    pair_pages: PairPages | None = None,
    show_progress: bool = False,
) -> Iterator[tuple[str, bytes]]:
    """Name and content of every file of the report, the page last."""
    tables = benchmark_tables(results)
    for table in tables:
        text = "\n".join([table.caption, "", table.markdown(), *table.notes])
        yield f"tables/{table.name}.md", f"{text.rstrip()}\n".encode()
        yield f"tables/{table.name}.csv", table.csv().encode()
        yield f"tables/{table.name}.tex", table.latex().encode()
    faces = dict[str, Sequence[ShownPair]]()
    each = pairs_of_a_kind(len(results.models))
    for model, found in results.models.items():
        drawings = _curves(model, found)
        if pairs is not None and methods is not None:
            chosen = choose_pairs(found, each)
            seed = results.config.get("seed", 0)
            faces[model] = show_pairs(found, methods[model], pairs, chosen, seed, show_progress)
            drawings += _faces(faces[model])
        for name, figure in drawings:
            stem = f"figures/{name}_{file_name(model, results.models)}"
            for suffix in ("png", "svg"):
                yield f"{stem}.{suffix}", figure_bytes(figure, suffix)
    yield "report.html", run_page_html(results, tables, faces, pair_pages or {}).encode()


def pairs_of_a_kind(models: int) -> int:
    """How many pairs of a kind the gallery shows of each of so many models."""
    return max(1, GALLERY // 3 // models)


_Drawing = tuple[str, "Figure"]
"""The name of a figure's files, and the figure."""


def figure_bytes(figure: Figure, suffix: str, dpi: int = 120) -> bytes:
    """A figure as a PNG or SVG file, equal bytes for equal figures."""
    from matplotlib import rc_context

    metadata = {"png": {"Software": None}, "svg": {"Date": None, "Creator": None}}[suffix]
    buffer = io.BytesIO()
    with rc_context({"svg.hashsalt": "captum_fv"}):
        figure.savefig(buffer, format=suffix, dpi=dpi, metadata=metadata)
    return buffer.getvalue()


def _curves(model: str, results: ModelResults) -> list[_Drawing]:
    """Curves of all methods that were measured on the same pairs, for each such set of pairs."""
    drawings: list[_Drawing] = []
    every = list(results.methods)
    for number, methods in enumerate(results.on_same_pairs(), 1):
        suffix = f"_{number}" if number > 1 else ""
        runs = {name: result.dpr for name, result in methods.items()}
        strata = {name: result.stratified for name, result in methods.items() if result.stratified}
        title = f"{model}, {len(next(iter(methods.values())).pairs)} pairs"
        drawings.append((f"figure5{suffix}", plot_dpr(runs, title, every)))
        if strata:
            figure = plot_dpr(strata, f"{title}, stratified", every)
            drawings.append((f"figure5_stratified{suffix}", figure))
    return drawings


def _faces(shown: Sequence[ShownPair]) -> list[_Drawing]:
    """Figures over the first errors of each kind; none where nothing went wrong."""
    false_non_matches = [pair for pair in shown if "false-non-matches" in pair.kinds]
    false_matches = [pair for pair in shown if "false-matches" in pair.kinds]

    def first(count: int) -> list[ShownPair]:
        return false_non_matches[:count] + false_matches[:count]

    if not first(1):
        return []
    drawings: list[_Drawing] = [("figure3", plot_sample_pairs(first(3)))]
    if shown[0].methods:
        drawings += [("figure4_6", plot_maps(first(2))), ("figure7", plot_replacement(first(1)))]
    return drawings


def file_name(model: str, models: Mapping[str, ModelResults]) -> str:
    """The model's name with only harmless characters, numbered if that makes two names equal."""
    names = [re.sub(r"[^\w.-]+", "-", name, flags=re.ASCII).strip("-.") for name in models]
    place = list(models).index(model)
    unique = names[place] and names.count(names[place]) == 1
    return names[place] if unique else f"{names[place]}{place}"
