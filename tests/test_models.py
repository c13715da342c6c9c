"""Backbones: their authors' checkpoint keys, their arithmetic, and the one way in."""

from __future__ import annotations

import json
import os
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from captum_fv.models import (
    ARCHITECTURES,
    CATALOGUE,
    IResNet,
    IRNet,
    MobileFaceNet,
    MobileFaceNetCASIA,
    XCosBody,
    describe_models,
    load_backbone,
)
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
State = dict[str, Tensor]

# TorchScript is deprecated, and still how many face models are handed round.
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")


def contract(architecture: str) -> tuple[tuple[int, int], int]:
    entry = next(e for e in CATALOGUE.values() if e.architecture == architecture)
    return entry.size, entry.dim


def build_meta(architecture: str) -> nn.Module:
    with torch.device("meta"):
        return ARCHITECTURES[architecture]().eval()


def shuffled(build: Callable[[], nn.Module]) -> nn.Module:
    """Weights and statistics far from their defaults, so that no batch norm is the identity."""
    with torch.device("meta"):
        model = build()
    model.to_empty(device="cpu")
    generator = torch.Generator().manual_seed(0)
    for key, value in model.state_dict().items():
        if value.is_floating_point():
            noise = torch.rand(value.shape, generator=generator)
            if value.dim() > 1:
                value.copy_((noise - 0.5) * (12 / value[0].numel()) ** 0.5)
            else:
                value.copy_(noise - 0.5 if key.endswith(("bias", "mean")) else noise + 0.5)
        else:
            value.zero_()
    return model.eval()


@pytest.fixture(scope="module")
def small() -> State:
    """A complete checkpoint of the smallest architecture."""
    torch.manual_seed(0)
    return shuffled(MobileFaceNetCASIA).state_dict()


@pytest.fixture
def saved(tmp_path: Path) -> Callable[[object], Path]:
    def save(content: object) -> Path:
        path = tmp_path / "weights.pth"
        torch.save(content, path)
        return path

    return save


# Architectures


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


def norm(x: Tensor, state: State, key: str) -> Tensor:
    """Batch norm in evaluation mode, from its definition."""
    shape = (1, -1) + (1,) * (x.dim() - 2)
    mean, var = state[f"{key}.running_mean"].view(shape), state[f"{key}.running_var"].view(shape)
    scale = state.get(f"{key}.weight", torch.ones(x.shape[1])).view(shape)
    shift = state.get(f"{key}.bias", torch.zeros(x.shape[1])).view(shape)
    return (x - mean) / (var + 1e-5).sqrt() * scale + shift


def prelu(x: Tensor, slope: Tensor) -> Tensor:
    return torch.where(x > 0, x, x * slope.view(1, -1, 1, 1))


def conv(x: Tensor, weight: Tensor, stride: int = 1, bias: Tensor | None = None) -> Tensor:
    """Padded by half the kernel; depthwise where the weights have one input channel."""
    groups = x.shape[1] if weight.shape[1] == 1 else 1
    return F.conv2d(x, weight, bias, stride, weight.shape[-1] // 2, groups=groups)


def naive_iresnet(x: Tensor, s: State, blocks: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    x = prelu(norm(conv(x, s["conv1.weight"]), s, "bn1"), s["prelu.weight"])
    for stage, count in enumerate(blocks, start=1):
        for block in range(count):
            p, stride = f"layer{stage}.{block}", 1 if block else 2
            y = norm(conv(norm(x, s, f"{p}.bn1"), s[f"{p}.conv1.weight"]), s, f"{p}.bn2")
            y = conv(prelu(y, s[f"{p}.prelu.weight"]), s[f"{p}.conv2.weight"], stride)
            if stride == 2:
                x = norm(conv(x, s[f"{p}.downsample.0.weight"], 2), s, f"{p}.downsample.1")
            x = x + norm(y, s, f"{p}.bn3")
    flat = norm(x, s, "bn2").flatten(1)
    return x, norm(flat @ s["fc.weight"].T + s["fc.bias"], s, "features")


def naive_ir(x: Tensor, s: State, units: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    x = prelu(
        norm(conv(x, s["input_layer.0.weight"]), s, "input_layer.1"), s["input_layer.2.weight"]
    )
    strides = [1 if unit else 2 for count in units for unit in range(count)]
    for index, stride in enumerate(strides):
        p = f"body.{index}.res_layer"
        y = prelu(conv(norm(x, s, f"{p}.0"), s[f"{p}.1.weight"]), s[f"{p}.2.weight"])
        y = norm(conv(y, s[f"{p}.3.weight"], stride), s, f"{p}.4")
        if f"{p}.5.fc1.weight" in s:
            squeezed = y.mean((2, 3)) @ s[f"{p}.5.fc1.weight"].flatten(1).T
            gate = (squeezed.relu() @ s[f"{p}.5.fc2.weight"].flatten(1).T).sigmoid()
            y = y * gate[:, :, None, None]
        q = f"body.{index}.shortcut_layer"
        x = x[:, :, ::stride, ::stride]
        x = y + (norm(conv(x, s[f"{q}.0.weight"]), s, f"{q}.1") if f"{q}.0.weight" in s else x)
    flat = norm(x, s, "output_layer.0").flatten(1)
    flat = flat @ s["output_layer.3.weight"].T + s["output_layer.3.bias"]
    return x, norm(flat, s, "output_layer.4")


def naive_mobile(x: Tensor, s: State) -> tuple[Tensor, Tensor]:
    def layer(x: Tensor, p: str, stride: int = 1) -> Tensor:
        x = norm(conv(x, s[f"{p}.conv.weight"], stride), s, f"{p}.bn")
        return prelu(x, s[f"{p}.prelu.weight"]) if f"{p}.prelu.weight" in s else x

    x = layer(layer(x, "conv1", 2), "conv2_dw")
    for first, rest, count in (
        ("conv_23", "conv_3", 4),
        ("conv_34", "conv_4", 6),
        ("conv_45", "conv_5", 2),
    ):
        x = layer(layer(layer(x, f"{first}.conv"), f"{first}.conv_dw", 2), f"{first}.project")
        for i in range(count):
            p = f"{rest}.model.{i}"
            x = x + layer(layer(layer(x, f"{p}.conv"), f"{p}.conv_dw"), f"{p}.project")
    grid = layer(x, "conv_6_sep")
    pooled = (grid * s["output_layer.conv_6_dw.conv.weight"][:, 0]).sum((2, 3))
    pooled = norm(pooled, s, "output_layer.conv_6_dw.bn")
    return grid, norm(pooled @ s["output_layer.linear.weight"].T, s, "output_layer.bn")


def naive_casia(x: Tensor, s: State) -> tuple[Tensor, Tensor]:
    x = prelu(norm(conv(x, s["conv1.conv.weight"], 2), s, "conv1.bn"), s["conv1.prelu.weight"])
    x = prelu(
        norm(conv(x, s["dw_conv1.conv.weight"]), s, "dw_conv1.bn"), s["dw_conv1.prelu.weight"]
    )
    for block in range(15):
        p, stride = f"blocks.{block}.conv", 2 if block in (0, 5, 12) else 1
        y = prelu(norm(conv(x, s[f"{p}.0.weight"]), s, f"{p}.1"), s[f"{p}.2.weight"])
        y = prelu(norm(conv(y, s[f"{p}.3.weight"], stride), s, f"{p}.4"), s[f"{p}.5.weight"])
        y = norm(conv(y, s[f"{p}.6.weight"]), s, f"{p}.7")
        x = y if stride == 2 else x + y
    grid = prelu(norm(conv(x, s["conv2.conv.weight"]), s, "conv2.bn"), s["conv2.prelu.weight"])
    pooled = norm((grid * s["linear7.conv.weight"][:, 0]).sum((2, 3)), s, "linear7.bn")
    return grid, norm(pooled @ s["linear1.conv.weight"].flatten(1).T, s, "linear1.bn")


@pytest.mark.parametrize(
    ("build", "naive", "size"),
    [
        (lambda: IResNet((1, 2, 1, 1)), lambda x, s: naive_iresnet(x, s, (1, 2, 1, 1)), (112, 112)),
        (
            lambda: IRNet((2, 1, 2, 1), scaled=False),
            lambda x, s: naive_ir(x, s, (2, 1, 2, 1)),
            (112, 112),
        ),
        (
            lambda: IRNet((1, 2, 1, 1), squeeze=True),
            lambda x, s: naive_ir(x, s, (1, 2, 1, 1)),
            (112, 112),
        ),
        (MobileFaceNet, naive_mobile, (112, 112)),
        (MobileFaceNetCASIA, naive_casia, (112, 96)),
    ],
    ids=["iresnet", "ir", "ir-se", "mobilefacenet", "mobilefacenet-casia"],
)
@torch.no_grad()
def test_forward_is_the_naive_one(
    build: Callable[[], nn.Module],
    naive: Callable[[Tensor, State], tuple[Tensor, Tensor]],
    size: tuple[int, int],
) -> None:
    torch.manual_seed(0)
    model = shuffled(build)
    x = torch.randn(2, 3, *size)
    grid, embedding = naive(x, model.state_dict())
    torch.testing.assert_close(model.features(x), grid, rtol=1e-4, atol=1e-4 * grid.abs().max())
    tolerance = 1e-4 * float(embedding.abs().max())
    torch.testing.assert_close(model(x), embedding, rtol=1e-4, atol=tolerance)
    torch.testing.assert_close(model.head(model.features(x)), model(x))
    assert embedding.std(0).min() > 0  # the two images do differ


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


# Checkpoints


@pytest.mark.parametrize(
    "wrap",
    [
        lambda s: s,
        lambda s: {f"module.{key}": value for key, value in s.items()},
        lambda s: {"state_dict": s, "epoch": 3},
        lambda s: {"net_state_dict": s, "iters": 7},
        lambda s: {"model": {"backbone": OrderedDict(s)}},
        lambda s: {k: v for k, v in s.items() if not k.endswith("num_batches_tracked")},
        lambda s: {k: v.half() if v.is_floating_point() else v for k, v in s.items()},
    ],
    ids=["bare", "parallel", "state_dict", "net_state_dict", "nested", "uncounted", "half"],
)
def test_the_same_model_comes_from_every_wrapping(
    wrap: Callable[[State], object], small: State, saved: Callable[[object], Path]
) -> None:
    model = load_backbone("mobilefacenet-casia", checkpoint=saved(wrap(small)))
    for key, value in model.state_dict().items():
        assert value.dtype == small[key].dtype
        torch.testing.assert_close(value, small[key], rtol=1e-3, atol=1e-3)


def test_a_loaded_model_is_frozen_and_knows_its_input(
    small: State, saved: Callable[[object], Path]
) -> None:
    model = load_backbone(saved(small))
    assert not model.training
    assert not any(p.requires_grad for p in model.parameters())
    x = torch.randn(1, 3, 112, 96, requires_grad=True)
    (gradient,) = torch.autograd.grad(model(x).square().sum(), x)
    assert gradient.abs().max() > 0
    assert (model.mean, model.size, model.channel_order) == (0.5, (112, 96), "RGB")
    # (pixel - 127.5) / 128, as the authors write it
    assert (1 - model.mean) / model.std == pytest.approx((255 - 127.5) / 128)


def test_safetensors(small: State, tmp_path: Path) -> None:
    save_file(small, tmp_path / "weights.safetensors")
    model = load_backbone(tmp_path / "weights.safetensors", mean=(0.4, 0.5, 0.6), std=0.25)
    assert torch.equal(model.state_dict()["conv1.conv.weight"], small["conv1.conv.weight"])
    assert (model.mean, model.std) == ((0.4, 0.5, 0.6), 0.25)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_is_recognised(
    architecture: str, saved: Callable[[object], Path]
) -> None:
    # One stored number per tensor: 65 million parameters weigh nothing.
    model = build_meta(architecture)
    state = {key: torch.zeros(()).expand(v.shape) for key, v in model.state_dict().items()}
    loaded = load_backbone(saved(state), channel_order="RGB")
    assert type(loaded) is type(model)
    assert loaded.state_dict().keys() == state.keys()


@torch.no_grad()
def test_bgr_models_take_rgb(saved: Callable[[object], Path]) -> None:
    authors = shuffled(MobileFaceNet)
    path = saved(authors.state_dict())
    ours = load_backbone("mobilefacenet", checkpoint=path)
    rgb = torch.randn(1, 3, 112, 112)
    bgr = rgb.flip(1).double()
    torch.testing.assert_close(ours.double()(rgb.double()), authors.double()(bgr))
    assert ours.channel_order == "RGB"
    with pytest.raises(ValueError, match="BGR by some and on RGB by others"):
        load_backbone(path)
    assert torch.equal(load_backbone(path, channel_order="RGB")(rgb), authors.float()(rgb))


def test_mobilefacenet_with_its_head_at_the_top(saved: Callable[[object], Path]) -> None:
    state = shuffled(MobileFaceNet).state_dict()
    top = {key.removeprefix("output_layer."): value for key, value in state.items()}
    assert top.keys() != state.keys()
    model = load_backbone(saved(top), channel_order="RGB")
    assert torch.equal(model.state_dict()["output_layer.bn.bias"], state["output_layer.bn.bias"])


def test_a_margin_head_is_left_out_with_a_warning(
    small: State, saved: Callable[[object], Path]
) -> None:
    path = saved({**small, "margin.kernel": torch.zeros(128, 10)})
    with pytest.warns(UserWarning, match=r"left out margin\.kernel \(128, 10\)") as caught:
        load_backbone(path)
    assert caught[0].filename == __file__


def test_a_deeper_network_is_not_taken_for_a_shallower_one(
    saved: Callable[[object], Path],
) -> None:
    deep = build_meta("iresnet34").state_dict()
    path = saved({key: torch.zeros(()).expand(value.shape) for key, value in deep.items()})
    with pytest.raises(ValueError, match=r"not the weights of iresnet18: unexpected: layer1\.2"):
        load_backbone("iresnet18", checkpoint=path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("conv2.conv.weight"), r"missing: conv2\.conv\.weight"),
        (
            lambda s: s.update({"conv2.conv.weight": torch.zeros(2, 2)}),
            r"of another shape: conv2\.conv\.weight \(2, 2\) instead of \(512, 128, 1, 1\)",
        ),
        (lambda s: s.update({"conv2.new": torch.zeros(1)}), r"unexpected: conv2\.new"),
    ],
)
def test_weights_that_do_not_fit_are_named(
    change: Callable[[State], object],
    message: str,
    small: State,
    saved: Callable[[object], Path],
) -> None:
    state = dict(small)
    change(state)
    path = saved(state)
    with pytest.raises(ValueError, match=message):
        load_backbone("mobilefacenet-casia", checkpoint=path)
    with pytest.raises(ValueError, match="weights of no architecture known here"):
        load_backbone(path)


class Bomb:
    """Its pickle, if run, makes a folder."""

    def __init__(self, crater: Path) -> None:
        self.crater = str(crater)

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (self.crater,)


def test_the_bomb_works(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Bomb(tmp_path / "crater")))
    assert (tmp_path / "crater").exists()


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_checkpoint_is_refused(zipped: bool, small: State, tmp_path: Path) -> None:
    path = tmp_path / "bomb.pth"
    content = {"state_dict": small, "optimizer": Bomb(tmp_path / "crater")}
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(ValueError, match="refused, for reading it would run Python code"):
        load_backbone("mobilefacenet-casia", checkpoint=path)
    assert not (tmp_path / "crater").exists()


@pytest.mark.parametrize("content", [b"", b"hello world" * 99, b"PK\x03\x04 cut off"])
@pytest.mark.parametrize("suffix", ["pth", "safetensors", "pt2"])
def test_damaged_files(content: bytes, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"damaged.{suffix}"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="no readable checkpoint"):
        load_backbone(path)


def test_a_file_without_weights(saved: Callable[[object], Path]) -> None:
    with pytest.raises(ValueError, match="no tensors at its top level, only epoch"):
        load_backbone(saved({"epoch": 3}))
    with pytest.raises(ValueError, match="got a Tensor; want a state dict"):
        load_backbone(saved(torch.zeros(3)))


def test_what_cannot_be_meant(small: State, saved: Callable[[object], Path]) -> None:
    path = saved(small)
    with pytest.raises(ValueError, match=r"get it from https://github\.com/fdbtrs/ElasticFace"):
        load_backbone("elasticface-arc")
    with pytest.raises(ValueError, match=r"no such model\. Did you mean iresnet100\?"):
        load_backbone("iresnet10")
    with pytest.raises(ValueError, match="demo: it has its own weights"):
        load_backbone("demo", checkpoint=path)
    with pytest.raises(ValueError, match="no such model"):
        load_backbone(path, checkpoint=path)
    with pytest.raises(FileNotFoundError, match=r"nowhere\.pt"):
        load_backbone("nowhere.pt")
    with pytest.raises(FileNotFoundError, match=r"nowhere\.pt"):
        load_backbone("iresnet18", checkpoint="nowhere.pt")
    with pytest.raises(ValueError, match="give both or neither"):
        load_backbone(path, mean=0.5)
    with pytest.raises(ValueError, match="channel_order: got 'GRB'"):
        load_backbone(path, channel_order="GRB")
    with pytest.raises(ValueError, match="architecture: got 'vgg'; want one of iresnet18"):
        load_backbone(path, architecture="vgg")
    with pytest.raises(ValueError, match="but arcface-r100 is iresnet100"):
        load_backbone("arcface-r100", path, architecture="iresnet18")


def test_the_table_names_every_model() -> None:
    lines = describe_models().splitlines()
    assert [line.split()[0] for line in lines] == ["name", "demo", *CATALOGUE]
    assert all(
        entry.source in line for entry, line in zip(CATALOGUE.values(), lines[2:], strict=True)
    )


# Programs


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
