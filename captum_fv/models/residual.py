"""Residual networks of ArcFace's family: IResNet, and the IR and IR-SE of others."""

from __future__ import annotations

from collections.abc import MutableMapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

IR_18 = (2, 2, 2, 2)
IR_50 = (3, 4, 14, 3)
IR_101 = (3, 13, 30, 3)


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
        to_checkpoint = partial(_rename, old="norm.", new="features.")
        from_checkpoint = partial(_rename, old="features.", new="norm.")
        self.register_state_dict_post_hook(to_checkpoint)  # type: ignore[no-untyped-call]
        self.register_load_state_dict_pre_hook(from_checkpoint)  # type: ignore[no-untyped-call]

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


class IRNet(nn.Module):
    """Residual network with or without squeeze-and-excitation, 112 x 112 in, 512 numbers out.

    Parameter names are those of the authors' checkpoints. `forward` returns the embedding alone,
    where CurricularFace's returns (embedding, grid), AdaFace's (embedding, length), and those of
    AdaFace and InsightFace_Pytorch divide it by its length, which leaves the cosine as it is.

    Args:
        units: Residual units in each of the four stages: IR_18, IR_50 or IR_101.
        squeeze: Whether a squeeze-and-excitation module, with reduction 16, ends each unit.
        scaled: Whether the batch norm of the embedding has a scale and a shift of its own.
        normed: Whether a unit has a batch norm between its first convolution and the PReLU.

    Reference: Huang et al., "CurricularFace", CVPR 2020,
    https://github.com/HuangYG123/CurricularFace (IR_101, scaled=False); Hu et al.,
    "Squeeze-and-Excitation Networks", CVPR 2018, as in
    https://github.com/TreB1eN/InsightFace_Pytorch (IR_50, squeeze=True);
    https://github.com/ZhaoJ9014/face.evoLVe (IR_50); https://github.com/Tencent/TFace and Kim et
    al., "AdaFace", CVPR 2022 (normed=True, scaled=False). The layouts of the last three are those
    of the published code; none of their checkpoints was at hand here.
    """

    def __init__(
        self,
        units: tuple[int, int, int, int],
        *,
        squeeze: bool = False,
        scaled: bool = True,
        normed: bool = False,
    ) -> None:
        super().__init__()
        self.input_layer = nn.Sequential(_conv3x3(3, 64), nn.BatchNorm2d(64), nn.PReLU(64))
        self.output_layer = nn.Sequential(
            nn.BatchNorm2d(512),
            nn.Dropout(0.4),
            nn.Flatten(),
            nn.Linear(512 * 7 * 7, 512),
            nn.BatchNorm1d(512, affine=scaled),
        )
        self.body = nn.Sequential()
        channels_in = 64
        for channels, count in zip((64, 128, 256, 512), units, strict=True):
            for unit in range(count):
                self.body.append(_Unit(channels_in, channels, 1 if unit else 2, squeeze, normed))
                channels_in = channels

    def features(self, x: Tensor) -> Tensor:
        """Images (N, 3, 112, 112) -> the last spatial grid (N, 512, 7, 7)."""
        grid: Tensor = self.body(self.input_layer(x))
        return grid

    def head(self, grid: Tensor) -> Tensor:
        """Grid (N, 512, 7, 7) -> embeddings (N, 512); affine in evaluation mode."""
        embedding: Tensor = self.output_layer(grid)
        return embedding

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, 3, 112, 112) -> embeddings (N, 512), not normalised."""
        return self.head(self.features(x))


class XCosBody(IRNet):
    """The body of xCos: IR-SE-50 whose grid is also projected to 32 channels.

    The projection is xCos's grid G; `forward` gives the embedding of the original backbone.

    Reference: Lin et al., "xCos: An Explainable Cosine Metric for Face Verification Task", ACM TOMM
    2021, https://github.com/ntubiolin/xcos.
    """

    def __init__(self) -> None:
        super().__init__(IR_50, squeeze=True)
        self.conv1x1 = nn.Sequential(nn.Conv2d(512, 32, 1), nn.BatchNorm2d(32), nn.PReLU(32))

    def project(self, grid: Tensor) -> Tensor:
        """The last spatial grid (N, 512, 7, 7) -> xCos's grid (N, 32, 7, 7)."""
        projected: Tensor = self.conv1x1(grid)
        return projected


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
        self.downsample = _projection(channels_in, channels, stride) if stride > 1 else None

    def forward(self, x: Tensor) -> Tensor:
        residual: Tensor = self.prelu(self.bn2(self.conv1(self.bn1(x))))
        residual = self.bn3(self.conv2(residual))
        return residual + (x if self.downsample is None else self.downsample(x))


def _stage(channels_in: int, channels: int, blocks: int) -> nn.Sequential:
    rest = (_Block(channels, channels, stride=1) for _ in range(blocks - 1))
    return nn.Sequential(_Block(channels_in, channels, stride=2), *rest)


class _Unit(nn.Module):
    """BN, 3x3, perhaps BN, PReLU, 3x3 with the stride, BN, perhaps SE; the shortcut only picks
    every pixel that the stride keeps, or projects where the channels change.
    """

    def __init__(
        self, channels_in: int, channels: int, stride: int, squeeze: bool, normed: bool
    ) -> None:
        super().__init__()
        self.shortcut_layer: nn.Module = nn.MaxPool2d(1, stride)
        if channels_in != channels:
            self.shortcut_layer = _projection(channels_in, channels, stride)
        self.res_layer = nn.Sequential(
            nn.BatchNorm2d(channels_in),
            _conv3x3(channels_in, channels),
            *([nn.BatchNorm2d(channels)] if normed else []),
            nn.PReLU(channels),
            _conv3x3(channels, channels, stride),
            nn.BatchNorm2d(channels),
        )
        if squeeze:
            self.res_layer.append(_SqueezeExcite(channels))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.res_layer(x) + self.shortcut_layer(x)
        return out


class _SqueezeExcite(nn.Module):
    # Activations are modules, not functions, so that DeepLift's rules find them.
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, channels // 16, 1, bias=False)
        self.relu = nn.ReLU()
        self.fc2 = nn.Conv2d(channels // 16, channels, 1, bias=False)
        self.sigmoid = nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        weights: Tensor = self.fc1(x.mean((2, 3), keepdim=True))
        weights = self.sigmoid(self.fc2(self.relu(weights)))
        return x * weights


def _conv3x3(channels_in: int, channels: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels, 3, stride, padding=1, bias=False)


def _projection(channels_in: int, channels: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)
    )


def _rename(
    _: nn.Module, state: MutableMapping[str, Any], prefix: str, *__: object, old: str, new: str
) -> None:
    for key in [key for key in state if key.startswith(prefix + old)]:
        state[prefix + new + key.removeprefix(prefix + old)] = state.pop(key)
