"""The gallery: a card for each pair, which a form filters by why the pair is shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from captum_fv.core.arrays import FloatArray
from captum_fv.report.gallery import KINDS, Explained, ShownPair
from captum_fv.report.html import photo, tag, text
from captum_fv.report.pictures import CONSTANT

_WIDTH, _HEIGHT = 112, 32


def gallery_html(shown: Mapping[str, Sequence[ShownPair]]) -> str:
    """All pairs of all models, with their filters; without scripts, all are simply there."""
    cards = [pair_html(pair, model) for model, pairs in shown.items() for pair in pairs]
    return "\n".join([_filters(shown), _legend(), *cards])


def pair_html(pair: ShownPair, model: str) -> str:
    """One pair: scores and decision, photos, and every method's map with what DPR made of it."""
    head = tag(
        "header",
        tag("h4", text(f"Pair {pair.number}, {'genuine' if pair.genuine else 'impostor'}")),
        tag("p", tag("span", text(pair.verdict), class_=pair.verdict.partition(" ")[0])),
        tag(
            "p",
            text(
                f"cosine {pair.patched_score:.3f}, matches from {pair.threshold:.3f}; "
                f"{pair.clean_score:.3f} without patches; {model}"
            ),
        ),
    )
    photos = tag(
        "div",
        _tile(photo(pair.patched_a, f"Photo A of pair {pair.number} with patches"), "A patched"),
        _tile(photo(pair.original_a, f"Photo A of pair {pair.number}"), "A original"),
        _tile(photo(pair.img_b, f"Photo B of pair {pair.number}"), "B"),
        class_="tiles",
    )
    scores = np.hstack([pair.threshold, *(said.scores for said in pair.methods.values())])
    span = (float(scores.min()), float(scores.max()))
    maps = tag(
        "div",
        *(_method(name, explained, pair, span) for name, explained in pair.methods.items()),
        class_="tiles",
    )
    return tag(
        "article",
        head,
        tag("div", photos, maps, class_="tiles"),
        class_="pair",
        data_kinds=" ".join(pair.kinds),
        data_model=model,
    )


def _tile(image: str, caption: str, *below: str) -> str:
    return tag("figure", image, tag("figcaption", text(caption), *below))


def _method(name: str, explained: Explained, pair: ShownPair, span: tuple[float, float]) -> str:
    outcome = explained.outcome
    late = {"never right": "late", "no error": "quiet"}.get(outcome, "soon")
    image = photo(explained.picture, f"Map of {name} over photo A of pair {pair.number}")
    line = _line(explained.scores, pair.threshold, span, name)
    said = ["<br>", tag("em", text(CONSTANT))] if explained.constant else []
    return _tile(image, name, *said, "<br>", tag("span", text(outcome), class_=late), line)


def _line(scores: FloatArray, threshold: float, span: tuple[float, float], name: str) -> str:
    """The cosine as ever more of the image goes back, against the threshold."""
    low, high = span
    scale = (_HEIGHT - 4) / ((high - low) or 1)

    def y(score: float) -> float:
        return _HEIGHT - 2 - (score - low) * scale

    points = " ".join(
        f"{_WIDTH * step / (len(scores) - 1):.0f},{y(score):.1f}"
        for step, score in enumerate(scores)
    )
    drawn = (
        f'<line x1="0" x2="{_WIDTH}" y1="{y(threshold):.1f}" y2="{y(threshold):.1f}"/>'
        f'<polyline points="{points}"/>'
    )
    label = (
        f"{name}: the cosine goes from {scores[0]:.2f} to {scores[-1]:.2f} as pixels go back; "
        f"the dashed line is the threshold, {threshold:.2f}"
    )
    return tag("svg", drawn, viewBox=f"0 0 {_WIDTH} {_HEIGHT}", role="img", aria_label=label)


def _filters(shown: Mapping[str, Sequence[ShownPair]]) -> str:
    kinds = {kind for pairs in shown.values() for pair in pairs for kind in pair.kinds}
    choices = {"all": "All", **{kind: title for kind, title in KINDS.items() if kind in kinds}}
    radios = "".join(
        f'<label><input type="radio" name="kind" value="{kind}"'
        f"{' checked' if kind == 'all' else ''}> {text(title)}</label>"
        for kind, title in choices.items()
    )
    models = "".join(tag("option", text(model), value=model) for model in shown)
    select = (
        f'<label>Model <select name="model"><option value="">all</option>{models}</select></label>'
    )
    parts = [tag("legend", "Show"), radios, select if len(shown) > 1 else ""]
    count = tag("output", aria_live="polite")
    return f'<form class="filters" hidden>{tag("fieldset", *parts, count)}</form>'


def _legend() -> str:
    scale = tag("span", class_="scale", role="img", aria_label="from pink over white to green")
    return tag("p", "different", scale, "same", class_="legend") + tag(
        "p",
        "Each map has a scale of its own. Below it: how much of the image went back before the "
        "decision was right, and the cosine meanwhile, from 0 to 100 %; the dashed line is the "
        "threshold.",
        class_="notes",
    )
