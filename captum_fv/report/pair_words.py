"""The pair page in words: figures with signs, the verdict, the cohort, what a map shows."""

from __future__ import annotations

import re

import numpy as np

from captum_fv.attr.region_rows import RegionRow
from captum_fv.core.arrays import FloatArray
from captum_fv.report.pair_document import PairDocument

_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]"
)
"""Characters that control: among them what turns text, and makes one name look like another."""

_ROWS, _COLUMNS = ("upper", "middle", "lower"), ("left", "centre", "right")
_FAINT = 0.05
"""Below this share of full colour a map says nothing worth a word."""


def seen_text(text: str) -> str:
    r"""A text, as a file's name, as it may be shown: whole characters, and none that control.

    >>> seen_text("photo\u202egpj.exe"), seen_text("caf\udce9.jpg")
    ('photogpj.exe', 'caf?.jpg')
    """
    return _UNSEEN.sub("", text.encode("utf-8", "replace").decode())


def signed(value: float, digits: int = 3) -> str:
    """A figure with its sign, never "-0".

    >>> signed(0.0314), signed(-0.2, 1), signed(-0.0001)
    ('+0.031', '\u22120.2', '0.000')
    """
    shown = f"{value:+.{digits}f}"
    return shown.replace("-", "\u2212") if float(shown) else shown[1:]


def cosine_text(score: float, threshold: float) -> str:
    """A score with the decimals that tell it from the threshold: three, or up to six.

    >>> cosine_text(0.31, 0.2259), cosine_text(0.22586, 0.2259)
    ('0.310', '0.22586')
    """
    digits = 3
    while digits < 6 and score != threshold and f"{score:.{digits}f}" == f"{threshold:.{digits}f}":
        digits += 1
    return f"{score:.{digits}f}".replace("-", "\u2212")


def verdict_sentence(document: PairDocument) -> str:
    """What the model says, with the score and the threshold."""
    score, threshold = document.score, document.threshold
    people = "one person" if document.matches else "two different people"
    margin = abs(score - threshold)
    where = (
        f"{cosine_text(margin, 0.0)} {'above' if document.matches else 'below'} the threshold of"
        if margin
        else "exactly the threshold,"
    )
    return (
        f"The model takes these photos for {people}: their cosine is "
        f"{cosine_text(score, threshold)}, {where} {cosine_text(threshold, score)}."
    )


def hidden_words(region: RegionRow, document: PairDocument) -> tuple[str, str]:
    """The score with a region hidden, and what becomes of the decision: "now no match"."""
    matches = document.matches != region.flips
    fate = f"{'now' if region.flips else 'still'} {'a match' if matches else 'no match'}"
    return cosine_text(region.score_hidden, document.threshold), fate


def strangers_sentences(document: PairDocument) -> list[str]:
    """How many strangers come as near to each photo as the other photo does."""
    if document.strangers is None:
        return []
    return [
        _strangers_of(name, scores, document.score)
        for name, scores in zip("AB", document.strangers, strict=True)
        if len(scores)
    ]


def _strangers_of(name: str, scores: FloatArray, score: float) -> str:
    as_near = int((scores >= score).sum())
    other = "B" if name == "A" else "A"
    return (
        f"{as_near or 'None'} of {len(scores):,} strangers "
        f"{'score' if as_near != 1 else 'scores'} as high with {name} as {other} does "
        f"(highest {signed(float(scores.max()))})."
    )


def map_words(mapped: FloatArray, limit: float, document: PairDocument) -> str:
    """Where a map speaks for the same person, and where against, as one would tell it by phone."""
    places = _means_by_region(mapped, document) or _means_by_thirds(mapped)
    order = sorted(places, key=lambda place: -places[place])
    for_same = [place for place in order[:2] if places[place] > _FAINT * limit]
    against = [place for place in order[:-3:-1] if places[place] < -_FAINT * limit]
    said = [
        f"speaks most {side} the same person at the {' and the '.join(some)}"
        for side, some in (("for", for_same), ("against", against))
        if some
    ]
    return "; ".join(said) or "says little anywhere"


def _means_by_region(mapped: FloatArray, document: PairDocument) -> dict[str, float]:
    if document.labels is None:
        return {}
    names = enumerate(region.name for region in document.regions)
    parts = {name: mapped[document.labels == number] for number, name in names}
    return {name: float(part.mean()) for name, part in parts.items() if part.size}


def _means_by_thirds(mapped: FloatArray) -> dict[str, float]:
    return {
        f"{row} {column}": float(cell.mean())
        for row, band in zip(_ROWS, np.array_split(mapped, 3, 0), strict=True)
        for column, cell in zip(_COLUMNS, np.array_split(band, 3, 1), strict=True)
        if cell.size
    }
