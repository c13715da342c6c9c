"""Inception-ResNet-v1 in the layout of facenet-pytorch's checkpoints."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

Kernel = int | tuple[int, int]


class InceptionResnetV1(nn.Module):
    """FaceNet's Inception-ResNet-v1 for 160 x 160 faces, 512 numbers out.

    Parameter names are those of facenet-pytorch's checkpoints, whose classifier `logits` is left
    out. There, a dropout stands before `last_linear`, and `forward` divides the embedding by its
    length, which leaves the cosine as it is.

    Reference: Szegedy et al., "Inception-v4, Inception-ResNet and the Impact of Residual
    Connections on Learning", AAAI 2017, as in https://github.com/timesler/facenet-pytorch. That its
    published weights give its published accuracy was not verified here.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv2d_1a = _Conv(3, 32, 3, stride=2)
        self.conv2d_2a = _Conv(32, 32, 3)
        self.conv2d_2b = _Conv(32, 64, 3, padding=1)
        self.maxpool_3a = nn.MaxPool2d(3, 2)
        self.conv2d_3b = _Conv(64, 80, 1)
        self.conv2d_4a = _Conv(80, 192, 3)
        self.conv2d_4b = _Conv(192, 256, 3, stride=2)
        self.repeat_1 = nn.Sequential(*(_block35() for _ in range(5)))
        self.mixed_6a = _Branches(
            _Conv(256, 384, 3, stride=2),
            nn.Sequential(
                _Conv(256, 192, 1), _Conv(192, 192, 3, padding=1), _Conv(192, 256, 3, stride=2)
            ),
            nn.MaxPool2d(3, 2),
        )
        self.repeat_2 = nn.Sequential(*(_block17() for _ in range(10)))
        self.mixed_7a = _Branches(
            nn.Sequential(_Conv(896, 256, 1), _Conv(256, 384, 3, stride=2)),
            nn.Sequential(_Conv(896, 256, 1), _Conv(256, 256, 3, stride=2)),
            nn.Sequential(
                _Conv(896, 256, 1), _Conv(256, 256, 3, padding=1), _Conv(256, 256, 3, stride=2)
            ),
            nn.MaxPool2d(3, 2),
        )
        self.repeat_3 = nn.Sequential(*(_block8(0.2) for _ in range(5)))
        self.block8 = _block8(1.0, last=True)
        self.avgpool_1a = nn.AdaptiveAvgPool2d(1)
        self.last_linear = nn.Linear(1792, 512, bias=False)
        self.last_bn = nn.BatchNorm1d(512, eps=1e-3)

    def features(self, x: Tensor) -> Tensor:
        """Images (N, 3, 160, 160) -> the last spatial grid (N, 1792, 3, 3)."""
        x = self.maxpool_3a(self.conv2d_2b(self.conv2d_2a(self.conv2d_1a(x))))
        x = self.repeat_1(self.conv2d_4b(self.conv2d_4a(self.conv2d_3b(x))))
        x = self.repeat_3(self.mixed_7a(self.repeat_2(self.mixed_6a(x))))
        grid: Tensor = self.block8(x)
        return grid

    def head(self, grid: Tensor) -> Tensor:
        """Grid (N, 1792, 3, 3) -> embeddings (N, 512); affine in evaluation mode."""
        embedding: Tensor = self.last_bn(self.last_linear(self.avgpool_1a(grid).flatten(1)))
        return embedding

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, 3, 160, 160) -> embeddings (N, 512), not normalised."""
        return self.head(self.features(x))


class _Conv(nn.Sequential):
    """Convolution, batch norm, ReLU."""

    def __init__(
        self, inputs: int, outputs: int, kernel: Kernel, stride: int = 1, padding: Kernel = 0
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=1e-3)
        self.relu = nn.ReLU()


class _Branches(nn.Module):
    """Several ways through, their channels side by side."""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        self.count = len(branches)
        for number, branch in enumerate(branches):
            self.add_module(f"branch{number}", branch)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.get_submodule(f"branch{i}")(x) for i in range(self.count)], 1)


class _Residual(_Branches):
    """The branches' sum, projected and scaled, beside the shortcut."""

    def __init__(
        self, branches: Sequence[nn.Module], joined: int, channels: int, scale: float, last: bool
    ) -> None:
        super().__init__(*branches)
        self.scale = scale
        self.conv2d = nn.Conv2d(joined, channels, 1)
        self.relu = nn.Identity() if last else nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.relu(x + self.scale * self.conv2d(super().forward(x)))
        return out


def _block35() -> _Residual:
    branches = [
        _Conv(256, 32, 1),
        nn.Sequential(_Conv(256, 32, 1), _Conv(32, 32, 3, padding=1)),
        nn.Sequential(_Conv(256, 32, 1), _Conv(32, 32, 3, padding=1), _Conv(32, 32, 3, padding=1)),
    ]
    return _Residual(branches, 96, 256, 0.17, last=False)


def _block17() -> _Residual:
    return _Residual(_cross(896, 128, 7), 256, 896, 0.1, last=False)


def _block8(scale: float, last: bool = False) -> _Residual:
    return _Residual(_cross(1792, 192, 3), 384, 1792, scale, last)


def _cross(inputs: int, width: int, length: int) -> list[nn.Module]:
    """A 1x1, and a 1x1 followed by a row and a column."""
    side = length // 2
    return [
        _Conv(inputs, width, 1),
        nn.Sequential(
            _Conv(inputs, width, 1),
            _Conv(width, width, (1, length), padding=(0, side)),
            _Conv(width, width, (length, 1), padding=(side, 0)),
        ),
    ]
