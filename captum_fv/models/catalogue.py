"""The models that have names: where their authors publish them and which images they take."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from torch import nn

from captum_fv.models.edgeface import EdgeFace
from captum_fv.models.inception import InceptionResnetV1
from captum_fv.models.mobilefacenet import MobileFaceNet, MobileFaceNetCASIA
from captum_fv.models.residual import IR_18, IR_50, IR_101, IResNet, IRNet, XCosBody
from captum_fv.models.xcos_published import XCos

ARCHITECTURES: dict[str, Callable[[], nn.Module]] = {
    "iresnet18": partial(IResNet, (2, 2, 2, 2)),
    "iresnet34": partial(IResNet, (3, 4, 6, 3)),
    "iresnet50": partial(IResNet, (3, 4, 14, 3)),
    "iresnet100": partial(IResNet, (3, 13, 30, 3)),
    "ir-101": partial(IRNet, IR_101, scaled=False),
    "ir-50": partial(IRNet, IR_50),
    "ir-se-50": partial(IRNet, IR_50, squeeze=True),
    "tface-ir-18": partial(IRNet, IR_18, normed=True, scaled=False),
    "tface-ir-50": partial(IRNet, IR_50, normed=True, scaled=False),
    "tface-ir-101": partial(IRNet, IR_101, normed=True, scaled=False),
    "ir-se-50-xcos": XCosBody,
    "xcos": XCos,
    "mobilefacenet": MobileFaceNet,
    "mobilefacenet-casia": MobileFaceNetCASIA,
    "inception-resnet-v1": InceptionResnetV1,
    "edgeface-xxs": EdgeFace,
}
"""How to build each architecture, its weights not yet its authors'."""


@dataclass(frozen=True)
class Entry:
    """What is known of one model: where its checkpoint is and which images it takes.

    Args:
        architecture: A key of ARCHITECTURES.
        source: The authors' page, with the checkpoint or the way to it.
        reference: The paper.
        licence: Of the weights, or of the repository that publishes them.
        mean, std: Of the [0, 1] pixels: the model takes (pixel - mean) / std.
        channel_order: "RGB" or "BGR", as it was trained; what `load_backbone` returns takes RGB.
        size: Height and width of the image.
        dim: Length of the embedding.
    """

    architecture: str
    source: str
    reference: str
    licence: str
    mean: float = 0.5
    std: float = 0.5
    channel_order: str = "RGB"
    size: tuple[int, int] = (112, 112)
    dim: int = 512


_ARCFACE = partial(
    Entry,
    source="https://github.com/deepinsight/insightface/tree/master/recognition/arcface_torch",
    reference="Deng et al., ArcFace, CVPR 2019",
    licence="non-commercial research only",
)
_ELASTICFACE = partial(
    Entry,
    "iresnet100",
    source="https://github.com/fdbtrs/ElasticFace",
    reference="Boutros et al., ElasticFace, CVPR Workshops 2022",
    licence="CC BY-NC-SA 4.0",
)
_INSIGHTFACE_PYTORCH = partial(
    Entry,
    source="https://github.com/TreB1eN/InsightFace_Pytorch",
    licence="MIT",
    channel_order="BGR",
)
_ADAFACE = partial(
    Entry,
    source="https://github.com/mk-minchul/AdaFace",
    reference="Kim et al., AdaFace, CVPR 2022",
    licence="MIT",
    channel_order="BGR",
)
_TFACE = partial(
    Entry,
    source="https://github.com/Tencent/TFace",
    reference="Tencent TFace",
    licence="Apache 2.0",
)
_FACENET = partial(
    Entry,
    "inception-resnet-v1",
    source="https://github.com/timesler/facenet-pytorch",
    reference="Schroff et al., FaceNet, CVPR 2015",
    licence="MIT",
    mean=127.5 / 255,
    std=128 / 255,
    size=(160, 160),
)
_XCOS = partial(
    Entry,
    source="https://github.com/ntubiolin/xcos",
    reference="Lin et al., xCos, ACM TOMM 2021",
    licence="research only",
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
        licence="MIT",
    ),
    "magface": Entry(
        "iresnet100",
        source="https://github.com/IrvingMeng/MagFace",
        reference="Meng et al., MagFace, CVPR 2021",
        licence="Apache 2.0",
        mean=0.0,
        std=1.0,
        channel_order="BGR",
    ),
    "face-evolve-ir-50": Entry(
        "ir-50",
        source="https://github.com/ZhaoJ9014/face.evoLVe",
        reference="Deng et al., ArcFace, CVPR 2019",
        licence="MIT",
    ),
    # Before TFace's, so that a file without a name is asked for its order of channels.
    "adaface-ir-18": _ADAFACE("tface-ir-18"),
    "adaface-ir-50": _ADAFACE("tface-ir-50"),
    "adaface-ir-101": _ADAFACE("tface-ir-101"),
    "tface-ir-18": _TFACE("tface-ir-18"),
    "tface-ir-50": _TFACE("tface-ir-50"),
    "tface-ir-101": _TFACE("tface-ir-101"),
    "facenet-vggface2": _FACENET(),
    "facenet-casia-webface": _FACENET(),
    "edgeface-xxs": Entry(
        "edgeface-xxs",
        source="https://github.com/otroshi/edgeface",
        reference="George et al., EdgeFace, IEEE T-BIOM 2024",
        licence="as its authors state there",
    ),
    "ir-se-50": _INSIGHTFACE_PYTORCH("ir-se-50", reference="Deng et al., ArcFace, CVPR 2019"),
    "mobilefacenet": _INSIGHTFACE_PYTORCH(
        "mobilefacenet", reference="Chen et al., MobileFaceNets, CCBR 2018"
    ),
    "mobilefacenet-casia": Entry(
        "mobilefacenet-casia",
        source="https://github.com/Xiaoccer/MobileFaceNet_Pytorch",
        reference="Chen et al., MobileFaceNets, CCBR 2018",
        licence="no licence given",
        std=128 / 255,
        size=(112, 96),
        dim=128,
    ),
    "xcos": _XCOS("xcos"),
    "xcos-body": _XCOS("ir-se-50-xcos"),
}
"""Models whose authors publish a checkpoint, by the name that `load_backbone` takes.

The model that comes with this package, "demo", needs no entry.
"""


def describe_models() -> str:
    """The models that `load_backbone` knows by name: what they take and give, licence, source."""
    lines = [
        "demo",
        "    DemoBackbone: 112x112 RGB, mean 0.5, std 0.5 -> 128 numbers",
        "    comes with this package, under its licence",
    ]
    for name, entry in CATALOGUE.items():
        height, width = entry.size
        lines += [
            name,
            f"    {entry.architecture}: {height}x{width} {entry.channel_order}, "
            f"mean {entry.mean:.4g}, std {entry.std:.4g} -> {entry.dim} numbers",
            f"    {entry.licence}: {entry.source}",
        ]
    notes = """
A photo enters as (photo - mean) / std, with pixels in [0, 1]; load_backbone turns BGR models round,
so that all of them take RGB. Get a checkpoint from its authors, under their licence, then write
--model NAME --checkpoint FILE."""
    return "\n".join([*lines, notes])
