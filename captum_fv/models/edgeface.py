"""EdgeFace-XXS, whose network is timm's."""

from __future__ import annotations

import importlib

from torch import Tensor, nn

from captum_fv.models.programs import brief


class EdgeFace(nn.Module):
    """EdgeFace-XXS for 112 x 112 faces, 512 numbers out: timm's `edgenext_xx_small`.

    Parameter names are those of the authors' checkpoints, timm's own under `model.`.

    Reference: George et al., "EdgeFace: Efficient Face Recognition Model for Edge Devices", IEEE
    T-BIOM 2024, https://github.com/otroshi/edgeface. Its larger variants, whose linear layers are
    factored, are not built here.

    Raises:
        ImportError: timm is not installed.
    """

    def __init__(self) -> None:
        super().__init__()
        try:
            timm = importlib.import_module("timm")
        except (ImportError, RuntimeError) as error:  # RuntimeError: a torchvision of another torch
            raise ImportError(
                f"EdgeFace's network is timm's ({brief(error)}); write pip install timm"
            ) from error
        self.model = timm.create_model("edgenext_xx_small", num_classes=512)

    def features(self, x: Tensor) -> Tensor:
        """Images (N, 3, 112, 112) -> the last spatial grid (N, 168, 3, 3)."""
        grid: Tensor = self.model.forward_features(x)
        return grid

    def head(self, grid: Tensor) -> Tensor:
        """Grid (N, 168, 3, 3) -> embeddings (N, 512)."""
        embedding: Tensor = self.model.forward_head(grid)
        return embedding

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, 3, 112, 112) -> embeddings (N, 512), not normalised."""
        return self.head(self.features(x))
