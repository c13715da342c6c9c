"""DPR as a metric of Quantus."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from captum_fv.adapters.classifiers import Array, PairClassifier, towards
from captum_fv.core.toolkits import needs
from captum_fv.metrics.dpr import DecisionPatchReplacement
from captum_fv.metrics.rates import Values

with needs("Quantus", "quantus"):
    import quantus


class QuantusDPR(quantus.PixelFlipping):  # type: ignore[misc]
    """Decision-based patch replacement: A's pixels do not turn black, they go back to the original.

    A call as of any metric of Quantus, with a PairClassifier, gives the area under each pair's
    error curve; `result` then has the curves. Its scores are `decision_patch_replacement`'s own.

    Args:
        original_a: Images A before the perturbation, (N, C, H, W).
        genuine: (N,) bool.
        steps: How many points the curves have.
    """

    name = "DPR"

    def __init__(self, original_a: Tensor, genuine: Values, steps: int = 20) -> None:
        super().__init__(normalise=False, disable_warnings=True)
        self.truth = {"original_batch": original_a.numpy(), "genuine_batch": genuine}
        self.steps = steps

    def custom_preprocess(self, model: Any, **others: Any) -> dict[str, Any]:
        """Begins anew; Quantus cuts what this returns into batches.

        Raises:
            TypeError: The model is no PairClassifier.
        """
        pairs = model.get_model()
        if not isinstance(pairs, PairClassifier):
            raise TypeError(
                f"model: got {type(pairs).__name__}; write PairClassifier(siamese, threshold)"
            )
        self.dpr = DecisionPatchReplacement(pairs.siamese, pairs.threshold, self.steps)
        return self.truth

    def evaluate_batch(
        self,
        x_batch: Array,
        y_batch: Array,
        a_batch: Array,
        original_batch: Array,
        genuine_batch: Array,
        **others: Any,
    ) -> list[float]:
        """Adds a batch; its areas come with all the others'."""
        maps = torch.from_numpy(towards(y_batch, a_batch))
        patched_a, img_b = torch.from_numpy(x_batch).chunk(2, dim=1)
        original_a = torch.from_numpy(original_batch)
        self.dpr.update((patched_a, img_b), original_a, maps.chunk(2, dim=1)[0], genuine_batch)
        return []

    def custom_postprocess(self, **others: Any) -> None:
        """The result over all batches."""
        self.result = self.dpr.compute()
        self.evaluation_scores = self.result.pair_auc.tolist()
