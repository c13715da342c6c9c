"""Control: what a perfect detector of the inserted patches would get."""

from __future__ import annotations

from typing import Any

import torch
from captum.attr import PerturbationAttribution
from captum.log import log_usage
from torch import Tensor

from captum_fv.attr.pair import Pair, as_pair, decision_sign, refuse_extras, score_pairs
from captum_fv.checks import check_dense, check_generator


class PatchOracle(PerturbationAttribution):  # type: ignore[misc]
    """The true patch mask with the sign of the decision; zero on image B, which has no patches.

    It is no upper bound for DPR: pixels inside the patches differ in weight, and it does not know
    how.

    Args:
        forward_func: (img_a, img_b) -> scores (N,).
        threshold: The decision threshold: a score, or a (N,) tensor with one for each pair.
        generator: Given, the pixels of the patches are ranked by chance, with values in (0.5, 1];
            else all are 1 and whoever ranks them breaks the ties.

    >>> control = PatchOracle(lambda a, b: torch.zeros(len(a)), threshold=0.3)
    >>> mask = torch.tensor([[[[True, False]]]])
    >>> img_a, img_b = torch.rand(2, 1, 3, 1, 2)
    >>> control.attribute(img_a, img_b, patch_mask=mask)[0][0, 0].tolist()
    [[-1.0, -0.0]]
    """

    def __init__(
        self,
        forward_func: Any,
        threshold: float | Tensor,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(forward_func)
        check_generator(generator)
        self.threshold = threshold
        self.generator = generator

    @log_usage(part_of_slo=True)  # type: ignore[untyped-decorator]
    def attribute(
        self,
        inputs: Tensor | Pair,
        img_b: Tensor | None = None,
        *,
        patch_mask: Tensor,
        target: None = None,
        additional_forward_args: Any = None,
        threshold: float | Tensor | None = None,
    ) -> Pair:
        """Maps in [-1, 1] for a batch of pairs; arguments and result as all methods have them.

        Args:
            patch_mask: Where image A was patched, bool, (N, 1, H, W), or (1, 1, H, W) for all
                pairs.
        """
        img_a, img_b = as_pair(inputs, img_b)
        refuse_extras(target)
        size = img_a.shape[-2:]
        if not isinstance(patch_mask, Tensor):
            raise TypeError(f"patch_mask: got {type(patch_mask).__name__}; want a tensor")
        check_dense("patch_mask", patch_mask)
        if patch_mask.dtype != torch.bool or patch_mask.shape not in (
            (len(img_a), 1, *size),
            (1, 1, *size),
        ):
            raise ValueError(
                f"patch_mask: got {patch_mask.dtype} {tuple(patch_mask.shape)}; want torch.bool "
                f"{(len(img_a), 1, *size)}"
            )
        with torch.no_grad():
            scores = score_pairs(self.forward_func, (img_a, img_b), additional_forward_args)
        sign = decision_sign(scores, self.threshold if threshold is None else threshold)
        ranks = patch_mask.to(sign)
        if self.generator is not None:
            chance = torch.rand(ranks.shape, generator=self.generator, device=self.generator.device)
            ranks = ranks * (1 - chance.to(ranks) / 2)
        return (sign * ranks).to(img_a).expand_as(img_a).clone(), torch.zeros_like(img_b)
