"""xFace's second variant read in two other ways, to see what its figures come from."""

from __future__ import annotations

from typing import Any

import torch

from captum_fv.attr import OcclusionPairAttribution
from captum_fv.attr.pair import decision_sign


class UnsignedOcclusion(OcclusionPairAttribution):
    """How much covering a place changes the score, whichever way, with the sign of the decision."""

    def __init__(self, siamese: Any, threshold: float) -> None:
        super().__init__(siamese, variant=2, normalise_coverage=True)
        self.threshold = threshold

    def attribute(self, img_a: torch.Tensor, img_b: torch.Tensor, **options: Any) -> Any:
        """Maps of both images; positive after a match, negative after a non-match."""
        with torch.no_grad():
            sign = decision_sign(self.forward_func(img_a, img_b), self.threshold)
        return tuple(sign * side for side in super().attribute(img_a, img_b, **options))

    def _falls(self, *arguments: Any) -> torch.Tensor:
        return super()._falls(*arguments).abs()


def _even(siamese: Any, threshold: float) -> OcclusionPairAttribution:
    return OcclusionPairAttribution(siamese, variant=2, normalise_coverage=True)


OCCLUSION_VARIANTS = {
    "xface2_even": _even,
    "xface2_unsigned": UnsignedOcclusion,
}
"""Name -> (model, threshold) -> method: divided by coverage, and that without its sign."""
