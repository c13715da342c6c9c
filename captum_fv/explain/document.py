"""What is known of a pair, put together as the document that the page shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from torch import Tensor

from captum_fv.attr import RegionReport
from captum_fv.attr.method_notes import NOTES
from captum_fv.attr.methods import Method
from captum_fv.attr.pair import Pair
from captum_fv.attr.region_rows import COMMON, RegionRow
from captum_fv.attr.smoothing import wants_blur
from captum_fv.core.arrays import FloatArray
from captum_fv.explain.strangers import MASKS, BeyondStrangers
from captum_fv.metrics import Evidence
from captum_fv.report.pair_document import (
    MethodView,
    PairDocument,
    PhotoView,
)
from captum_fv.report.pair_words import signed
from captum_fv.report.pictures import colour_limit, display_values

ONLY_GENERATED = "the demo model knows only generated faces"
DEMO = (
    f"{ONLY_GENERATED[0].upper()}{ONLY_GENERATED[1:]}: on photos of real people its answer means "
    "nothing. --model takes one that knows them."
)

BEYOND = "beyond_strangers"

FEW_STRANGERS = 30
"""With fewer, their standard deviation is off by 13 % and more, and z with it."""


class Threshold(NamedTuple):
    """The cosine from which a pair matches, and where it is from, in words."""

    value: float
    source: str


def pair_document(
    *,
    views: tuple[PhotoView, PhotoView],
    model: str,
    model_hash: str,
    is_demo: bool,
    score: float,
    threshold: Threshold,
    methods: Mapping[str, Method],
    maps: Mapping[str, Pair],
    beyond: BeyondStrangers | None,
    regions: RegionReport | None,
    strangers: Tensor | None,
    evidence: Evidence | None,
    under_blur: bool,
) -> PairDocument:
    """All that is said of one pair.

    Args:
        views: A and B.
        model, model_hash, is_demo: The model.
        score: The cosine.
        threshold: With its source.
        methods, maps: Name -> method, and its maps of both photos, (1, C, H, W).
        beyond: What stands out of strangers' maps; None if they were not asked.
        regions: None if they were not asked.
        strangers: Scores of A and of B with strangers, (2, n); None if they were not asked.
        evidence: None without a calibration.
        under_blur: Whether maps ask against the photos under a blur, for want of a mean face.
    """
    shown = [_method_view(name, methods[name], maps[name]) for name in methods]
    if beyond is not None:
        shown.append(_beyond_view(beyond))
    document = PairDocument(
        photos=views,
        model=model,
        model_hash=model_hash,
        score=score,
        threshold=threshold.value,
        threshold_from=threshold.source,
        methods=tuple(shown),
        regions=() if regions is None else regions.rows,
        labels=None if regions is None else regions.interactions.regions[0].labels,
        links=None if regions is None else regions.interactions.links,
        link_note="" if regions is None else f"Between regions: {regions.interactions}.",
        strangers=None if strangers is None else (_doubles(strangers[0]), _doubles(strangers[1])),
        evidence=evidence,
    )
    return _with_sentences(document, is_demo, under_blur)


def _method_view(name: str, method: Method, pair: Pair) -> MethodView:
    blur = wants_blur(method)
    note = NOTES.get(name)
    single = [mapped[0] for mapped in pair]
    values = [display_values(mapped, mapped.shape[-2:], blur) for mapped in single]
    return MethodView(
        name=name,
        note="a method of your own" if note is None else note.shows,
        maps=(values[0], values[1]),
        limit=colour_limit(single, blur),
    )


def _beyond_view(beyond: BeyondStrangers) -> MethodView:
    a, b = map(_doubles, beyond.maps)
    z_a, z_b = (np.abs(_doubles(z)) >= COMMON for z in beyond.z)
    return MethodView(
        name=BEYOND,
        note=f"how the score goes with each place under {MASKS} masks; what is no more than "
        f"strangers would show (|z| below {COMMON:g}) can be greyed out",
        maps=(a, b),
        limit=colour_limit([mapped[None] for mapped in beyond.maps], blur=False),
        significant=(z_a, z_b),
        reliability=beyond.reliability,
    )


def _doubles(values: Tensor) -> FloatArray:
    array: FloatArray = values.detach().cpu().double().numpy()
    return array


def _with_sentences(document: PairDocument, is_demo: bool, under_blur: bool) -> PairDocument:
    """The same with its summary and its limits."""
    limits = ["A map says what this model looked at, not who is in a photo."]
    if under_blur and document.matches:
        limits.append(
            "Somebody else's face: each photo under a heavy blur; --reference takes a better one."
        )
    if document.evidence is None:
        limits.append(
            "Nothing says how strong such a cosine is as evidence; --calibration does, which "
            "`captum-fv calibrate` sets on pairs that are known."
        )
    if document.strangers is None:
        limits.append(
            "Nothing says what a stranger's photo would show; --strangers takes a folder of them."
        )
    elif (asked := len(document.strangers[0])) < FEW_STRANGERS:
        limits.append(f"Only {asked} strangers were asked, so what stands out of them is rough.")
    if not document.regions:
        limits.append("The regions of the face were not asked; without --fast they are.")
    summary = [DEMO] if is_demo else []
    if np.array_equal(document.photos[0].crop, document.photos[1].crop):
        summary.append("Both faces are the very same picture, so that they match says nothing.")
    return replace(document, summary=(*summary, *_regions_in_short(document)), limits=tuple(limits))


def _regions_in_short(document: PairDocument) -> list[str]:
    """Which regions add most, and which decide."""
    if not document.regions:
        return []
    order = sorted(document.regions, key=lambda region: -region.contribution)
    adding = _listed([region for region in order if region.interval[0] > 0])
    taking = _listed([region for region in reversed(order) if region.interval[1] < 0])
    said = f"Adds most to the cosine: {adding}. Takes most from it: {taking}."
    flipping = [region.name for region in order if region.flips]
    if flipping:
        hidden = f"Hiding one of these alone changes the decision: {', '.join(flipping)}."
    else:
        hidden = "Hiding no region alone changes the decision."
    return [said, hidden]


def _listed(regions: Sequence[RegionRow]) -> str:
    """The first three regions with what they add."""
    listed = [f"{region.name} ({signed(region.contribution, 2)})" for region in regions[:3]]
    return ", ".join(listed) or "nothing, within its interval"
