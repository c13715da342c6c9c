"""DPR as a metric of Quantus, and its IROF and ROAD for photos of several channels."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from captum_fv.adapters.classifiers import Array, PairClassifier, towards
from captum_fv.core.toolkits import needs
from captum_fv.metrics.dpr import DecisionPatchReplacement
from captum_fv.metrics.rates import Values

with needs("Quantus", "quantus"):
    import quantus
    from quantus.functions.perturb_func import baseline_replacement_by_mask
    from quantus.helpers import utils


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
        self.truth = {"original_batch": original_a.detach().cpu().numpy(), "genuine_batch": genuine}
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


class QuantusIROF(quantus.IROF):  # type: ignore[misc]
    """IROF of Quantus with a HeldPartner: A's most relevant superpixels turn to a mean first.

    The mean is that of the batch. Quantus 0.6 stops at photos of several channels, and at NumPy
    2.4, which has no `trapz`; this one does not, and is otherwise the same. Higher is better.

    Args:
        options: As `quantus.IROF` takes them.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"perturb_func": _fill_segments} | options)

    def evaluate_batch(self, *batch: Any, **named: Any) -> Any:
        """The area over each pair's curve."""
        area = utils.calculate_auc
        utils.calculate_auc = _area
        try:
            return super().evaluate_batch(*batch, **named)
        finally:
            utils.calculate_auc = area


class QuantusROAD(quantus.ROAD):  # type: ignore[misc]
    """ROAD of Quantus with a HeldPartner: the share of pairs whose decision stands.

    The most relevant pixels of A are filled in from their surroundings. Quantus 0.6 counts each
    channel of a photo as pixels of its own, and then finds no place for them; this one ranks pixels
    by the mean of a map's channels, and is otherwise the same. Lower is better.

    Args:
        options: As `quantus.ROAD` takes them.
    """

    def evaluate_batch(self, x_batch: Array, a_batch: Array, **named: Any) -> Any:
        """Whether each decision stands, at every percentage."""
        pixels = a_batch.mean(1)
        self.a_size = pixels[0].size
        # Quantus takes the highest of all channels: so the first has them, and the others nothing.
        ranked = np.full(x_batch.shape, -np.inf)
        ranked[:, 0] = pixels
        return super().evaluate_batch(x_batch=x_batch, a_batch=ranked, **named)


def _fill_segments(arr: Array, mask: Array, **options: Any) -> Array:
    """Segments (N, 1, H, W) of images (N, C, H, W), filled in all channels."""
    filled = baseline_replacement_by_mask(arr, np.broadcast_to(mask, arr.shape), **options)
    return np.asarray(filled)


def _area(values: Array, dx: int = 1, batched: bool = False) -> Array:
    """`calculate_auc` of Quantus, by the name that NumPy has for it."""
    from scipy.integrate import trapezoid

    return np.asarray(trapezoid(values, dx=dx, axis=1 if batched else -1))
