"""The models that have names: where their authors publish them and which images they take."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from torch import nn

from captum_fv.models.ir_se import IR_50, IR_101, IRNet, XCosBody
from captum_fv.models.iresnet import IResNet
from captum_fv.models.mobilefacenet import MobileFaceNet, MobileFaceNetCASIA

Scale = float | tuple[float, float, float]

ARCHITECTURES: dict[str, Callable[[], nn.Module]] = {
    "iresnet18": partial(IResNet, (2, 2, 2, 2)),
    "iresnet34": partial(IResNet, (3, 4, 6, 3)),
    "iresnet50": partial(IResNet, (3, 4, 14, 3)),
    "iresnet100": partial(IResNet, (3, 13, 30, 3)),
    "ir-101": partial(IRNet, IR_101, scaled=False),
    "ir-se-50": partial(IRNet, IR_50, squeeze=True),
    "ir-se-50-xcos": XCosBody,
    "mobilefacenet": MobileFaceNet,
    "mobilefacenet-casia": MobileFaceNetCASIA,
}
"""How to build each architecture, its weights not yet its authors'."""


@dataclass(frozen=True)
class Entry:
    """What is known of one model: where its checkpoint is and which images it takes.

    Args:
        architecture: A key of ARCHITECTURES.
        source: The authors' page, with the checkpoint or the way to it.
        reference: The paper.
        licence: The licence of the weights.
        mean, std: Of the [0, 1] pixels: the model takes (pixel - mean) / std.
        channel_order: "RGB" or "BGR", as it was trained; what `load_backbone` returns takes RGB.
        size: Height and width of the image.
        dim: Length of the embedding.
        sha256: Of the checkpoint file; None where it is not known.
    """

    architecture: str
    source: str
    reference: str
    licence: str = "see the authors' page"
    mean: Scale = 0.5
    std: Scale = 0.5
    channel_order: str = "RGB"
    size: tuple[int, int] = (112, 112)
    dim: int = 512
    sha256: str | None = None


_ARCFACE = partial(
    Entry,
    source="https://github.com/deepinsight/insightface/tree/master/recognition/arcface_torch",
    reference="Deng et al., ArcFace, CVPR 2019",
    licence="non-commercial research (see the authors' page)",
)
_ELASTICFACE = partial(
    Entry,
    "iresnet100",
    source="https://github.com/fdbtrs/ElasticFace",
    reference="Boutros et al., ElasticFace, CVPR Workshops 2022",
    licence="CC BY-NC-SA 4.0",
)

CATALOGUE: dict[str, Entry] = {
    "iresnet18": _ARCFACE("iresnet18"),
    "iresnet34": _ARCFACE("iresnet34"),
    "iresnet50": _ARCFACE("iresnet50"),
    "iresnet100": _ARCFACE("iresnet100"),
    "arcface-r100": _ARCFACE("iresnet100"),
    "elasticface-arc": _ELASTICFACE(),
    "elasticface-cos": _ELASTICFACE(),
    "curricularface": Entry(
        "ir-101",
        source="https://github.com/HuangYG123/CurricularFace",
        reference="Huang et al., CurricularFace, CVPR 2020",
    ),
    "ir-se-50": Entry(
        "ir-se-50",
        source="https://github.com/TreB1eN/InsightFace_Pytorch",
        reference="Deng et al., ArcFace, CVPR 2019",
        channel_order="BGR",
    ),
    "xcos": Entry(
        "ir-se-50-xcos",
        source="https://github.com/ntubiolin/xcos",
        reference="Lin et al., xCos, ACM TOMM 2021",
    ),
    "mobilefacenet": Entry(
        "mobilefacenet",
        source="https://github.com/TreB1eN/InsightFace_Pytorch",
        reference="Chen et al., MobileFaceNets, CCBR 2018",
        channel_order="BGR",
    ),
    "mobilefacenet-casia": Entry(
        "mobilefacenet-casia",
        source="https://github.com/Xiaoccer/MobileFaceNet_Pytorch",
        reference="Chen et al., MobileFaceNets, CCBR 2018",
        std=128 / 255,
        size=(112, 96),
        dim=128,
    ),
}
"""Models whose authors publish a checkpoint, by the name that `load_backbone` takes.

The model that comes with this package, "demo", needs no entry.
"""


def describe_models() -> str:
    """A table of the models that `load_backbone` knows by name."""
    header = (
        "name",
        "architecture",
        "input",
        "trained on",
        "dim",
        "licence of the weights",
        "source",
    )
    rows = [("demo", "DemoBackbone", "112x112", "RGB", "128", "as this package", "in this package")]
    for name, entry in CATALOGUE.items():
        size = f"{entry.size[0]}x{entry.size[1]}"
        known = (entry.channel_order, str(entry.dim), entry.licence, entry.source)
        rows.append((name, entry.architecture, size, *known))
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in [header, *rows]
    )
    return "\n".join(lines)
