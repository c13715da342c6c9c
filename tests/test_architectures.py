"""Architectures: their authors' checkpoint keys, their size and cost, what xCos adds."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from captum_fv.models import ARCHITECTURES, CATALOGUE, IResNet, XCosBody, describe_models
from tests.backbones import build_meta
from tests.shared import SHARED, needs_shared

KEY_LISTS = {
    "iresnet18": "iresnet18",
    "iresnet34": "iresnet34",
    "iresnet50": "iresnet50",
    "iresnet100": "iresnet100",
    "ir-101": "curricularface_ir101",
    "ir-se-50": "insightface_ir_se_50",
    "ir-se-50-xcos": "xcos_ir_se_50_backbone",
    "mobilefacenet": "mobilefacenet_512",
    "mobilefacenet-casia": "mobilefacenet_casia",
}


def contract(architecture: str) -> tuple[tuple[int, int], int]:
    entry = next(e for e in CATALOGUE.values() if e.architecture == architecture)
    return entry.size, entry.dim


@needs_shared
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_keys_shapes_and_dtypes_are_the_official_ones(architecture: str) -> None:
    listed = json.loads((SHARED / "models/keys" / f"{KEY_LISTS[architecture]}.json").read_text())
    official = {key: (tuple(shape), dtype) for key, (shape, dtype) in listed["keys"].items()}
    model = build_meta(architecture)
    own = {key: (tuple(v.shape), str(v.dtype)) for key, v in model.state_dict().items()}
    assert own == official
    assert (3, *contract(architecture)[0]) == tuple(listed["input"])
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


def test_the_table_names_every_model() -> None:
    lines = describe_models().splitlines()
    assert [line.split()[0] for line in lines] == ["name", "demo", *CATALOGUE]
    assert all(
        entry.source in line for entry, line in zip(CATALOGUE.values(), lines[2:], strict=True)
    )
