"""DPR: put a perturbed image back where the map says, and watch the errors go."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from captum_fv.core.arrays import BoolArray, FloatArray
from captum_fv.core.checks import as_number, check_counts
from captum_fv.core.waiting import step
from captum_fv.metrics.dpr_result import DPRResult
from captum_fv.metrics.positions import as_images, position_values, warn_of_constant_maps
from captum_fv.metrics.ranking import rank_maps, tied_shares
from captum_fv.metrics.rates import Values, as_labels
from captum_fv.metrics.replacement import (
    ForwardFunc,
    differing,
    ranked_together,
    replacing,
    score_and_hold_partners,
    turning_steps,
)
from captum_fv.siamese.batch_size import images_at_once


def decision_patch_replacement(
    forward_func: ForwardFunc,
    pair: tuple[Tensor, Tensor],
    original_a: Tensor,
    attributions: Tensor,
    threshold: float,
    genuine: Values,
    steps: int = 20,
    *,
    cells: tuple[int, int] | None = None,
    strata: Tensor | None = None,
    batch_size: int | None = None,
    show_progress: bool = False,
) -> DPRResult:
    """DPR: how fast do the errors go if the map chooses what to repair?

    The decision on the perturbed pair fixes the order for the whole curve: after a match the
    positions with the HIGHEST map values go back to the original's first, after a non-match those
    with the LOWEST. At step t exactly round(H*W * t / steps) positions have gone back; equal values
    go in one fixed random order, the same for all pairs and maps, and the result's `tied` says how
    many are equal. Image B is never touched. Any score, map and kind of image will do.

    A warning says how many maps are constant: they rank nothing, and score as chance does.

    Args:
        forward_func: (img_a, img_b) -> scores (N,). SiameseCosine embeds B only once.
        pair: Perturbed images A and images B, each (N, C, H, W).
        original_a: Images A before the perturbation, (N, C, H, W).
        attributions: Map of perturbed A given B, (N or 1, C or 1, H, W); channels are averaged.
        threshold: The clean data's decision threshold; a pair matches iff score >= threshold.
        genuine: (N,) bool.
        steps: How many points the curves have.
        cells: Replace whole cells of a (rows, columns) grid, ranked by their mean (as for xCos).
        strata: Stratified DPR: each position's stratum, (H, W) integers, as `face_rings` gives. The
            map ranks positions within their stratum alone, and each step replaces the same share of
            every one, so a map gains nothing by knowing which stratum matters.
        batch_size: Images per forward. It bounds the memory. None: 16, and on CUDA what a
            trial finds to be fastest.
        show_progress: Show a bar over the pairs.

    Raises:
        ValueError: Shapes that do not fit, NaN in a map or a score, only one class of pairs.

    Reference:
        Huber et al., WACV 2024, Sec. 4.3.

    >>> a, b = torch.ones(2, 1, 2, 2), torch.ones(2, 1, 2, 2)
    >>> run = decision_patch_replacement(
    ...     lambda a, b: (a * b).mean((1, 2, 3)), (a, b), 0 * a, a, 0.6, [True, False], steps=4)
    >>> run.scores[:, 0].tolist(), run.fmr.tolist()
    ([1.0, 0.75, 0.5, 0.25], [1.0, 1.0, 0.0, 0.0])
    """
    metric = DecisionPatchReplacement(
        forward_func, threshold, steps, cells=cells, strata=strata, batch_size=batch_size
    )
    metric.update(pair, original_a, attributions, genuine, show_progress=show_progress)
    return metric.compute()


@dataclass(eq=False)
class DecisionPatchReplacement:
    """DPR over batches: `update` with each, then `compute`. Arguments as in the function.

    Only scores are kept, so memory does not grow with the images.
    """

    forward_func: ForwardFunc
    threshold: float
    steps: int = 20
    _: KW_ONLY
    cells: tuple[int, int] | None = None
    strata: Tensor | None = None
    batch_size: int | None = None

    def __post_init__(self) -> None:
        check_counts(steps=self.steps)
        if self.batch_size is not None:
            check_counts(batch_size=self.batch_size)
        self.threshold = as_number("threshold", self.threshold)
        self.reset()

    def reset(self) -> None:
        """Forget all batches."""
        self._scores: list[Tensor] = []
        self._genuine: list[BoolArray] = []
        self._tied: list[FloatArray] = []

    def update(
        self,
        pair: tuple[Tensor, Tensor],
        original_a: Tensor,
        attributions: Tensor,
        genuine: Values,
        *,
        show_progress: bool = False,
    ) -> None:
        """Run DPR for a batch of pairs of any length."""
        scores, labels, tied = self.measure(
            pair, original_a, attributions, genuine, show_progress=show_progress
        )
        self._scores.append(scores)
        self._genuine.append(labels)
        self._tied.append(tied)

    @step()
    @torch.no_grad()
    def measure(
        self,
        pair: tuple[Tensor, Tensor],
        original_a: Tensor,
        attributions: Tensor,
        genuine: Values,
        *,
        show_progress: bool = False,
    ) -> tuple[Tensor, BoolArray, FloatArray]:
        """What `update` keeps of a batch: scores (T + 1, N), genuine (N,) and tied (N,)."""
        patched_a, img_b = as_images(pair, original_a=original_a)
        values = position_values(attributions, patched_a)
        labels = as_labels(genuine, len(patched_a))
        warn_of_constant_maps(values)
        at_once = images_at_once(self.forward_func, patched_a, batch_size=self.batch_size)
        tied, waiting, steps = [], [], self.steps
        with tqdm(total=len(patched_a), unit="pair", disable=not show_progress) as bar:
            for start in range(0, len(patched_a), at_once):
                some = slice(start, start + at_once)
                img_a, original, of_some = patched_a[some], original_a[some], values[some]
                first, score = score_and_hold_partners(self.forward_func, (img_a, img_b[some]))
                match = first >= self.threshold
                differs = differing(img_a, original)
                for rows in ranked_together(len(first), steps, at_once):
                    ranking = rank_maps(of_some[rows], match[rows], self.cells)
                    size = img_a.shape[2:]
                    step_of = turning_steps(ranking, steps, size, self.cells, self.strata)
                    images = img_a, original, differs
                    waiting.append(
                        replacing(score, first, *images, step_of, steps, at_once, rows=rows)
                    )
                    tied.append(tied_shares(of_some[rows], ranking))
                    bar.update(len(ranking.order))
        return torch.cat([finish() for finish in waiting], 1), labels, np.concatenate(tied)

    def compute(self) -> DPRResult:
        """Curves and areas over all batches so far."""
        if not self._scores:
            raise ValueError("no pairs yet; call update before compute")
        scores = torch.cat(self._scores, 1).numpy()
        genuine, tied = np.concatenate(self._genuine), np.concatenate(self._tied)
        return DPRResult(scores[:-1], scores[-1], genuine, self.threshold, tied)
