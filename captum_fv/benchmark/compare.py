"""Methods by pairs: score the clean pairs, explain the patched ones, measure the maps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from tqdm.auto import tqdm

from captum_fv.attr.methods import Method
from captum_fv.benchmark.measure import Protocol, measure_batch
from captum_fv.benchmark.results import replaced_result
from captum_fv.data.pairs import PairSet
from captum_fv.data.patched_pairs import PatchedPairs
from captum_fv.metrics.dpr_result import DPRResult
from captum_fv.metrics.rates import eer_threshold, equal_error_rate
from captum_fv.siamese.model import SiameseCosine


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
    protocol = Protocol(batch_size=2 * batch_size, localise=False)
    scores: dict[str, list[npt.NDArray[np.float64]]] = {name: [] for name in methods}
    total = len(patched) * len(methods)
    with tqdm(total=total, unit="map", desc="DPR", disable=not show_progress) as bar:

        def on_map(name: str, count: int) -> None:
            bar.set_postfix_str(name)
            bar.update(count)

        for start in range(0, len(patched), batch_size):
            batch = patched.batch(range(start, min(start + batch_size, len(patched)))).to(device)
            _, tables = measure_batch(
                siamese,
                methods,
                batch,
                threshold,
                protocol,
                on_map=on_map,
                show_progress=show_progress,
            )
            for name, table in tables.items():
                scores[name].append(table["replaced"])
    return {
        name: replaced_result(np.concatenate(parts), patched.genuine, threshold)
        for name, parts in scores.items()
    }
