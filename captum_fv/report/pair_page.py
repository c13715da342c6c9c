"""The page of one pair: both photos with their maps, the score, and what the regions say."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from captum_fv.core.files import write_atomically
from captum_fv.report.pair_data import pair_record
from captum_fv.report.pair_document import MethodView, PairDocument, PhotoView
from captum_fv.report.pair_layers import map_layer, middles, outlines, svg_matrix
from captum_fv.report.pair_scale import ScoreLine, score_line
from captum_fv.report.pair_words import (
    hidden_words,
    map_words,
    strangers_sentences,
    verdict_sentence,
)
from captum_fv.report.templates import data_uri, jpeg_uri, png_uri, render, resource

FRAME_HEIGHT = 980
"""Pixels of the page in a notebook."""


def write_pair_page(document: PairDocument, path: str | Path, *, blind: bool = False) -> Path:
    """Write the page of one pair: one HTML file that refers to nothing outside itself.

    It shows both photos with their maps, where the score stands between strangers and the
    threshold, and what each region of the face adds. Without scripts the pictures, the sentences
    and the tables are still there.

    Args:
        document: All that is said.
        path: The file, whole or as it was before.
        blind: Whether the page opens without the decision, which a switch then shows.

    Returns:
        The path.
    """
    path = Path(path)
    write_atomically(path, pair_page_html(document, blind=blind).encode())
    return path


def pair_page_html(document: PairDocument, *, blind: bool = False) -> str:
    """The page as text; equal documents give equal pages."""
    line = score_line(document)
    faces = [_face(document, which) for which in (0, 1)]
    order = sorted(
        range(len(document.regions)), key=lambda i: -abs(document.regions[i].contribution)
    )
    return render(
        "pair.html.jinja",
        document=document,
        blind=blind,
        faces=faces,
        line=line,
        regions=[(number, document.regions[number]) for number in order],
        fates=[hidden_words(region, document) for region in document.regions],
        verdict=verdict_sentence(document),
        strangers=strangers_sentences(document),
        record=pair_record(document),
        view=_view(document, faces, line),
        style=resource("base.css") + resource("pair.css"),
        script=resource("pair.js"),
    )


def pair_frame_html(document: PairDocument) -> str:
    """The page in a frame of its own, for `_repr_html_` in notebooks."""
    return (
        f'<iframe srcdoc="{escape(pair_page_html(document))}" title="Two photos compared" '
        'sandbox="allow-scripts allow-downloads allow-modals" '
        f'style="width: 100%; height: {FRAME_HEIGHT}px; border: 0"></iframe>'
    )


def _face(document: PairDocument, which: int) -> dict[str, Any]:
    """What the template shows of one photo."""
    photo = document.photos[which]
    first = document.methods[0] if document.methods else None
    return {
        "letter": "AB"[which],
        "name": photo.name,
        "photo": jpeg_uri(photo.photo, quality=88),
        "crop": png_uri(photo.crop),
        "layer": first and _layer(first, which, masked=False),
        "words": _words(document, first, which),
        "stroke": max(photo.photo.shape) / 250,
        "matrix": svg_matrix(photo.to_photo),
        "about": _about(photo),
    }


def _about(photo: PhotoView) -> list[str]:
    said = [f"Landmarks: {photo.found_by}.", *photo.notes]
    if len(photo.faces) > 1:
        chosen = [number for number, face in enumerate(photo.faces, 1) if face.chosen]
        of_them = f"; number {chosen[0]} is compared" if chosen else ""
        said = [f"{len(photo.faces)} faces were found{of_them}.", *said]
    return said


def _words(document: PairDocument, method: MethodView | None, which: int) -> str:
    letter, name = "AB"[which], document.photos[which].name
    if method is None:
        return f"Photo {letter}, {name}"
    said = map_words(method.maps[which], method.limit, document)
    return f"Photo {letter}, {name}. The map of {method.name} {said}."


def _view(
    document: PairDocument, faces: Sequence[dict[str, Any]], line: ScoreLine
) -> dict[str, Any]:
    """What the script needs to paint, which nobody would want to keep."""
    labels, count = document.labels, len(document.regions)
    return {
        "line": [line.low, line.high],
        "matrices": [face["matrix"] for face in faces],
        "outlines": [] if labels is None else outlines(labels, count),
        "middles": [] if labels is None else middles(labels, count),
        "fates": [
            f"{region.name} hidden: {', '.join(hidden_words(region, document))}"
            for region in document.regions
        ],
        "methods": [
            {
                "plain": [_layer(method, which, masked=False) for which in (0, 1)],
                "masked": [_layer(method, which, masked=True) for which in (0, 1)]
                if method.significant
                else None,
                "words": [_words(document, method, which) for which in (0, 1)],
            }
            for method in document.methods
        ],
    }


def _layer(method: MethodView, which: int, *, masked: bool) -> str:
    significant = method.significant[which] if masked and method.significant else None
    return data_uri(map_layer(method.maps[which], method.limit, significant), "png")
