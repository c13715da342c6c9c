"""Deletion and insertion as Lu et al. report them: how many decisions stay right."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from captum_fv.metrics.bootstrap import Interval
from captum_fv.metrics.deletion import deletion_insertion
from captum_fv.metrics.deletion_result import DeletionInsertionResult, Population
from captum_fv.metrics.rates import Values
from captum_fv.metrics.removal import Fill
from captum_fv.metrics.replacement import ForwardFunc

LU_STEPS = 10
"""0, 10, ... 100 % of the positions."""


class LuFigures(NamedTuple):
    """Areas under the accuracy curves in per cent, as published, with intervals over pairs."""

    deletion: Interval
    insertion: Interval

    @classmethod
    def of(cls, run: DeletionInsertionResult, confidence: float = 0.95) -> LuFigures:
        """The areas under the curves of a run."""
        deletion, insertion = (
            Interval(*(100 * end for end in run.auc(curve, "accuracy", confidence)))
            for curve in ("deletion", "insertion")
        )
        return cls(deletion, insertion)


def lu_deletion_insertion(
    forward_func: ForwardFunc,
    pair: tuple[Tensor, Tensor],
    attributions: Tensor,
    threshold: float,
    genuine: Values,
    population: Population,
    *,
    fill: Fill | float | Tensor = "black",
    batch_size: int | None = None,
) -> LuFigures:
    r"""Lu's deletion and insertion: the share of right decisions as the map removes or adds places.

    .. math:: AUC = \frac{100}{10} \sum_{t=1}^{10} \frac{acc_{t-1} + acc_t}{2}, \qquad
              acc_t = \mathrm{mean}_k [(s_k(t) \ge th) = genuine_k]

    with the top 10 t % of the map of A removed from A (deletion), or alone kept (insertion); B
    stays as it is. The population decides what is measured:

    - "genuine": acceptances of similarity maps. Low deletion and high insertion are good.
    - "impostor": rejections of dissimilarity maps (the lowest values first): likewise.
    - "all": similarity maps on every pair. Beware: a black or empty probe matches nobody, so every
      impostor pair stays right and accuracy ends at their share, 50 % in LFW, and not at 0. Figures
      under 50 are of genuine pairs, figures between 50 and 60 often of all: they do not compare.

    Whatever the population, maps that explain nothing must stand in the same table: `CentrePrior`,
    `SensitivityControl` and `RandomPairBaseline`.

    Args:
        forward_func, pair, attributions, threshold, genuine, population, batch_size: As in
            `deletion_insertion`. The published threshold is that of the EER on clean pairs.
        fill: What removed places show; "black" as published, or another of `deletion_insertion`.

    Raises:
        ValueError: As in `deletion_insertion`.

    Reference:
        Lu, Xu, Ebrahimi: Towards Visual Saliency Explanations of Face Verification, WACV 2024; of
            dissimilarity maps: Explainable Face Verification via Feature-Guided Gradient
            Backpropagation, FG 2024.

    >>> import torch
    >>> pair, ramp = (torch.ones(1, 1, 2, 5),) * 2, torch.rand(1, 1, 2, 5)
    >>> bright = lambda a, b: a.mean((1, 2, 3))
    >>> print(lu_deletion_insertion(bright, pair, ramp, 0.45, [True], "genuine", fill=0.0).deletion)
    55.00 [55.00, 55.00]
    """
    run = deletion_insertion(
        forward_func,
        pair,
        attributions,
        threshold,
        genuine,
        population,
        LU_STEPS,
        fill=fill,
        batch_size=batch_size,
    )
    return LuFigures.of(run)
