"""IR and IR-SE: the residual networks of CurricularFace, InsightFace_Pytorch and xCos."""

from __future__ import annotations

from torch import Tensor, nn

IR_50 = (3, 4, 14, 3)
IR_101 = (3, 13, 30, 3)


class IRNet(nn.Module):
    """Residual network with or without squeeze-and-excitation, 112 x 112 in, 512 numbers out.

    Parameter names are those of the authors' checkpoints. `forward` returns the embedding alone,
    where CurricularFace's returns (embedding, grid) and InsightFace_Pytorch's divides the embedding
    by its length, which leaves the cosine as it is.

    Args:
        units: Residual units in each of the four stages: IR_50 or IR_101.
        squeeze: Whether a squeeze-and-excitation module, with reduction 16, ends each unit.
        scaled: Whether the batch norm of the embedding has a scale and a shift of its own.

    Reference: Huang et al., "CurricularFace", CVPR 2020,
    https://github.com/HuangYG123/CurricularFace (IR_101, scaled=False); Hu et al.,
    "Squeeze-and-Excitation Networks", CVPR 2018, as in
    https://github.com/TreB1eN/InsightFace_Pytorch (IR_50, squeeze=True).
    """

    def __init__(
        self, units: tuple[int, int, int, int], *, squeeze: bool = False, scaled: bool = True
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
                self.body.append(_Unit(channels_in, channels, 1 if unit else 2, squeeze))
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


class _Unit(nn.Module):
    """BN, 3x3, PReLU, 3x3 with the stride, BN, perhaps SE; the shortcut only picks every pixel that
    the stride keeps, or projects where the channels change.
    """

    def __init__(self, channels_in: int, channels: int, stride: int, squeeze: bool) -> None:
        super().__init__()
        self.shortcut_layer: nn.Module = nn.MaxPool2d(1, stride)
        if channels_in != channels:
            self.shortcut_layer = nn.Sequential(
                nn.Conv2d(channels_in, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)
            )
        self.res_layer = nn.Sequential(
            nn.BatchNorm2d(channels_in),
            _conv3x3(channels_in, channels),
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
    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, channels // reduction, 1, bias=False)
        self.relu = nn.ReLU()
        self.fc2 = nn.Conv2d(channels // reduction, channels, 1, bias=False)
        self.sigmoid = nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        weights: Tensor = self.fc1(x.mean((2, 3), keepdim=True))
        weights = self.sigmoid(self.fc2(self.relu(weights)))
        return x * weights


def _conv3x3(channels_in: int, channels: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels, 3, stride, padding=1, bias=False)
