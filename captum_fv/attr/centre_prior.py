"""Control: look at the middle of the face, whatever the pair and the model."""

from __future__ import annotations

from typing import Any

import torch
from captum.attr import PerturbationAttribution
from captum.log import log_usage
from torch import Tensor

from captum_fv.attr.pair import Pair, as_pair, decision_sign, refuse_extras, score_pairs
from captum_fv.checks import as_number


class CentrePrior(PerturbationAttribution):  # type: ignore[misc]
    r"""A fixed Gaussian bump on the centre of an aligned face, with the sign of the decision.

    .. math:: map(y, x) = \pm \exp(-((y - cy)^2 + (x - cx)^2) / 2 \sigma^2)

    It sees neither image and explains nothing: a benchmark that it wins rewards looking at the
    centre. The forward function is asked for the score alone.

    Args:
        forward_func: (img_a, img_b) -> scores (N,).
        threshold: The decision threshold: a score, or a (N,) tensor with one for each pair.
        centre: (row, column) of the bump as shares of height and width; the default is the centre
            of the face under the ArcFace template, row 62 and column 56 of 112.
        sigma: Its width as a share of the height.

    >>> control = CentrePrior(lambda a, b: torch.ones(len(a)), threshold=0.3)
    >>> map_a, _ = control.attribute(torch.zeros(1, 3, 112, 112), torch.zeros(1, 3, 112, 112))
    >>> divmod(int(map_a[0, 0].argmax()), 112)
    (62, 56)
    """

    def __init__(
        self,
        forward_func: Any,
        threshold: float | Tensor,
        centre: tuple[float, float] = (62 / 112, 56 / 112),
        sigma: float = 0.25,
    ) -> None:
        super().__init__(forward_func)
        if not isinstance(centre, tuple | list) or len(centre) != 2:
            raise ValueError(f"centre: got {centre!r}; want (row, column) as shares")
        centre = as_number("centre", centre[0]), as_number("centre", centre[1])
        if not 0.001 <= as_number("sigma", sigma) <= 1000:
            raise ValueError(f"sigma: got {sigma}; want a share of the height, 0.001 to 1000")
        self.threshold = threshold
        self.centre = centre
        self.sigma = sigma

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
        """Maps in [-1, 1] for a batch of pairs; arguments and result as all methods have them."""
        img_a, img_b = as_pair(inputs, img_b)
        refuse_extras(target)
        with torch.no_grad():
            scores = score_pairs(self.forward_func, (img_a, img_b), additional_forward_args)
        sign = decision_sign(scores, self.threshold if threshold is None else threshold)
        height, width = img_a.shape[-2:]
        rows = torch.arange(height, device=img_a.device) - self.centre[0] * height
        columns = torch.arange(width, device=img_a.device) - self.centre[1] * width
        distance = (rows[:, None] ** 2 + columns**2) / (self.sigma * height) ** 2
        bump = (sign * torch.exp(-distance / 2)).to(img_a).expand_as(img_a)
        return bump.clone(), bump.clone()
