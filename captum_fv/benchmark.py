"""Methods by pairs: score the clean pairs, explain the patched ones, measure the maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from tqdm.auto import tqdm

from captum_fv.attr.methods import Method
from captum_fv.attr.occlusion_pair_attribution import OcclusionPairAttribution
from captum_fv.attr.patch_oracle import PatchOracle
from captum_fv.data.pairs import PairSet
from captum_fv.data.patch_lfw import PatchedPairs
from captum_fv.metrics.decision_patch_replacement import DecisionPatchReplacement
from captum_fv.metrics.dpr_result import DPRResult
from captum_fv.metrics.error_rates import eer_threshold, equal_error_rate
from captum_fv.siamese import SiameseCosine


@dataclass(frozen=True)
class CleanScores:
    """Scores of unpatched pairs, (N,), and the operating point that they set."""

    scores: npt.NDArray[np.float64]
    genuine: npt.NDArray[np.bool_]

    @property
    def threshold(self) -> float:
        """The EER threshold."""
        return eer_threshold(self.scores, self.genuine)

    @property
    def eer(self) -> float:
        """The equal error rate, in [0, 1]."""
        return equal_error_rate(self.scores, self.genuine)


@torch.no_grad()
def score_clean_pairs(
    siamese: SiameseCosine,
    pairs: PairSet,
    *,
    batch_size: int = 32,
    device: str | torch.device = "cpu",
    show_progress: bool = False,
) -> CleanScores:
    """Score all pairs of a set, at most `batch_size` pairs at a time."""
    scores = []
    with tqdm(total=len(pairs), unit="pair", desc="clean", disable=not show_progress) as bar:
        for img_a, img_b in pairs.batches(batch_size):
            scores.append(siamese(img_a.to(device), img_b.to(device)).double().cpu())
            bar.update(len(img_a))
    return CleanScores(torch.cat(scores).numpy(), pairs.genuine)


def compare_methods(
    siamese: SiameseCosine,
    patched: PatchedPairs,
    methods: Mapping[str, Method],
    threshold: float,
    *,
    batch_size: int = 32,
    device: str | torch.device = "cpu",
    show_progress: bool = False,
) -> dict[str, DPRResult]:
    """DPR of several methods over the same patched pairs; memory does not grow with their number.

    Args:
        siamese: The recogniser.
        patched: Pairs whose image A was patched.
        methods: Name -> method; a PatchOracle is given the true masks.
        threshold: The clean pairs' decision threshold.
        batch_size: Pairs explained at once.
        device: Where the model is.
        show_progress: Show a bar over pairs and methods.

    Returns:
        Name -> DPR of that method's maps of image A.
    """
    metrics = {
        name: DecisionPatchReplacement(
            siamese,
            threshold,
            cells=getattr(method, "cells", None),
            batch_size=2 * batch_size,
        )
        for name, method in methods.items()
    }
    genuine = patched.genuine
    total = len(patched) * len(methods)
    with tqdm(total=total, unit="map", desc="DPR", disable=not show_progress) as bar:
        for start in range(0, len(patched), batch_size):
            chosen = range(start, min(start + batch_size, len(patched)))
            patched_a, original_a, img_b = (images.to(device) for images in patched.tensors(chosen))
            for name, method in methods.items():
                bar.set_postfix_str(name)
                map_a = _map_of_a(method, patched_a, img_b, patched, chosen, show_progress)
                metrics[name].update((patched_a, img_b), original_a, map_a, genuine[chosen])
                bar.update(len(chosen))
    return {name: metric.compute() for name, metric in metrics.items()}


def _map_of_a(
    method: Method,
    patched_a: Tensor,
    img_b: Tensor,
    patched: PatchedPairs,
    chosen: Sequence[int],
    show_progress: bool,
) -> Tensor:
    extras: dict[str, Any] = {}
    if isinstance(method, PatchOracle):
        extras["patch_mask"] = patched.masks(chosen).to(patched_a.device)
    if isinstance(method, OcclusionPairAttribution):
        # Nobody measures the map of B here, and it costs as much again.
        extras |= {"explain": "a", "show_progress": show_progress}
    map_a: Tensor = method.attribute(patched_a, img_b, **extras)[0]
    return map_a
