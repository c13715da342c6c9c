"""Checkpoints: every wrapping gives the same model, and nothing in a file ever runs."""

from __future__ import annotations

import pickle
import sys
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from captum_fv.models import ARCHITECTURES, MobileFaceNet, MobileFaceNetCASIA, load_backbone
from tests.support.backbones import Bomb, State, build_meta, shuffled
from tests.support.shared import SHARED, needs_shared


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
        lambda s: {f"backbone.{k}": v for k, v in s.items()},
        lambda s: {f"module._orig_mod.{k}": v for k, v in s.items()},
        lambda s: {"state_dict": {f"model.backbone.{k}": v for k, v in s.items()}},
        lambda s: {"state_dict": {f"features.module.{k}": v for k, v in s.items()}},
        lambda s: {"epoch": 3, "state_dict_backbone": s},
        lambda s: {f"face_net.trunk.{k}": v for k, v in s.items()},
    ],
    ids=[
        "bare",
        "parallel",
        "state_dict",
        "net_state_dict",
        "nested",
        "uncounted",
        "half",
        "backbone",
        "compiled",
        "lightning",
        "magface",
        "arcface_torch",
        "unheard of",
    ],
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


@pytest.mark.extended
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_is_recognised(
    architecture: str, saved: Callable[[object], Path]
) -> None:
    if architecture == "edgeface-xxs":
        pytest.importorskip("timm", reason="EdgeFace's network is timm's")
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
    with pytest.raises(ValueError, match="no readable checkpoint") as refused:
        load_backbone(path)
    if content.startswith(b"hello") and suffix != "safetensors":
        assert "(torch.save did not write it)" in str(refused.value)


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


def test_a_checkpoint_that_contains_itself_ends(saved: Callable[[object], Path]) -> None:
    content: dict[str, object] = {}
    content["state_dict"] = {"model": content}
    with pytest.raises(ValueError, match="no tensors at its top level, only state_dict"):
        load_backbone(saved(content))


class _Disguised(OrderedDict[str, object]):
    """A pickle may set attributes of an OrderedDict, here one that hides its method."""

    def __reduce__(self) -> tuple[object, ...]:
        return OrderedDict, (), {"items": "no method", "get": "neither"}, None, iter(self.items())


def test_a_dictionary_with_attributes_of_its_own(saved: Callable[[object], Path]) -> None:
    path = saved({"state_dict": _Disguised(weight=torch.zeros(1))})
    with pytest.raises(ValueError, match="weights of no architecture known here"):
        load_backbone(path)


def test_a_prefix_leaves_the_margin_head_out_with_a_warning(
    small: State, saved: Callable[[object], Path]
) -> None:
    prefixed = {f"model.{key}": value for key, value in small.items()}
    path = saved({"state_dict": prefixed | {"head.kernel": torch.zeros(128, 10)}})
    with pytest.warns(UserWarning, match=r"left out head\.kernel \(128, 10\)"):
        model = load_backbone(path)
    assert torch.equal(model.state_dict()["conv1.bn.bias"], small["conv1.bn.bias"])


def test_two_networks_in_a_file_are_not_chosen_from(
    small: State, saved: Callable[[object], Path]
) -> None:
    both = {f"{name}.{key}": v for name in ("student", "teacher") for key, v in small.items()}
    with pytest.raises(ValueError, match=r"several networks, under student\. and teacher\.;"):
        load_backbone(saved(both))


def test_magface_is_not_taken_for_arcface(saved: Callable[[object], Path]) -> None:
    state = build_meta("iresnet100").state_dict()
    path = saved(
        {f"features.module.{k}": torch.zeros(()).expand(v.shape) for k, v in state.items()}
    )
    with pytest.raises(ValueError, match=r'load_backbone\("magface", checkpoint=\.\.\.\)'):
        load_backbone(path)
    loaded = load_backbone("magface", checkpoint=path)
    assert (loaded.mean, loaded.std) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.pth", b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "Git LFS pointer"),
        ("a.h5", b"\x89HDF\r\n\x1a\n", "HDF5"),
        ("a.pth", b"\n<!DOCTYPE html><html>", "a web page"),
        ("a.safetensors", b"<html><body>", "a web page"),
        ("model-0000.params", b"\x12\x01\0\0\0\0\0\0", "MXNet"),
        ("model.safetensors.index.json", b'{"metadata": {}, "weight_map": {}}', "several"),
    ],
)
def test_foreign_files_are_named_for_what_they_are(
    name: str, content: bytes, told: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"this is .*{told}"):
        load_backbone(path)
    with pytest.raises(ValueError, match=f"this is .*{told}"):
        load_backbone("iresnet18", checkpoint=path)


def test_edgeface_says_that_it_needs_timm(
    saved: Callable[[object], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    path = saved({"model.stages.0.blocks.0.conv_dw.weight": torch.zeros(24, 1, 3, 3)})
    for arguments in ((path,), ("edgeface-xxs", path)):
        with pytest.raises(ImportError, match="write pip install timm"):
            load_backbone(*arguments)


@needs_shared
def test_edgefaces_weights_give_its_programs_embeddings(
    saved: Callable[[object], Path],
) -> None:
    pytest.importorskip("timm", reason="EdgeFace's network is timm's")
    program = load_backbone(SHARED / "models/edgeface_xxs.pt2")
    state = {key.removeprefix("program."): v for key, v in program.state_dict().items()}
    model = load_backbone(saved(state))
    assert (model.mean, model.std, model.size) == (0.5, 0.5, (112, 112))
    x = torch.rand(2, 3, 112, 112)
    torch.testing.assert_close(model(x), program(x))
    assert model.features(x).shape == (2, 168, 3, 3)
