"""The page of a run: its result first, then what it rests on, pair by pair and figure by figure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote

from captum_fv.attr.method_notes import NOTES
from captum_fv.benchmark.results import BenchmarkResults
from captum_fv.core.arrays import Image
from captum_fv.report.charts import model_charts, spark
from captum_fv.report.figures import REPLACED
from captum_fv.report.gallery import KINDS, ShownPair
from captum_fv.report.pictures import CONSTANT, SIMILARITY_COLOURS
from captum_fv.report.summary import (
    error_sentence,
    ranked_methods,
    result_sentence,
    summary_table,
)
from captum_fv.report.tables import ALL_CONTROLS
from captum_fv.report.templates import render, resource
from captum_fv.report.text_table import TextTable

PairPages = Mapping[str, Mapping[int, str]]
"""Model's name -> pair's number -> the path of its page, relative to the report."""

KIND_WORDS = {
    "false-matches": "two people pass as one",
    "false-non-matches": "one person is not recognised",
    "disagreements": "methods disagree",
}
"""Kind of a pair -> what it shows, on the first screen."""


@dataclass(frozen=True)
class MethodEntry:
    """A method in the page's legend.

    Args:
        anchor: Of its entry.
        shows, cost, source: As in its note; cost and source are empty for a run's own method.
        is_control: Whether it is there only to be compared with.
    """

    anchor: str
    shows: str
    cost: str
    source: str
    is_control: bool


@dataclass(frozen=True)
class Card:
    """A pair as the page shows it.

    Args:
        pair: The pair.
        model: Whose decision it is.
        anchor: Of its place in the gallery.
        page: The address of its own page; None if it has none.
    """

    pair: ShownPair
    model: str
    anchor: str
    page: str | None


@dataclass(frozen=True)
class Telling:
    """A pair of the first screen.

    Args:
        card: The pair.
        title: What it shows, in words.
        maps: The methods whose maps are shown.
    """

    card: Card
    title: str
    maps: Sequence[str]


def run_page_html(
    results: BenchmarkResults,
    tables: Sequence[TextTable],
    faces: Mapping[str, Sequence[ShownPair]],
    pair_pages: PairPages,
) -> str:
    """The whole page, which shows nothing from outside itself.

    Args:
        results: The run.
        tables: All of its tables.
        faces: Model's name -> the pairs of its gallery; empty for a page without faces.
        pair_pages: Where pairs have pages of their own.

    Raises:
        ValueError: A pair's page that is no relative path.
    """
    curves = [
        (name, chart) for name, model in results.models.items() for chart in model_charts(model)
    ]
    cards = list(_cards(faces, pair_pages))
    first = next(iter(results.models))
    best = next(iter(ranked_methods(results.models[first])), None)
    telling = _telling([card for card in cards if card.model == first], best)
    return render(
        "report.html.jinja",
        style=resource("base.css") + resource("report.css"),
        script=resource("report.js"),
        gradient=", ".join(SIMILARITY_COLOURS),
        sentences=[result_sentence(name, model) for name, model in results.models.items()],
        errors=[error_sentence(name, model) for name, model in results.models.items()],
        models=list(results.models),
        first=curves[0] if curves else None,
        more=curves[1:],
        methods=method_entries(results),
        best=best,
        telling=telling,
        series=_series(telling[0].card.pair, best) if telling and best else [],
        summary=summary_table(results),
        tables=tables,
        cards=cards,
        kinds={k: title for k, title in KINDS.items() if any(k in c.pair.kinds for c in cards)},
        spark=spark,
        constant=CONSTANT,
        config=list(_flat(results.config)),
    )


def method_entries(results: BenchmarkResults) -> dict[str, MethodEntry]:
    """Method's name -> its entry in the legend; methods first, controls after them."""
    names = dict.fromkeys(name for _, name, _ in results.each_method())
    entries = {}
    for number, name in enumerate(sorted(names, key=lambda name: name in ALL_CONTROLS)):
        note = NOTES.get(name)
        shown = (note.shows, note.cost, note.source) if note else ("a method of one's own", "", "")
        entries[name] = MethodEntry(f"method-{number}", *shown, name in ALL_CONTROLS)
    return entries


def _cards(faces: Mapping[str, Sequence[ShownPair]], pages: PairPages) -> Iterator[Card]:
    for place, (model, pairs) in enumerate(faces.items()):
        for pair in pairs:
            page = pages.get(model, {}).get(pair.number)
            address = None if page is None else _address(page)
            yield Card(pair, model, f"pair-{place}-{pair.number}", address)


def _address(page: str) -> str:
    """A relative path as a link; nothing that a browser would run or fetch from elsewhere."""
    path = PurePosixPath(page)
    if path.is_absolute() or ".." in path.parts or path == PurePosixPath("."):
        raise ValueError(f"pair_pages: got {page!r}; want a path below the report's folder")
    return f"./{quote(str(path))}"


def _telling(cards: Sequence[Card], best: str | None) -> list[Telling]:
    """One pair of each kind, none twice, with the best method's map or those that disagree."""
    chosen: dict[int, Telling] = {}
    for kind in KINDS:
        of_kind = [card for card in cards if kind in card.pair.kinds]
        for card in [card for card in of_kind if card.pair.number not in chosen][:1]:
            said = card.pair.methods
            maps = [name for name in said if name == best]
            if kind == "disagreements":
                own = [name for name in said if name not in ALL_CONTROLS]
                by_errors = sorted(own, key=lambda name: said[name].wrong.sum())
                maps = list(dict.fromkeys([*by_errors[:1], *by_errors[-1:]]))
            chosen[card.pair.number] = Telling(card, KIND_WORDS[kind], maps)
    return list(chosen.values())


def _series(pair: ShownPair, best: str) -> list[tuple[str, list[tuple[float, Image, float, bool]]]]:
    """A pair's A as pixels go back, by the best method and by chance: share, A, score, error."""
    series = []
    for name in dict.fromkeys([best, "rnd"]):
        if name not in pair.methods:
            continue
        said = pair.methods[name]
        steps = [round(share * (len(said.scores) - 1)) for share in REPLACED]
        shown = [
            (share, pair.replaced(name, step), float(said.scores[step]), bool(said.wrong[step]))
            for share, step in zip(REPLACED, steps, strict=True)
        ]
        series.append((name, shown))
    return series


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """What nested settings say, a name and a text each."""
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _flat(inner, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list | tuple):
        yield name, ", ".join(map(str, value))
    else:
        yield name, str(value)
