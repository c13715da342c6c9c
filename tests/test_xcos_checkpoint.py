"""The published xCos checkpoint: a recogniser that decides and a body that explains."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from captum_fv.attr import PatchedCosineAttribution
from captum_fv.models import IR_50, IRNet, PatchedCosineHead, XCos, XCosBody, load_backbone
from captum_fv.models.xcos.head import attach_head, save_patched_cosine_head
from captum_fv.siamese import SiameseCosine
from tests.support.backbones import State, shuffled

pytestmark = pytest.mark.extended


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, State]:
    state = shuffled(XCos).state_dict()
    path = tmp_path_factory.mktemp("xcos") / "xcos.pth"
    torch.save({"state_dict": state}, path)
    return path, state


def part(state: State, name: str) -> State:
    return {k.removeprefix(f"{name}."): v for k, v in state.items() if k.startswith(f"{name}.")}


@pytest.fixture(scope="module")
def pair() -> tuple[Tensor, Tensor]:
    images = torch.rand(2, 2, 3, 112, 112, generator=torch.Generator().manual_seed(1))
    return images[0], images[1]


@torch.no_grad()
def test_decides_and_explains_by_the_parts_of_the_checkpoint(
    checkpoint: tuple[Path, State], pair: tuple[Tensor, Tensor]
) -> None:
    path, state = checkpoint
    target, body = IRNet(IR_50, squeeze=True).eval(), XCosBody().eval()
    target.load_state_dict(part(state, "backbone_target"))
    body.load_state_dict(part(state, "backbone"))
    head = PatchedCosineHead(512, (7, 7)).eval()
    head.attention.load_state_dict(part(state, "attention"))
    head.conv1x1.load_state_dict(part(part(state, "backbone"), "conv1x1"))
    scores = SiameseCosine(target, 0.5, 0.5)(*pair)
    wanted = head(*(body.features((images - 0.5) / 0.5) for images in pair))
    for name in ("xcos", path):
        siamese = SiameseCosine(load_backbone(name, *[path] * (name == "xcos")))
        torch.testing.assert_close(siamese(*pair), scores)
        maps = PatchedCosineAttribution(siamese, output="contribution").attribute(*pair)
        cells = maps[0][:, 0, ::16, ::16]
        torch.testing.assert_close(cells, wanted.similarity * wanted.weight)
        assert cells.std() > 1e-5


@torch.no_grad()
def test_trained_on_bgr_turns_both_bodies_round(
    checkpoint: tuple[Path, State], pair: tuple[Tensor, Tensor]
) -> None:
    path, _ = checkpoint
    # In float64: so deep a network with random weights magnifies what float32 rounds away.
    rgb, bgr = (
        load_backbone("xcos", path, channel_order=order).double() for order in ("RGB", "BGR")
    )
    image = pair[0][:1].double() - 0.5
    torch.testing.assert_close(bgr(image.flip(1)), rgb(image))
    torch.testing.assert_close(bgr.features(image.flip(1)), rgb.features(image))


def test_a_head_trained_anew_takes_the_place_of_the_published_one(
    checkpoint: tuple[Path, State], tmp_path: Path
) -> None:
    backbone = load_backbone("xcos", checkpoint[0])
    assert not backbone.patched_cosine_head.training
    save_patched_cosine_head(PatchedCosineHead(512, (7, 7), reduced=5), tmp_path / "head")
    attach_head(backbone, tmp_path / "head")
    assert PatchedCosineAttribution(SiameseCosine(backbone)).head.reduced == 5
