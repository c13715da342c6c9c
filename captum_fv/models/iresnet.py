"""IResNet: the pre-activated residual network of ArcFace and ElasticFace."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

import torch
from torch import Tensor, nn


class IResNet(nn.Module):
    """Improved residual network, 112 x 112 RGB in, 512 numbers out.

    Parameter names are those of the checkpoints of InsightFace's arcface_torch and of ElasticFace.
    There, a dropout with p = 0 stands between `bn2` and `fc`, and the scale of the last batch norm
    was held at 1 in training.

    Args:
        blocks: Residual blocks in each of the four stages; IResNet-100 has (3, 13, 30, 3).

    Reference: Duta et al., "Improved Residual Networks for Image and Video Recognition", 2020, as
    in Deng et al., "ArcFace", CVPR 2019, https://github.com/deepinsight/insightface.

    >>> model = IResNet((2, 2, 2, 2)).eval()
    >>> model.features(torch.zeros(1, 3, 112, 112)).shape
    torch.Size([1, 512, 7, 7])
    """

    def __init__(self, blocks: tuple[int, int, int, int]) -> None:
        super().__init__()
        self.conv1 = _conv3x3(3, 64)
        self.bn1 = nn.BatchNorm2d(64)
        self.prelu = nn.PReLU(64)
        self.layer1 = _stage(64, 64, blocks[0])
        self.layer2 = _stage(64, 128, blocks[1])
        self.layer3 = _stage(128, 256, blocks[2])
        self.layer4 = _stage(256, 512, blocks[3])
        self.bn2 = nn.BatchNorm2d(512)
        self.fc = nn.Linear(512 * 7 * 7, 512)
        self.norm = nn.BatchNorm1d(512)
        # Checkpoints call the last batch norm "features", which here is what gives the grid.
        self.register_state_dict_post_hook(_to_checkpoint_names)  # type: ignore[no-untyped-call]
        self.register_load_state_dict_pre_hook(_from_checkpoint_names)  # type: ignore[no-untyped-call]

    def features(self, x: Tensor) -> Tensor:
        """Images (N, 3, 112, 112) -> the last spatial grid (N, 512, 7, 7)."""
        x = self.prelu(self.bn1(self.conv1(x)))
        grid: Tensor = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return grid

    def head(self, grid: Tensor) -> Tensor:
        """Grid (N, 512, 7, 7) -> embeddings (N, 512); affine in evaluation mode."""
        embedding: Tensor = self.norm(self.fc(torch.flatten(self.bn2(grid), 1)))
        return embedding

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, 3, 112, 112) -> embeddings (N, 512), not normalised."""
        return self.head(self.features(x))


class _Block(nn.Module):
    """BN, 3x3, BN, PReLU, 3x3 with the stride, BN; a 1x1 with BN on the shortcut if it strides."""

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(channels_in)
        self.conv1 = _conv3x3(channels_in, channels)
        self.bn2 = nn.BatchNorm2d(channels)
        self.prelu = nn.PReLU(channels)
        self.conv2 = _conv3x3(channels, channels, stride)
        self.bn3 = nn.BatchNorm2d(channels)
        self.downsample = None
        if stride > 1:
            self.downsample = nn.Sequential(
                nn.Conv2d(channels_in, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        residual: Tensor = self.prelu(self.bn2(self.conv1(self.bn1(x))))
        residual = self.bn3(self.conv2(residual))
        return residual + (x if self.downsample is None else self.downsample(x))


def _conv3x3(channels_in: int, channels: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels, 3, stride, padding=1, bias=False)


def _stage(channels_in: int, channels: int, blocks: int) -> nn.Sequential:
    rest = (_Block(channels, channels, stride=1) for _ in range(blocks - 1))
    return nn.Sequential(_Block(channels_in, channels, stride=2), *rest)


def _to_checkpoint_names(
    module: nn.Module, state: MutableMapping[str, Any], prefix: str, *_: object
) -> None:
    _rename(state, prefix + "norm.", prefix + "features.")


def _from_checkpoint_names(
    module: nn.Module, state: MutableMapping[str, Any], prefix: str, *_: object
) -> None:
    _rename(state, prefix + "features.", prefix + "norm.")


def _rename(state: MutableMapping[str, Any], old: str, new: str) -> None:
    for key in [key for key in state if key.startswith(old)]:
        state[new + key.removeprefix(old)] = state.pop(key)
