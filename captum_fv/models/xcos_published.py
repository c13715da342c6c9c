"""The whole xCos model as its authors publish it: a recogniser, and a second body that explains."""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor, nn

from captum_fv.models.residual import IR_50, IRNet, XCosBody
from captum_fv.models.xcos.head import PatchedCosineHead


class XCos(nn.Module):
    """xCos with the ArcFace model whose cosine it imitates, both IR-SE-50.

    Parameter names are those of the authors' checkpoint. The ArcFace model, `backbone_target`,
    decides: `forward` is its embedding. `backbone` was trained further, along with the attention:
    `features` is its grid, which `patched_cosine_head` compares.

    Reference: Lin et al., "xCos: An Explainable Cosine Metric for Face Verification Task", ACM TOMM
    2021, https://github.com/ntubiolin/xcos.
    """

    def __init__(self) -> None:
        super().__init__()
        self.attention = PatchedCosineHead(512, (7, 7)).attention
        self.backbone = XCosBody()
        self.backbone_target = IRNet(IR_50, squeeze=True)

    @cached_property
    def patched_cosine_head(self) -> PatchedCosineHead:
        """The published head; it shares its layers with this model."""
        with torch.device("meta"):  # its own layers are replaced
            head = PatchedCosineHead(512, (7, 7))
        head.conv1x1, head.attention = self.backbone.conv1x1, self.attention
        return head.train(self.training)

    def features(self, x: Tensor) -> Tensor:
        """Images (N, 3, 112, 112) -> the grid of the body that explains, (N, 512, 7, 7)."""
        return self.backbone.features(x)

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, 3, 112, 112) -> embeddings (N, 512) of the recogniser, not normalised."""
        embedding: Tensor = self.backbone_target(x)
        return embedding
