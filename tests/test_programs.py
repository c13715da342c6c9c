"""Programs: exported and scripted models as frozen backbones, and those that are refused."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import pickle
import random
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from captum_fv.models import load_backbone
from captum_fv.models.xcos.head import fingerprint
from captum_fv.siamese.model import SiameseCosine
from tests.support.backbones import Bomb
from tests.support.other_device import DEVICE, OtherTensor, other_device
from tests.support.shared import SHARED, needs_shared


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


def _plain_program(folder: Path) -> dict[str, bytes]:
    """The records of a small .pt2."""
    path = folder / "plain.pt2"
    torch.export.save(torch.export.export(nn.Flatten().eval(), (torch.rand(2, 3),)), path)
    with zipfile.ZipFile(path) as archive:
        return {
            name.replace("plain/", "program/"): archive.read(name) for name in archive.namelist()
        }


def _archive(files: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as archive:
        for name, record in files.items():
            archive.writestr(name, record)
    return content.getvalue()


def _armed(files: dict[str, bytes], folder: Path, part: str) -> dict[str, bytes]:
    """The records with a bomb that torch.export.load sets off, as a constant of this name."""
    constant = {"path_name": "opaque_obj_0", "is_param": False, "use_pickle": True}
    config = {"config": {"bomb": constant | {"tensor_meta": None}}}
    return {
        **files,
        "program/data/constants/model_constants_config.json": json.dumps(config).encode(),
        f"program/data/constants/{part}": pickle.dumps(Bomb(folder / "crater")),
    }


@pytest.mark.parametrize("part", ["data/sample_inputs/model.pt", "data/constants/opaque_obj_0"])
def test_code_in_a_program_is_refused(part: str, tmp_path: Path) -> None:
    path, bomb = tmp_path / "program.pt2", tmp_path / "bomb.pt"
    torch.save(Bomb(tmp_path / "crater"), bomb)
    path.write_bytes(_archive(_plain_program(tmp_path) | {f"program/{part}": bomb.read_bytes()}))
    before = dict(os.environ)
    with pytest.raises(ValueError, match="refused, for loading it would run code"):
        load_backbone(path)
    assert not (tmp_path / "crater").exists()
    assert dict(os.environ) == before


@pytest.mark.parametrize("part", ["opaque_obj_0", "OPAQUE_OBJ_0", "Opaque_Obj_0"])
def test_a_pickle_under_any_spelling_is_refused(part: str, tmp_path: Path) -> None:
    path = tmp_path / "program.pt2"
    path.write_bytes(_archive(_armed(_plain_program(tmp_path), tmp_path, part)))
    with pytest.raises(ValueError, match="refused, for loading it would run code"):
        load_backbone(path)
    assert not (tmp_path / "crater").exists()
    with contextlib.suppress(Exception):
        torch.export.load(path)
    assert (tmp_path / "crater").exists()  # so this is what torch.export.load alone would do


def test_two_central_directories_hide_no_pickle(tmp_path: Path) -> None:
    plain = _plain_program(tmp_path)
    armed = _archive(_armed(plain, tmp_path, "opaque_obj_0"))
    # A record with a name of the same length, so that both directories are equally long.
    harmless = _archive(plain | {"program/data/constants/harmless_obj": b""})
    path = tmp_path / "program.pt2"
    # PyTorch's reader goes to the offset in the end record; Python's takes the directory before it.
    path.write_bytes(armed[: armed.rindex(b"PK\5\6")] + harmless[: harmless.rindex(b"PK\5\6")])
    with path.open("ab") as file:
        file.write(armed[armed.rindex(b"PK\5\6") :])
    with zipfile.ZipFile(path) as archive:
        assert not any("opaque" in name for name in archive.namelist())
    with pytest.raises(ValueError, match="refused, for loading it would run code"):
        load_backbone(path)
    assert not (tmp_path / "crater").exists()
    with contextlib.suppress(Exception):
        torch.export.load(path)
    assert (tmp_path / "crater").exists()


def test_no_unpickler_runs_while_a_program_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Whatever a later torch.export unpickles, and wherever it keeps it.
    path = tmp_path / "program.pt2"
    path.write_bytes(_archive(_plain_program(tmp_path)))
    bomb, loads = pickle.dumps(Bomb(tmp_path / "crater")), pickle.loads
    monkeypatch.setattr(torch.export, "load", lambda _: loads(bomb))
    with pytest.raises(ValueError, match=r"refused.*it holds a pickle of"):
        load_backbone(path)
    assert not (tmp_path / "crater").exists()
    loads(bomb)  # and afterwards pickles are the caller's again
    assert (tmp_path / "crater").exists()


def test_what_torch_export_prints_is_not_printed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    files = _plain_program(tmp_path) | {"program/models/model.json": b"{}"}
    path = tmp_path / "program.pt2"
    path.write_bytes(_archive(files).replace(b"archive_version", b"archive_Xersion"))
    with pytest.raises(ValueError, match=r"no readable torch\.export program"):
        load_backbone(path)
    assert not [record for record in caplog.records if record.levelno >= logging.INFO]
    assert capfd.readouterr() == ("", "")


@pytest.mark.extended
@pytest.mark.parametrize("suffix", [".pt2", ".pt", ".pth"])
def test_changed_bytes_give_one_clear_error(suffix: str, tmp_path: Path) -> None:
    model, x = nn.Sequential(nn.Flatten(), nn.Linear(3, 2)).eval(), torch.rand(1, 3)
    path = tmp_path / f"model{suffix}"
    if suffix == ".pt2":
        torch.export.save(torch.export.export(model, (x,)), path)
    elif suffix == ".pt":
        torch.jit.save(torch.jit.trace(model, x), path)
    else:
        torch.save(model.state_dict(), path)
    content = path.read_bytes()
    directory = content.index(b"PK\1\2")
    draw = random.Random(0)
    refused = 0
    for _ in range(200):
        damaged = bytearray(content)
        damaged[draw.randrange(directory, len(content))] ^= 1 << draw.randrange(8)
        path.write_bytes(damaged)
        told = ""
        try:
            load_backbone(path)
        except ValueError as error:  # and no other type
            told = str(error)
        if told:
            assert told.startswith(f"{path}: ")
            assert "\n" not in told
            refused += 1
    assert refused > 50


def test_a_program_for_one_image_takes_several(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(144, 5)).eval()
    path = tmp_path / "one.pt2"
    torch.export.save(torch.export.export(model, (torch.rand(1, 3, 8, 8),)), path)
    loaded = load_backbone(path)
    assert loaded.size == (8, 8)
    x = torch.rand(3, 3, 8, 8, requires_grad=True)
    torch.testing.assert_close(loaded(x), model(x))
    ours, theirs = (torch.autograd.grad(m(x).square().sum(), x)[0] for m in (loaded, model))
    torch.testing.assert_close(ours, theirs)


class _TracedForOne(nn.Module):
    """Its trace holds the number of images, in front of a layer or at the very end."""

    def __init__(self, ends: bool) -> None:
        super().__init__()
        self.convolve, self.embed, self.ends = nn.Conv2d(3, 4, 3), nn.Linear(144, 5), ends

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        count = int(x.shape[0])
        grid = self.convolve(x)
        return grid.view(count, -1) if self.ends else self.embed(grid.view(count, -1))


@pytest.mark.filterwarnings("ignore:Converting a tensor:torch.jit.TracerWarning")
@pytest.mark.parametrize("ends", [True, False])
def test_a_trace_of_one_image_takes_several(ends: bool, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model, path = _TracedForOne(ends).eval(), tmp_path / "one.pt"
    torch.jit.save(torch.jit.trace(model, torch.rand(1, 3, 8, 8)), path)
    loaded = load_backbone(path, mean=0.5, std=0.5)
    x = torch.rand(3, 3, 8, 8, requires_grad=True)
    for _ in range(2):
        torch.testing.assert_close(loaded(x), model(x))
    ours, theirs = (torch.autograd.grad(m(x).square().sum(), x)[0] for m in (loaded, model))
    torch.testing.assert_close(ours, theirs)
    pair = tuple(torch.rand(2, 3, 3, 8, 8))
    expected = SiameseCosine(model, 0.5, 0.5)(*pair)
    torch.testing.assert_close(SiameseCosine(load_backbone(path), 0.5, 0.5)(*pair), expected)
    # What is loaded without us says how it would be taken.
    with pytest.raises(ValueError, match=r"one image at a time.*load_backbone\(path\)"):
        SiameseCosine(torch.jit.load(path), 0.5, 0.5)(*pair)
    with pytest.raises(RuntimeError, match="channels"):  # what fails anyway says why
        loaded(x[:, :2])


def test_a_program_for_two_images_says_so(tmp_path: Path) -> None:
    path = tmp_path / "two.pt2"
    model = nn.Flatten().eval()
    torch.export.save(torch.export.export(model, (torch.rand(2, 3, 8, 8),)), path)
    loaded = load_backbone(path)
    x = torch.rand(4, 3, 8, 8)
    assert torch.equal(loaded(x[:2]), model(x[:2]))
    with pytest.raises(RuntimeError, match="exported for 2 images at a time, got 4; export it"):
        loaded(x)


def _saved(build: str, activation: nn.Module, path: Path) -> Path:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), activation, nn.Flatten(), nn.Linear(144, 5)).eval()
    x = torch.rand(1, 3, 8, 8)
    if build == "torch.export":
        torch.export.save(torch.export.export(model, (x,)), path)
    else:
        traced = torch.jit.trace(model, x)
        torch.jit.save(torch.jit.freeze(traced) if build == "frozen" else traced, path)
    return path


@pytest.mark.parametrize("build", ["torch.export", "traced", "frozen"])
def test_a_fingerprint_tells_programs_apart(build: str, tmp_path: Path) -> None:
    suffix = ".pt2" if build == "torch.export" else ".pt"
    relu = _saved(build, nn.ReLU(), tmp_path / f"relu{suffix}")
    silu = _saved(build, nn.SiLU(), tmp_path / f"silu{suffix}")
    marks = [fingerprint(load_backbone(path)) for path in (relu, relu, silu)]
    assert marks[0] == marks[1] != marks[2]
    # So does that of a program which somebody loads without us, and of one within a model.
    load = (lambda path: torch.export.load(path).module()) if suffix == ".pt2" else torch.jit.load
    raw = [fingerprint(nn.Sequential(load(path))) for path in (relu, relu, silu)]
    assert raw[0] == raw[1] != raw[2]


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


class Makes(nn.Module):
    """A model with a constant of its own, and one that makes tensors where its images are."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(12, 4)
        self.scale = torch.full((4,), 2.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        made = torch.arange(4, device=x.device, dtype=x.dtype)
        moved = torch.zeros(4, device=x.device).to(x.device)
        return self.linear(x.flatten(1)) * self.scale + made + moved


def test_a_program_follows_to_another_device(tmp_path: Path) -> None:
    x, path = torch.rand(2, 3, 2, 2), tmp_path / "program.pt2"
    batch = torch.export.Dim("batch", min=1)
    exported = torch.export.export(Makes().eval(), (x,), dynamic_shapes=({0: batch},))
    torch.export.save(exported, path)
    here = load_backbone(path)
    expected, back = here(x), load_backbone(path, device="meta")
    assert back(x.to("meta")).is_meta
    with other_device():
        there = x.to(DEVICE)
        for moved in (here.to(DEVICE), SiameseCosine(exported).to(DEVICE).backbone):
            assert isinstance(moved(there), OtherTensor)
            torch.testing.assert_close(moved(there).cpu(), expected)
