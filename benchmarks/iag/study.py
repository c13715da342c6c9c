"""One model, one set of patched pairs, and the maps of methods and trials, each explained once."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from iag.trials import TRIALS
from torch import Tensor
from tqdm import tqdm

from captum_fv import SiameseCosine
from captum_fv.attr.methods import METHODS
from captum_fv.attr.pair import abilities
from captum_fv.data import PairSet
from captum_fv.data.patched_pairs import PairBatch
from captum_fv.metrics import DPRResult, decision_patch_replacement

BUILD: dict[str, Any] = METHODS | TRIALS
ROWS = 32
"""Pairs explained at once."""


@dataclass
class Study:
    """Maps of A of a batch of pairs, and their decision-based patch replacement.

    Args:
        siamese: The model.
        pairs: The pairs that the batch is of, to patch them otherwise.
        faces: Pairs of people with three photos, for patches of two kinds.
        batch: The patched pairs that are measured.
        threshold: The decision threshold of the clean pairs.
        names: The methods.
        steps: Of every curve.
    """

    siamese: SiameseCosine
    pairs: PairSet
    faces: PairSet
    batch: PairBatch
    threshold: float
    names: list[str]
    steps: int
    _maps: dict[str, Tensor] = field(default_factory=dict, init=False)
    _runs: dict[str, DPRResult] = field(default_factory=dict, init=False)

    @cached_property
    def match(self) -> Tensor:
        """The decisions on the patched pairs, (N,) bool."""
        return self.scores(self.batch.patched_a, self.batch.img_b) >= self.threshold

    @torch.no_grad()
    def scores(self, img_a: Tensor, img_b: Tensor) -> Tensor:
        """Cosines of any pairs, (N,)."""
        batches = zip(img_a.split(ROWS), img_b.split(ROWS), strict=True)
        return torch.cat([self.siamese(*pair) for pair in batches])

    def maps(self, name: str) -> Tensor:
        """Maps of the patched images, (N, 1, H, W)."""
        if name not in self._maps:
            batch, reference = self.batch, self.reference
            self._maps[name] = self.explain(name, batch.patched_a, batch.img_b, reference)
        return self._maps[name]

    @cached_property
    def reference(self) -> Tensor | None:
        """For each pair the mean face of other people."""
        return self.batch.reference

    def explain(
        self, name: str, img_a: Tensor, img_b: Tensor, reference: Tensor | None = None
    ) -> Tensor:
        """Maps of A of any pairs, (N, 1, H, W), for methods that want one with a reference."""
        method = BUILD[name](self.siamese, self.threshold)
        maps = []
        for rows in tqdm(torch.arange(len(img_a)).split(ROWS), desc=f"maps of {name}"):
            options = {}
            if reference is not None and "reference" in abilities(method).options:
                options["reference"] = reference[rows]
            maps.append(method.attribute((img_a[rows], img_b[rows]), **options)[0])
        return torch.cat(maps).mean(1, keepdim=True)

    def run(self, name: str) -> DPRResult:
        """DPR as published."""
        if name not in self._runs:
            self._runs[name] = self.replace(self.maps(name))
        return self._runs[name]

    def replace(self, maps: Tensor, strata: Tensor | None = None) -> DPRResult:
        """DPR of maps of the patched images, over all positions or within strata."""
        return decision_patch_replacement(
            self.siamese,
            (self.batch.patched_a, self.batch.img_b),
            self.batch.original_a,
            maps,
            self.threshold,
            self.batch.genuine,
            self.steps,
            strata=strata,
            batch_size=ROWS,
            show_progress=True,
        )

    def on(self, batch: PairBatch) -> Study:
        """The same study of other patches."""
        return dataclasses.replace(self, batch=batch)
