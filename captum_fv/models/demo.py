"""A small face embedder for generated faces, so that everything runs without a download."""

from __future__ import annotations

from importlib.resources import as_file, files

from safetensors.torch import load
from torch import Tensor, nn

from captum_fv.models.xcos.head import attach_head


def _conv(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.PReLU(outputs),
    )


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(_conv(width, width), _conv(width, width))

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = x + self.body(x)
        return result


class DemoBackbone(nn.Module):
    """A residual network of ArcFace's family (PReLU, BatchNorm, flattened 7x7 grid) in miniature.

    It knows only the faces of `captum_fv.data.generated` and is of no use on real ones.

    Args:
        dim: Length of the embedding.
    """

    mean = 0.5
    std = 0.5
    size = (112, 112)
    threshold = 0.3005
    """EER threshold of the shipped weights on `generated_pairs(1000)`, where the EER is 0.6 %."""

    def __init__(self, dim: int = 128) -> None:
        super().__init__()
        self.body = nn.Sequential(
            _conv(3, 16, stride=2),
            _conv(16, 32, stride=2),
            _Residual(32),
            _conv(32, 64, stride=2),
            _Residual(64),
            _conv(64, 80, stride=2),
            _Residual(80),
        )
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(80 * 7 * 7, dim, bias=False), nn.BatchNorm1d(dim)
        )

    def features(self, x: Tensor) -> Tensor:
        """The last spatial grid: (N, 3, 112, 112) normalised -> (N, 80, 7, 7)."""
        grid: Tensor = self.body(x)
        return grid

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, 3, 112, 112), normalised to [-1, 1] -> embeddings (N, dim)."""
        embedding: Tensor = self.head(self.features(x))
        return embedding


def load_demo_backbone() -> DemoBackbone:
    """The trained `DemoBackbone` that ships with the package and its xCos head, frozen.

    >>> import torch
    >>> load_demo_backbone()(torch.zeros(1, 3, 112, 112)).shape
    torch.Size([1, 128])
    """
    backbone = DemoBackbone()
    weights = files("captum_fv.models").joinpath("weights/demo.safetensors").read_bytes()
    backbone.load_state_dict(load(weights))
    with as_file(files("captum_fv.models").joinpath("weights/xcos_demo.safetensors")) as path:
        attach_head(backbone, path)
    return backbone.eval().requires_grad_(False)
