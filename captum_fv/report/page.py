"""The page as a whole: headline figures, tables, curves, pictures, gallery, how it was made."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from string import Template
from typing import Any

from captum_fv.benchmark.results import BenchmarkResults
from captum_fv.metrics.controls import unbeaten_controls
from captum_fv.report.cards import gallery_html
from captum_fv.report.gallery import ShownPair
from captum_fv.report.html import drawn, table_html, tag, text, vector
from captum_fv.report.pictures import SIMILARITY_COLOURS
from captum_fv.report.tables import ALL_CONTROLS, ratio_to
from captum_fv.report.text_table import TextTable

HOW_TO_READ = """\
Image A of every pair has patches of another face. A method explains the patched pair; then the
pixels that its map holds responsible go back, 5 % at a time, and the errors are counted again. The
sooner they go, the lower the area. But a map can be low for reasons that explain nothing: because
it looks at the middle of the face, or wherever the score is sensitive, whether or not it knows what
is similar. The controls show how far one gets that way. Read no area without them."""


@dataclass(frozen=True)
class Pictures:
    """What there is to see of one model.

    Args:
        curves: Caption -> SVG.
        photos: Caption -> PNG.
        pairs: Its gallery.
    """

    curves: Mapping[str, bytes]
    photos: Mapping[str, bytes]
    pairs: Sequence[ShownPair]


def render_page(
    results: BenchmarkResults, tables: Sequence[TextTable], pictures: Mapping[str, Pictures]
) -> str:
    """The whole page, which refers to nothing outside itself.

    Args:
        results: The run.
        tables: All of its tables.
        pictures: Model's name -> what there is to see.
    """
    faces = {name: some.pairs for name, some in pictures.items() if some.pairs}
    sections = {
        "Tables": "\n".join(table_html(table) for table in tables),
        "Curves": _figures({n: some.curves for n, some in pictures.items()}, vector, "curves"),
        "Pictures": _figures(
            {n: some.photos for n, some in pictures.items()}, drawn, "scroll wide"
        ),
        "Gallery": gallery_html(faces) if faces else "",
        "The run": _definitions(results.config),
    }
    sections = {title: content for title, content in sections.items() if content}
    pairs = max(len(model.genuine) for model in results.models.values())
    methods = {name for model in results.models.values() for name in model.methods}
    style = Template(_resource("page.css")).substitute(gradient=", ".join(SIMILARITY_COLOURS))
    return Template(_resource("page.html")).substitute(
        title="Face verification explained: a benchmark",
        style=style,
        script=_resource("page.js"),
        summary=text(
            f"{pairs:,} pairs, {_count(results.models, 'model')}, {_count(methods, 'method')}"
        ),
        contents="".join(
            tag("li", tag("a", text(title), href=f"#{_anchor(title)}")) for title in sections
        ),
        sections="\n".join(
            [
                _headlines(results),
                tag("p", text(HOW_TO_READ)),
                *(
                    tag("section", tag("h2", text(title)), content, id=_anchor(title))
                    for title, content in sections.items()
                ),
            ]
        ),
    )


def _headlines(results: BenchmarkResults) -> str:
    items = []
    for name, model in results.models.items():
        fmr, fnmr = model.patched_errors
        items += [
            (f"{100 * model.eer:.2f} %", f"EER of {name} on the clean pairs"),
            (f"{100 * fmr:.0f} %, {100 * fnmr:.0f} %", f"FMR, FNMR of {name} with patches"),
        ]
    for name, model in results.models.items():
        for method in model.methods:
            runs = {other: result.dpr for other, result in model.on_pairs_of(method).items()}
            ratio = ratio_to(runs.get("rnd"), runs[method], "mean")
            if method not in ALL_CONTROLS and ratio is not None:
                beaten = ", ".join(unbeaten_controls(method, runs))
                verdict = f"does not beat {beaten}" if beaten else "beats all controls"
                of = f"of chance's DPR area by {method} on {name} {ratio.span}; {verdict}"
                items.append((ratio.figure, of))
    cards = (tag("li", tag("strong", text(figure)), tag("small", text(of))) for figure, of in items)
    return tag("ul", *cards, class_="figures")


def _figures(
    by_model: Mapping[str, Mapping[str, bytes]], show: Callable[[bytes, str], str], class_: str
) -> str:
    parts = []
    for model, some in by_model.items():
        for caption, data in some.items():
            image = tag("div", show(data, f"{caption}, {model}"), class_=class_, tabindex=0)
            title = tag("h3", text(caption if len(by_model) == 1 else f"{model}: {caption}"))
            parts.append(tag("figure", tag("figcaption", title), image))
    return "\n".join(parts)


def _definitions(config: Mapping[str, Any]) -> str:
    def flat(value: Any, name: str) -> Iterator[tuple[str, str]]:
        if isinstance(value, Mapping) and value:
            for key, inner in value.items():
                yield from flat(inner, f"{name}.{key}" if name else str(key))
        else:
            plain = not isinstance(value, list | tuple)
            yield name, str(value) if plain else ", ".join(map(str, value))

    pairs = (tag("dt", text(name)) + tag("dd", text(value)) for name, value in flat(config, ""))
    return tag("dl", *pairs)


def _count(things: Any, name: str) -> str:
    return f"{len(things)} {name}{'' if len(things) == 1 else 's'}"


def _anchor(title: str) -> str:
    return title.lower().replace(" ", "-")


def _resource(name: str) -> str:
    return (files("captum_fv.report") / "assets" / name).read_text(encoding="utf-8")
