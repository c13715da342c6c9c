"""Programs: exported and scripted models as frozen backbones, and those that are refused."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from captum_fv.models import load_backbone
from tests.support.backbones import Bomb
from tests.support.shared import SHARED, needs_shared

# TorchScript is deprecated, and still how many face models are handed round.
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")


@pytest.fixture(params=["torch.export", "TorchScript"])
def program(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, nn.Module]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.PReLU(), nn.Flatten(), nn.Linear(144, 5)).eval()
    x = torch.rand(2, 3, 8, 8)
    if request.param == "TorchScript":
        path = tmp_path / "program.pt"
        torch.jit.save(torch.jit.trace(model, x), path)
    else:
        path = tmp_path / "program.pt2"
        batch = torch.export.Dim("batch", min=1)
        torch.export.save(torch.export.export(model, (x,), dynamic_shapes=({0: batch},)), path)
    return path, model


def test_a_program_is_a_frozen_module(program: tuple[Path, nn.Module]) -> None:
    path, model = program
    loaded = load_backbone(path, mean=0.5, std=(0.5, 0.4, 0.3))
    assert (loaded.mean, loaded.std) == (0.5, (0.5, 0.4, 0.3))
    assert load_backbone(path).mean is None
    nn.Sequential(loaded).train().eval()
    assert not any(module.training for module in loaded.modules())
    assert not any(p.requires_grad for p in loaded.parameters())
    x = torch.rand(3, 3, 8, 8, requires_grad=True)
    torch.testing.assert_close(loaded(x), model(x))
    ours, theirs = (torch.autograd.grad(m(x).square().sum(), x)[0] for m in (loaded, model))
    torch.testing.assert_close(ours, theirs)


def test_a_program_is_no_checkpoint(program: tuple[Path, nn.Module]) -> None:
    path, _ = program
    with pytest.raises(ValueError, match="program; want a checkpoint"):
        load_backbone("iresnet18", checkpoint=path)
    with pytest.raises(ValueError, match="takes no architecture"):
        load_backbone(path, architecture="iresnet18")
    content = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        info = max(archive.infolist(), key=lambda item: item.filename.endswith((".json", ".py")))
    start = info.header_offset + 30 + len(info.filename)
    path.write_bytes(content[:start] + b"\0" * 600 + content[start + 600 :])
    with pytest.raises(ValueError, match="no readable"):
        load_backbone(path)


@pytest.mark.parametrize("part", ["data/sample_inputs/model.pt", "data/constants/opaque_obj_0"])
def test_code_in_a_program_is_refused(part: str, tmp_path: Path) -> None:
    model = nn.Flatten().eval()
    path, bomb = tmp_path / "program.pt2", tmp_path / "bomb.pt"
    torch.export.save(torch.export.export(model, (torch.rand(2, 3),)), path)
    torch.save(Bomb(tmp_path / "crater"), bomb)
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        files[f"program/{part}"] = bomb.read_bytes()
        for name, content in files.items():
            archive.writestr(name, content)
    before = dict(os.environ)
    with pytest.raises(ValueError, match="refused, for loading it would run code"):
        load_backbone(path)
    assert not (tmp_path / "crater").exists()
    assert dict(os.environ) == before


@needs_shared
def test_the_real_model_is_the_same_in_both_formats() -> None:
    folder = SHARED / "data/lfw_aligned_112"
    photos = [Image.open(path) for path in sorted(folder.glob("*/*.jpg"))[:8]]
    faces = torch.stack([torch.from_numpy(np.array(photo.convert("RGB"))) for photo in photos])
    faces = faces.permute(0, 3, 1, 2) / 127.5 - 1
    exported = load_backbone(SHARED / "models/edgeface_xxs.pt2", mean=0.5, std=0.5)
    scripted = load_backbone(SHARED / "models/edgeface_xxs.torchscript.pt", mean=0.5, std=0.5)
    for batch in (1, 3, 8):
        x = faces[:batch].requires_grad_()
        u, v = exported(x), scripted(x)
        torch.testing.assert_close(u, v)
        gradients = [torch.autograd.grad(e.square().sum(), x)[0] for e in (u, v)]
        torch.testing.assert_close(*gradients)
        assert gradients[0].abs().sum((1, 2, 3)).min() > 0
