"""Control: how sensitive the score is to each pixel, without asking for or against what."""

from __future__ import annotations

from typing import Any

from captum.attr import GradientAttribution
from captum.log import log_usage
from torch import Tensor

from captum_fv.attr.pair import (
    Pair,
    as_pair,
    decision_sign,
    input_gradients,
    refuse_extras,
    score_pairs,
)
from captum_fv.checks import image_gradients


class SensitivityControl(GradientAttribution):  # type: ignore[misc]
    r"""Plain gradient magnitude with the sign of the decision.

    .. math:: map = sign(s - th) \cdot |\partial s / \partial A|

    It says where the score is sensitive and nothing about what is similar. A method that does not
    beat it gains nothing from its polarity.

    Args:
        forward_func: (img_a, img_b) -> scores (N,), differentiable.
        threshold: The decision threshold: a score, or a (N,) tensor with one for each pair.

    >>> import torch
    >>> control = SensitivityControl(lambda a, b: (a * b).mean((1, 2, 3)), threshold=0.3)
    >>> map_a, _ = control.attribute(torch.zeros(1, 3, 2, 2), torch.ones(1, 3, 2, 2))
    >>> map_a[0, 0, 0].tolist()
    [-0.0833333358168602, -0.0833333358168602]
    """

    def __init__(self, forward_func: Any, threshold: float | Tensor) -> None:
        super().__init__(forward_func)
        self.threshold = threshold

    @log_usage(part_of_slo=True)  # type: ignore[untyped-decorator]
    def attribute(
        self,
        inputs: Tensor | Pair,
        img_b: Tensor | None = None,
        *,
        target: None = None,
        additional_forward_args: Any = None,
        threshold: float | Tensor | None = None,
    ) -> Pair:
        """Maps for a batch of pairs; arguments and result as all methods have them."""
        pair = as_pair(inputs, img_b)
        refuse_extras(target)
        with input_gradients(pair) as leaves:
            scores = score_pairs(self.forward_func, leaves, additional_forward_args)
            grad_a, grad_b = image_gradients(scores, leaves)
        sign = decision_sign(scores.detach(), self.threshold if threshold is None else threshold)
        sign = sign.to(grad_a)
        return sign * grad_a.abs(), sign * grad_b.abs()
