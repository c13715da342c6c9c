"""Control: the difference of the two pictures, without any model."""

from __future__ import annotations

from typing import Any

from captum.attr import PerturbationAttribution
from captum.log import log_usage
from torch import Tensor

from captum_fv.attr.pair import Pair, as_pair, refuse_extras


class PixelDifference(PerturbationAttribution):  # type: ignore[misc]
    """Negative absolute difference, -|A - B|: a method that loses to it explains nothing.

    Args:
        forward_func: The model, for the family's common signature; it is never called.

    >>> import torch
    >>> img_a, img_b = torch.ones(1, 1, 1, 2), torch.zeros(1, 1, 1, 2)
    >>> PixelDifference(None).attribute(img_a, img_b)[0].tolist()
    [[[[-1.0, -1.0]]]]
    """

    def __init__(self, forward_func: Any) -> None:
        super().__init__(forward_func)

    @log_usage(part_of_slo=True)  # type: ignore[untyped-decorator]
    def attribute(
        self,
        inputs: Tensor | Pair,
        img_b: Tensor | None = None,
        *,
        target: None = None,
        additional_forward_args: Any = None,
    ) -> Pair:
        """Maps <= 0 for a batch of pairs; arguments and result as all methods have them."""
        img_a, img_b = as_pair(inputs, img_b)
        refuse_extras(target)
        difference = -(img_a - img_b).abs()
        return difference, difference.clone()
