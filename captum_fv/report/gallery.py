"""The pairs that a report shows: which ones, and what every method says about each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from captum_fv.attr.methods import Method
from captum_fv.attr.pair import abilities
from captum_fv.attr.smoothing import wants_blur
from captum_fv.benchmark.maps import maps_of_a
from captum_fv.benchmark.model_results import MethodResults, ModelResults
from captum_fv.benchmark.settings import evenly
from captum_fv.core.arrays import BoolArray, FloatArray, Image, IntArray
from captum_fv.data.pairs import to_image
from captum_fv.data.patched_pairs import PairBatch
from captum_fv.metrics.positions import is_constant, position_values
from captum_fv.metrics.replacement import replacement_steps
from captum_fv.report.pictures import paint_maps
from captum_fv.report.tables import ALL_CONTROLS

KINDS = {
    "false-matches": "False matches",
    "false-non-matches": "False non-matches",
    "disagreements": "Methods disagree most",
}
"""Why a pair is shown, and what pictures call it."""

Pairs = Callable[[Sequence[int]], PairBatch]
"""Pairs by their numbers, on the device of the methods' model."""


@dataclass(frozen=True)
class Explained:
    """What one method says about one pair.

    Args:
        picture: Its map of patched A over the grey photo, (H, W, 3) uint8.
        replaced_at: The DPR step at which each position goes back, (H, W) in [1, T].
        scores: After every step, and after all positions went back, (T + 1,).
        wrong: Whether the decision is an error then, (T + 1,) bool.
        constant: Whether the map has one value everywhere, and says nothing.
    """

    picture: Image
    replaced_at: IntArray
    scores: FloatArray
    wrong: BoolArray
    constant: bool = False

    @property
    def outcome(self) -> str:
        """How much of the image went back before the decision was right, in words."""
        if not self.wrong[0]:
            return "no error"
        if self.wrong.all():
            return "never right"
        return f"right at {100 * self.wrong.argmin() // (len(self.wrong) - 1)} %"


@dataclass(frozen=True)
class ShownPair:
    """One pair of a model's gallery.

    Args:
        number: In its set.
        genuine: Whether it shows one person twice.
        kinds: Why it is shown; keys of KINDS.
        clean_score, patched_score, threshold: Its cosines, and from where a pair matches.
        original_a, patched_a, img_b: (H, W, 3) uint8.
        methods: Name -> what it says.
    """

    number: int
    genuine: bool
    kinds: tuple[str, ...]
    clean_score: float
    patched_score: float
    threshold: float
    original_a: Image
    patched_a: Image
    img_b: Image
    methods: Mapping[str, Explained]

    @property
    def verdict(self) -> str:
        """The decision on the patched pair: a match or not, true or false."""
        match = self.patched_score >= self.threshold
        truth = "true" if match == self.genuine else "false"
        return f"{truth} {'match' if match else 'non-match'}"

    def replaced(self, name: str, step: int) -> Image:
        """Patched A after one DPR step by a method's map, (H, W, 3) uint8."""
        back = self.methods[name].replaced_at <= step
        return np.where(back[..., None], self.original_a, self.patched_a)


def choose_pairs(model: ModelResults, each: int = 8) -> dict[str, list[int]]:
    """Pair numbers for every kind: errors spread evenly over the set, the widest disagreements.

    Only pairs that all methods were measured on are taken. Methods disagree by the spread of what a
    pair adds to their DPR areas; controls have no say in it.

    Args:
        model: A model's results.
        each: At most this many pairs of each kind.
    """
    known = np.arange(len(model.genuine))
    for result in model.methods.values():
        known = np.intersect1d(known, result.pairs)
    genuine, match = model.genuine[known], model.patched_scores[known] >= model.threshold
    chosen = {}
    errors = {"false-matches": match & ~genuine, "false-non-matches": ~match & genuine}
    for kind, wrong in errors.items():
        numbers = known[wrong]
        chosen[kind] = numbers[evenly(len(numbers), each)].tolist()
    areas = [
        result.dpr.pair_auc[result.rows(known)]
        for name, result in model.methods.items()
        if name not in ALL_CONTROLS
    ]
    if len(areas) > 1:
        spread = np.ptp(areas, axis=0)
        widest = np.argsort(-spread, kind="stable")[:each]
        chosen["disagreements"] = known[widest[spread[widest] > 0]].tolist()
    return {kind: numbers for kind, numbers in chosen.items() if numbers}


@torch.no_grad()
def show_pairs(
    model: ModelResults,
    methods: Mapping[str, Method],
    pairs: Pairs,
    chosen: Mapping[str, Sequence[int]],
    seed: int = 0,
    show_progress: bool = False,
) -> list[ShownPair]:
    """Explain the chosen pairs again, as they were explained when they were measured.

    Args:
        model: A model's results.
        methods: Its methods, by the names they have in the results.
        pairs: Gives the pairs.
        chosen: Kind -> pair numbers, as from `choose_pairs`.
        seed: That of the run, for maps that are drawn.

    Returns:
        The pairs, in the order of their numbers.
    """
    numbers = sorted({number for some in chosen.values() for number in some})
    if not numbers:
        return []
    batch = pairs(numbers)
    measured = {name: method for name, method in methods.items() if name in model.methods}
    explained = {
        name: _explained(methods[name], maps, batch, model.methods[name])
        for name, maps in maps_of_a(measured, batch, seed, show_progress)
    }
    return [
        ShownPair(
            number,
            bool(model.genuine[number]),
            tuple(kind for kind, some in chosen.items() if number in some),
            float(model.clean_scores[number]),
            float(model.patched_scores[number]),
            model.threshold,
            to_image(batch.original_a[row]),
            to_image(batch.patched_a[row]),
            to_image(batch.img_b[row]),
            {name: some[row] for name, some in explained.items()},
        )
        for row, number in enumerate(numbers)
    ]


def _explained(
    method: Method, maps: Tensor, batch: PairBatch, result: MethodResults
) -> list[Explained]:
    """What a method's maps (n, C, H, W) say of the pairs, and what its measured DPR made of it."""
    run, rows = result.dpr, result.rows(batch.numbers)
    scores = np.vstack([run.scores, run.repaired_scores]).T[rows]
    match = scores >= run.threshold
    values = position_values(maps, batch.patched_a)
    replaced_at = replacement_steps(
        values,
        torch.from_numpy(match[:, 0]),
        len(run.scores),
        abilities(method).cells,
    )
    pictures = [
        paint_maps([image], [mapped], wants_blur(method))[0]
        for image, mapped in zip(batch.patched_a, maps, strict=True)
    ]
    wrong = match != run.genuine[rows, None]
    constant = is_constant(values).tolist()
    parts = zip(pictures, replaced_at.numpy(), scores, wrong, constant, strict=True)
    return [Explained(*part) for part in parts]
