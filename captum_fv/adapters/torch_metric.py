"""DPR as a metric of torchmetrics."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from captum_fv.core.toolkits import needs
from captum_fv.metrics.dpr import DecisionPatchReplacement
from captum_fv.metrics.dpr_result import DPRResult
from captum_fv.metrics.rates import Values
from captum_fv.metrics.replacement import ForwardFunc

with needs("torchmetrics", "torchmetrics"):
    from torchmetrics import Metric
    from torchmetrics.utilities import dim_zero_cat


class TorchMetricsDPR(Metric):  # type: ignore[misc]
    """Decision-based patch replacement over batches, processes and a MetricCollection.

    `update` and what it means are `DecisionPatchReplacement`'s, and so are the figures. Between
    processes only scores travel.

    Args:
        forward_func: (img_a, img_b) -> scores (N,).
        threshold: The clean data's decision threshold.
        steps: How many points the curves have.
        cells, strata, batch_size: As `DecisionPatchReplacement` takes them.
        options: As torchmetrics' Metric takes them.

    >>> a, b = torch.ones(2, 1, 2, 2), torch.ones(2, 1, 2, 2)
    >>> dpr = TorchMetricsDPR(lambda a, b: (a * b).mean((1, 2, 3)), 0.6, steps=4)
    >>> dpr.update((a, b), 0 * a, a, torch.tensor([True, False]))
    >>> {name: area.item() for name, area in dpr.compute().items()}
    {'fmr_auc': 1.5, 'fnmr_auc': 1.5}
    """

    higher_is_better = False
    is_differentiable = False
    full_state_update = False

    scores: Any
    genuine: Any
    tied: Any

    def __init__(
        self,
        forward_func: ForwardFunc,
        threshold: float,
        steps: int = 20,
        *,
        cells: tuple[int, int] | None = None,
        strata: Tensor | None = None,
        batch_size: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        # Not as a module: the model's weights are no state of a metric.
        self._dpr = DecisionPatchReplacement(
            forward_func, threshold, steps, cells=cells, strata=strata, batch_size=batch_size
        )
        for name in ("scores", "genuine", "tied"):
            self.add_state(name, [], dist_reduce_fx="cat")
        # A collection takes metrics whose states are alike after one batch for one metric; those of
        # two thresholds may be so by chance.
        self.add_state("threshold", torch.tensor(self._dpr.threshold), dist_reduce_fx="max")

    def update(
        self,
        pair: tuple[Tensor, Tensor],
        original_a: Tensor,
        attributions: Tensor,
        genuine: Values,
    ) -> None:
        """Run DPR for a batch of pairs of any length."""
        scores, labels, tied = self._dpr.measure(pair, original_a, attributions, genuine)
        self.scores.append(scores.T.to(self.device))
        self.genuine.append(torch.from_numpy(labels).to(self.device))
        self.tied.append(torch.from_numpy(tied).to(self.device))

    def compute(self) -> dict[str, Tensor]:
        """Areas under both error curves, "fmr_auc" and "fnmr_auc", in [0, steps - 1]."""
        result = self.result()
        areas = {"fmr_auc": result.fmr_auc, "fnmr_auc": result.fnmr_auc}
        return {name: torch.tensor(area, device=self.device) for name, area in areas.items()}

    def result(self) -> DPRResult:
        """Curves, areas and intervals over the pairs of this process; of all within `sync_context`.

        Raises:
            ValueError: No pairs yet, or only of one class.
        """
        if not len(self.scores):
            raise ValueError("no pairs yet; call update before compute")
        scores, genuine, tied = (
            np.asarray(dim_zero_cat(state).cpu().numpy())
            for state in (self.scores, self.genuine, self.tied)
        )
        return DPRResult(scores.T[:-1], scores.T[-1], genuine, self._dpr.threshold, tied)
