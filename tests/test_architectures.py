"""Architectures: their authors' checkpoint keys, their size and cost, what xCos adds."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from captum_fv.models import ARCHITECTURES, CATALOGUE, IResNet, XCosBody, describe_models
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
@pytest.mark.parametrize("architecture", ARCHITECTURES)
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
        assert f"{entry.size[0]}x{entry.size[1]} {entry.channel_order}, mean 0.5, " in said[0]
        assert said[1].split(": ", 1) == [f"    {entry.licence}", entry.source]
    assert "112x96 RGB, mean 0.5, std 0.502 -> 128" in listed
