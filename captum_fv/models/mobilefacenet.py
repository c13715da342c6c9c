"""MobileFaceNet in the two layouts in which its checkpoints come."""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn


class MobileFaceNet(nn.Module):
    """MobileFaceNet for 112 x 112 faces, 512 numbers out.

    Its head is the paper's: a global depthwise convolution, then a linear layer. The authors'
    `forward` divides the embedding by its length, which leaves the cosine as it is.

    Reference: Chen et al., "MobileFaceNets", CCBR 2018, Table 1, as in
    https://github.com/TreB1eN/InsightFace_Pytorch.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = _Conv(3, 64, 3, stride=2)
        self.conv2_dw = _Conv(64, 64, 3, groups=64)
        self.conv_23 = _Bottleneck(64, 128, 64, stride=2)
        self.conv_3 = _residual(64, 128, 4)
        self.conv_34 = _Bottleneck(64, 256, 128, stride=2)
        self.conv_4 = _residual(128, 256, 6)
        self.conv_45 = _Bottleneck(128, 512, 128, stride=2)
        self.conv_5 = _residual(128, 256, 2)
        self.conv_6_sep = _Conv(128, 512, 1)
        self.output_layer = nn.Sequential()
        self.output_layer.conv_6_dw = _Conv(512, 512, 7, groups=512, linear=True)
        self.output_layer.flatten = nn.Flatten()
        self.output_layer.linear = nn.Linear(512, 512, bias=False)
        self.output_layer.bn = nn.BatchNorm1d(512)

    def features(self, x: Tensor) -> Tensor:
        """Images (N, 3, 112, 112) -> the last spatial grid (N, 512, 7, 7)."""
        x = self.conv_3(self.conv_23(self.conv2_dw(self.conv1(x))))
        x = self.conv_5(self.conv_45(self.conv_4(self.conv_34(x))))
        grid: Tensor = self.conv_6_sep(x)
        return grid

    def head(self, grid: Tensor) -> Tensor:
        """Grid (N, 512, 7, 7) -> embeddings (N, 512); affine in evaluation mode."""
        embedding: Tensor = self.output_layer(grid)
        return embedding

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, 3, 112, 112) -> embeddings (N, 512), not normalised."""
        return self.head(self.features(x))


class MobileFaceNetCASIA(nn.Module):
    """MobileFaceNet for faces 112 high and 96 wide, 128 numbers out, trained on CASIA-WebFace.

    Such a face is the 112 x 112 face of ArcFace's template without its 8 outer columns on each
    side: `face[:, :, :, 8:104]`.

    Reference: Chen et al., "MobileFaceNets", CCBR 2018, Table 1, as in
    https://github.com/Xiaoccer/MobileFaceNet_Pytorch.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = _Conv(3, 64, 3, stride=2)
        self.dw_conv1 = _Conv(64, 64, 3, groups=64)
        self.blocks = nn.Sequential()
        channels_in = 64
        # Expansion, channels, blocks, stride of the first: the rows of the paper's Table 1.
        for expansion, channels, count, stride in (
            (2, 64, 5, 2),
            (4, 128, 1, 2),
            (2, 128, 6, 1),
            (4, 128, 1, 2),
            (2, 128, 2, 1),
        ):
            for block in range(count):
                hidden = channels_in * expansion
                self.blocks.append(_Flat(channels_in, hidden, channels, 1 if block else stride))
                channels_in = channels
        self.conv2 = _Conv(128, 512, 1)
        self.linear7 = _Conv(512, 512, (7, 6), groups=512, linear=True)
        self.linear1 = _Conv(512, 128, 1, linear=True)

    def features(self, x: Tensor) -> Tensor:
        """Images (N, 3, 112, 96) -> the last spatial grid (N, 512, 7, 6)."""
        grid: Tensor = self.conv2(self.blocks(self.dw_conv1(self.conv1(x))))
        return grid

    def head(self, grid: Tensor) -> Tensor:
        """Grid (N, 512, 7, 6) -> embeddings (N, 128); affine in evaluation mode."""
        embedding: Tensor = self.linear1(self.linear7(grid)).flatten(1)
        return embedding

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, 3, 112, 96) -> embeddings (N, 128), not normalised."""
        return self.head(self.features(x))


class _Conv(nn.Sequential):
    """Convolution, padded if it is 3x3, batch norm and, unless linear, a PReLU."""

    def __init__(
        self,
        channels_in: int,
        channels: int,
        kernel: int | tuple[int, int],
        stride: int = 1,
        groups: int = 1,
        linear: bool = False,
    ) -> None:
        super().__init__()
        padding = 1 if kernel == 3 else 0
        self.conv = nn.Conv2d(
            channels_in, channels, kernel, stride, padding, groups=groups, bias=False
        )
        self.bn = nn.BatchNorm2d(channels)
        if not linear:
            self.prelu = nn.PReLU(channels)


class _Bottleneck(nn.Module):
    """Expand (1x1), depthwise (3x3, the stride), project (1x1, linear); a shortcut at stride 1."""

    def __init__(self, channels_in: int, hidden: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv = _Conv(channels_in, hidden, 1)
        self.conv_dw = _Conv(hidden, hidden, 3, stride, groups=hidden)
        self.project = _Conv(hidden, channels, 1, linear=True)
        self.shortcut = stride == 1

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.project(self.conv_dw(self.conv(x)))
        return out + x if self.shortcut else out


class _Flat(nn.Module):
    """The same bottleneck as one numbered sequence; a shortcut wherever it fits."""

    def __init__(self, channels_in: int, hidden: int, channels: int, stride: int) -> None:
        super().__init__()
        parts = _Bottleneck(channels_in, hidden, channels, stride).children()
        self.conv = nn.Sequential(*(layer for part in parts for layer in part.children()))
        self.shortcut = stride == 1 and channels_in == channels

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(x)
        return out + x if self.shortcut else out


def _residual(channels: int, hidden: int, blocks: int) -> nn.Sequential:
    units = (_Bottleneck(channels, hidden, channels, stride=1) for _ in range(blocks))
    return nn.Sequential(OrderedDict(model=nn.Sequential(*units)))
