"""The pairs that a report shows: which ones, and what every method says about each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from captum_fv.attr.methods import Method
from captum_fv.attr.pair import abilities
from captum_fv.attr.smoothing import wants_blur
from captum_fv.benchmark.maps import maps_of_a
from captum_fv.benchmark.results import ModelResults
from captum_fv.core.arrays import Image
from captum_fv.data.pairs import to_image
from captum_fv.data.patched_pairs import PairBatch
from captum_fv.metrics.positions import position_values
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
    """

    picture: Image
    replaced_at: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float64]
    wrong: npt.NDArray[np.bool_]

    @property
    def outcome(self) -> str:
        """How much of the image went back before the decision was right, in words."""
        if not self.wrong[0]:
            return "no error"
        right = np.flatnonzero(~self.wrong)
        return (
            f"right at {100 * right[0] // (len(self.wrong) - 1)} %" if len(right) else "never right"
        )


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
    chosen = {
        "false-matches": _evenly(known[match & ~genuine], each),
        "false-non-matches": _evenly(known[~match & genuine], each),
    }
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


def _evenly(numbers: npt.NDArray[np.int64], count: int) -> list[int]:
    places = np.linspace(0, len(numbers) - 1, min(count, len(numbers)))
    chosen: list[int] = numbers[places.round().astype(int)].tolist()
    return chosen


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
    match = torch.from_numpy(model.patched_scores[numbers] >= model.threshold)
    explained: dict[str, list[Explained]] = {}
    measured = {name: method for name, method in methods.items() if name in model.methods}
    for name, maps in maps_of_a(measured, batch, seed, show_progress):
        run, rows = model.methods[name].dpr, model.methods[name].rows(np.array(numbers))
        scores = np.vstack([run.scores, run.repaired_scores]).T[rows]
        wrong = (scores >= run.threshold) != run.genuine[rows, None]
        replaced_at = replacement_steps(
            position_values(maps, batch.patched_a).cpu(),
            match,
            len(run.scores),
            abilities(methods[name]).cells,
        )
        pictures = [
            paint_maps([image], [mapped], wants_blur(methods[name]))[0]
            for image, mapped in zip(batch.patched_a, maps, strict=True)
        ]
        parts = zip(pictures, replaced_at.numpy(), scores, wrong, strict=True)
        explained[name] = [Explained(*part) for part in parts]
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
