"""xCos as an explanation: which cells of two faces are alike, and which of them count."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from captum.attr import PerturbationAttribution
from torch import Tensor

from captum_fv.attr.pair import Pair, PairMethod, as_threshold, decision_sign
from captum_fv.core.checks import check_choice, check_values
from captum_fv.models.xcos.head import PatchedCosineHead
from captum_fv.siamese.backbone import contract, is_training, spatial_features
from captum_fv.siamese.model import SiameseCosine

CellValue = Literal["similarity", "weight", "contribution"]


class PatchedCosineAttribution(PairMethod, PerturbationAttribution):  # type: ignore[misc]
    r"""xCos: the cells' cosines S, their weights W, or what they contribute, S W.

    ================  ====================  ========================================
    output            as published          with a threshold
    ================  ====================  ========================================
    "similarity"      :math:`S`             :math:`S - th`
    "weight"          :math:`W`             :math:`sign(s - th) \cdot W`
    "contribution"    :math:`S W`           :math:`(S - th) W`
    ================  ====================  ========================================

    S says whether the faces are alike in a cell, W how much the cell counts. W has no side of its
    own: alone it is positive everywhere; with the threshold it takes the side of the decision, as
    evidence for what was decided. The contributions add up to xCos, or with the threshold to the
    margin xCos - th. A map is constant within a cell. No gradient is taken: the cost is one forward
    over both images, and one more for the decision that a signed W needs.

    Args:
        siamese: Its backbone has a method `features` that gives the spatial grid.
        head: Trained over this backbone. None: the one that the backbone brings along, as the demo
            backbone does.
        output: Which of the three.
        threshold: A cosine, or a (N,) tensor with one for each pair. None: maps as published.
        symmetrise: Weigh with the mean of W(A, B) and W(B, A). Else, as published, W(A, B) makes
            the map of A and W(B, A) that of B.

    Raises:
        TypeError: The model has no `.embed`, its backbone no `features`, or there is no head.
        ValueError: An unknown output, a grid that the head does not fit, a head that gives NaN,
            images that are no pair.

    Reference:
        Lin et al., "xCos: An Explainable Cosine Metric for Face Verification Task", ACM TOMM 2021.

    >>> import captum_fv as fv
    >>> xcos = PatchedCosineAttribution(SiameseCosine(fv.load_backbone("demo")))
    >>> map_a, map_b = xcos.attribute(*fv.generated_pairs(2).tensors([0, 1]))
    >>> map_a.shape, map_a[0, 0].unique().numel(), xcos.cells
    (torch.Size([2, 3, 112, 112]), 49, (7, 7))
    """

    reads_embeddings = True

    def __init__(
        self,
        siamese: SiameseCosine,
        head: PatchedCosineHead | None = None,
        output: CellValue = "similarity",
        *,
        threshold: float | Tensor | None = None,
        symmetrise: bool = False,
    ) -> None:
        super().__init__(siamese)
        check_choice("output", output, get_args(CellValue))
        spatial_features(siamese.backbone)
        found = contract(siamese.backbone).patched_cosine_head if head is None else head
        if not isinstance(found, PatchedCosineHead):
            raise TypeError(
                f"head: got {type(found).__name__}; want a PatchedCosineHead trained over this "
                "backbone. Train one with `captum-fv xcos-train` and pass it, as "
                "load_patched_cosine_head(path) or with --xcos-head"
            )
        self.head = found
        self.cells = found.size
        self.output = output
        self.threshold = threshold
        self.symmetrise = symmetrise

    def _maps(self, pair: Pair, threshold: float | Tensor | None, extra: None) -> Pair:
        if is_training(self.head):
            raise ValueError("the xCos head is in training mode; write head.eval()")
        with torch.no_grad():
            # Interleaved, as all pairs go through the backbone here: a0 b0 a1 b1 ...
            grids = self.head.project(self.forward_func.grids(torch.stack(pair, 1).flatten(0, 1)))
            grid_a, grid_b = grids[0::2], grids[1::2]
            similarity, weight_a = self.head.compare(grid_a, grid_b)
            weight_b = self.head.compare(grid_b, grid_a).weight
            check_values("what the xCos head gave", torch.stack([similarity, weight_a, weight_b]))
            if self.symmetrise:
                weight_a = weight_b = (weight_a + weight_b) / 2
            if threshold is not None and self.output == "weight":
                sign = decision_sign(self.forward_func(*pair), threshold)[:, 0].to(weight_a)
                weight_a, weight_b = sign * weight_a, sign * weight_b
            elif threshold is not None:
                level = as_threshold(threshold, similarity[:, 0, 0])
                similarity = similarity - level[:, None, None]
        maps = {
            "similarity": (similarity, similarity),
            "weight": (weight_a, weight_b),
            "contribution": (similarity * weight_a, similarity * weight_b),
        }
        map_a, map_b = maps[self.output]
        return _spread(map_a, pair[0]), _spread(map_b, pair[1])


def _spread(cells: Tensor, image: Tensor) -> Tensor:
    """Each cell's value at all pixels that DPR counts as the cell's, shaped like the image."""
    rows, columns = (
        torch.arange(pixels) * count // pixels
        for pixels, count in zip(image.shape[-2:], cells.shape[1:], strict=True)
    )
    spread = cells.to(image)[:, None, rows[:, None], columns]
    return spread.expand_as(image).clone()
