"""Face embedders: their architectures, their authors' checkpoints and the one way in."""

from captum_fv.models.catalogue import ARCHITECTURES, CATALOGUE, Entry, describe_models
from captum_fv.models.download import download_checkpoint, from_hub
from captum_fv.models.inception import InceptionResnetV1
from captum_fv.models.mobilefacenet import MobileFaceNet, MobileFaceNetCASIA
from captum_fv.models.residual import IR_50, IR_101, IResNet, IRNet, XCosBody
from captum_fv.models.xcos.head import (
    PatchedCosineHead,
    attach_head,
    load_patched_cosine_head,
    save_patched_cosine_head,
)
from captum_fv.models.xcos_published import XCos
from captum_fv.models.zoo import load_backbone

__all__ = [
    "ARCHITECTURES",
    "CATALOGUE",
    "IR_50",
    "IR_101",
    "Entry",
    "IRNet",
    "IResNet",
    "InceptionResnetV1",
    "MobileFaceNet",
    "MobileFaceNetCASIA",
    "PatchedCosineHead",
    "XCos",
    "XCosBody",
    "attach_head",
    "describe_models",
    "download_checkpoint",
    "from_hub",
    "load_backbone",
    "load_patched_cosine_head",
    "save_patched_cosine_head",
]
