"""Architectures: their authors' checkpoint keys, their size and cost, what xCos adds."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from captum_fv.models import CATALOGUE, IResNet, XCosBody, describe_models
from tests.support.backbones import build_meta
from tests.support.shared import SHARED, needs_shared

KEY_LISTS = {
    "iresnet18": "iresnet18",
    "iresnet34": "iresnet34",
    "iresnet50": "iresnet50",
    "iresnet100": "iresnet100",
    "ir-101": "curricularface_ir101",
    "ir-se-50": "insightface_ir_se_50",
    "ir-se-50-xcos": "xcos_ir_se_50_backbone",
    "xcos": "",  # of several lists: see official_keys
    "mobilefacenet": "mobilefacenet_512",
    "mobilefacenet-casia": "mobilefacenet_casia",
}


def layer_keys(prefix: str, first: int, inputs: int, outputs: int) -> dict[str, Any]:
    """Keys of a 3x3 convolution, its batch norm and a PReLU with one slope, numbered from first."""
    norm = ("weight", "bias", "running_mean", "running_var")
    return {
        f"{prefix}.{first}.weight": ((outputs, inputs, 3, 3), "torch.float32"),
        f"{prefix}.{first}.bias": ((outputs,), "torch.float32"),
        **{f"{prefix}.{first + 1}.{name}": ((outputs,), "torch.float32") for name in norm},
        f"{prefix}.{first + 1}.num_batches_tracked": ((), "torch.int64"),
        f"{prefix}.{first + 2}.weight": ((1,), "torch.float32"),
    }


XCOS_ATTENTION = (
    layer_keys("embedding_net", 0, 32, 16)
    | layer_keys("attention", 0, 32, 16)
    | layer_keys("attention", 3, 16, 1)
)


def contract(architecture: str) -> tuple[tuple[int, int], int]:
    entry = next(e for e in CATALOGUE.values() if e.architecture == architecture)
    return entry.size, entry.dim


def official_keys(architecture: str) -> tuple[dict[str, tuple[tuple[int, ...], str]], list[int]]:
    """Names, shapes and dtypes of a checkpoint, and the shape of an image."""
    if architecture == "xcos":
        keys = {f"attention.{key}": value for key, value in XCOS_ATTENTION.items()}
        for part, inner in (("backbone", "ir-se-50-xcos"), ("backbone_target", "ir-se-50")):
            inner_keys, size = official_keys(inner)
            keys |= {f"{part}.{key}": value for key, value in inner_keys.items()}
        return keys, size
    listed = json.loads((SHARED / "models/keys" / f"{KEY_LISTS[architecture]}.json").read_text())
    return {key: (tuple(shape), dtype) for key, (shape, dtype) in listed["keys"].items()}, listed[
        "input"
    ]


@needs_shared
@pytest.mark.parametrize("architecture", KEY_LISTS)
def test_keys_shapes_and_dtypes_are_the_official_ones(architecture: str) -> None:
    official, size = official_keys(architecture)
    model = build_meta(architecture)
    own = {key: (tuple(v.shape), str(v.dtype)) for key, v in model.state_dict().items()}
    assert own == official
    assert (3, *contract(architecture)[0]) == tuple(size)
    checkpoint = {
        key: torch.empty(shape, dtype=getattr(torch, dtype.removeprefix("torch.")), device="meta")
        for key, (shape, dtype) in official.items()
    }
    model.load_state_dict(checkpoint, strict=True, assign=True)


@pytest.mark.extended
@pytest.mark.parametrize(
    ("architecture", "millions", "giga_macs"),
    [
        ("iresnet18", 24.03, 2.61),
        ("iresnet34", 34.14, 4.46),
        ("iresnet50", 43.59, 6.31),
        ("iresnet100", 65.16, 12.09),
        ("ir-101", 65.13, 12.08),
        ("ir-se-50", 43.80, 6.30),
        ("ir-se-50-xcos", 43.81, 6.30),
        ("xcos", 87.62, 6.30),  # two such bodies, of which one decides
        ("mobilefacenet", 1.20, 0.221),  # the paper: 221 million multiply-adds
        ("mobilefacenet-casia", 1.00, 0.189),
        ("ir-50", 43.58, 6.30),
        ("tface-ir-18", 24.02, 2.60),
        ("tface-ir-50", 43.59, 6.30),
        ("tface-ir-101", 65.15, 12.08),
        ("inception-resnet-v1", 23.48, 1.42),
    ],
)
def test_size_and_cost_are_the_published_ones(
    architecture: str, millions: float, giga_macs: float
) -> None:
    model = build_meta(architecture)
    size, dim = contract(architecture)
    with FlopCounterMode(display=False) as counter:
        embedding = model(torch.zeros(2, 3, *size, device="meta"))
    assert embedding.shape == (2, dim)
    assert sum(p.numel() for p in model.parameters()) / 1e6 == pytest.approx(millions, abs=0.006)
    assert counter.get_total_flops() / 4e9 == pytest.approx(giga_macs, rel=0.003)


def test_xcos_projects_each_cell_by_itself() -> None:
    body = build_meta("ir-se-50-xcos")
    assert isinstance(body, XCosBody)
    assert body.project(torch.zeros(2, 512, 7, 7, device="meta")).shape == (2, 32, 7, 7)


def test_iresnet_keeps_its_names_as_part_of_another_model_and_exports() -> None:
    model = IResNet((1, 1, 1, 1)).eval()
    outer = nn.ModuleDict({"backbone": model})
    assert "backbone.features.weight" in outer.state_dict()
    outer.load_state_dict(outer.state_dict(), strict=True)
    x = torch.rand(1, 3, 112, 112)
    exported = torch.export.export(model, (x,)).module()
    torch.testing.assert_close(exported(x), model(x))


def test_the_list_says_of_every_model_what_it_takes_and_whose_it_is() -> None:
    listed = describe_models().split("\n\n")[0]
    names = [line for line in listed.splitlines() if not line.startswith(" ")]
    assert names == ["demo", *CATALOGUE]
    for name, entry in CATALOGUE.items():
        said = listed[listed.index(f"\n{name}\n") :].splitlines()[2:4]
        assert (
            f"{entry.size[0]}x{entry.size[1]} {entry.channel_order}, mean {entry.mean:.4g}, "
            in said[0]
        )
        assert said[1].split(": ", 1) == [f"    {entry.licence}", entry.source]
    assert "112x96 RGB, mean 0.5, std 0.502 -> 128" in listed


@pytest.mark.parametrize(
    ("architecture", "keys"),
    [
        ("ir-50", {"body.0.res_layer.2.weight": (64,), "output_layer.4.weight": (512,)}),
        (
            "tface-ir-50",
            {
                "input_layer.0.weight": (64, 3, 3, 3),
                "body.3.shortcut_layer.0.weight": (128, 64, 1, 1),
                "body.23.res_layer.2.running_mean": (512,),
                "body.23.res_layer.3.weight": (512,),
                "body.23.res_layer.4.weight": (512, 512, 3, 3),
                "output_layer.3.weight": (512, 25088),
                "output_layer.4.running_var": (512,),
            },
        ),
        (
            "inception-resnet-v1",
            {
                "conv2d_1a.conv.weight": (32, 3, 3, 3),
                "conv2d_4b.bn.running_mean": (256,),
                "repeat_1.4.branch2.2.conv.weight": (32, 32, 3, 3),
                "repeat_1.0.conv2d.bias": (256,),
                "mixed_6a.branch1.2.conv.weight": (256, 192, 3, 3),
                "repeat_2.9.branch1.1.conv.weight": (128, 128, 1, 7),
                "mixed_7a.branch2.2.bn.weight": (256,),
                "repeat_3.4.branch1.2.conv.weight": (192, 192, 3, 1),
                "block8.conv2d.weight": (1792, 384, 1, 1),
                "last_linear.weight": (512, 1792),
                "last_bn.running_var": (512,),
            },
        ),
    ],
)
def test_published_key_names(architecture: str, keys: dict[str, tuple[int, ...]]) -> None:
    state = build_meta(architecture).state_dict()
    assert {key: tuple(state[key].shape) for key in keys} == keys


def test_adaface_normalises_within_its_units_and_not_after_its_embedding() -> None:
    keys = build_meta("tface-ir-18").state_dict()
    assert "body.0.res_layer.2.running_mean" in keys
    assert "output_layer.4.weight" not in keys
    assert "body.0.res_layer.2.running_mean" not in build_meta("ir-50").state_dict()


@pytest.mark.parametrize(
    ("name", "black", "white", "order", "size"),
    [
        ("magface", 0, 1, "BGR", (112, 112)),
        ("adaface-ir-50", -1, 1, "BGR", (112, 112)),
        ("tface-ir-50", -1, 1, "RGB", (112, 112)),
        ("face-evolve-ir-50", -1, 1, "RGB", (112, 112)),
        # (x * 255 - 127.5) / 128, as its authors write it
        ("facenet-vggface2", -127.5 / 128, 127.5 / 128, "RGB", (160, 160)),
    ],
)
def test_contracts_as_published(
    name: str, black: float, white: float, order: str, size: tuple[int, int]
) -> None:
    entry = CATALOGUE[name]
    assert ((0 - entry.mean) / entry.std, (1 - entry.mean) / entry.std) == pytest.approx(
        (black, white)
    )
    assert (entry.channel_order, entry.size, entry.dim) == (order, size, 512)
