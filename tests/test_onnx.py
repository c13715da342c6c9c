"""ONNX models: black boxes that give scores and no gradient."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import captum_fv as fv


def _write_onnx(path: Path, weight: np.ndarray, batch: int | str) -> None:
    """One linear layer over flattened 8x8 images, built by onnx itself."""
    onnx = pytest.importorskip("onnx", reason="needs onnx, to build a model")
    helper, float32 = onnx.helper, onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [
            helper.make_node("Flatten", ["image"], ["flat"]),
            helper.make_node("MatMul", ["flat", "weight"], ["embedding"]),
        ],
        "linear",
        [helper.make_tensor_value_info("image", float32, [batch, 3, 8, 8])],
        [helper.make_tensor_value_info("embedding", float32, [batch, 5])],
        [onnx.numpy_helper.from_array(weight, "weight")],
    )
    opset = helper.make_opsetid("", 17)
    onnx.save(helper.make_model(graph, ir_version=8, opset_imports=[opset]), path)


class _Session:
    """What is used of onnxruntime, over one matrix."""

    shape: tuple[object, ...] = ("batch", 3, 8, 8)
    weight = np.random.default_rng(0).normal(size=(192, 5)).astype(np.float32)

    def __init__(self, path: str, providers: list[str]) -> None:
        if Path(path).read_bytes() == b"damaged":
            raise RuntimeError("InvalidProtobuf\nmore")

    def get_inputs(self) -> list[Any]:
        return [SimpleNamespace(name="image", shape=self.shape)]

    def run(self, outputs: None, feed: dict[str, np.ndarray]) -> list[np.ndarray]:
        images = feed["image"]
        assert images.dtype == np.float32
        assert self.shape[0] in ("batch", len(images))
        return [images.reshape(len(images), -1) @ self.weight]


class _Linear(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1) @ torch.from_numpy(_Session.weight)


@pytest.fixture(params=["onnxruntime", "stand-in"])
def path(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "model.onnx"
    if request.param == "onnxruntime":
        pytest.importorskip("onnxruntime", reason="needs the extra onnx")
        _write_onnx(file, _Session.weight, "batch")
    else:
        monkeypatch.setitem(sys.modules, "onnxruntime", SimpleNamespace(InferenceSession=_Session))
        file.write_bytes(b"model")
    return file


def test_embeddings_are_the_models(path: Path) -> None:
    loaded = fv.load_backbone(path)
    assert (loaded.mean, loaded.size) == (None, (8, 8))
    x = torch.rand(3, 3, 8, 8)
    torch.testing.assert_close(loaded(x), _Linear()(x))
    reversed_ = fv.load_backbone(path, channel_order="BGR")
    torch.testing.assert_close(reversed_(x), _Linear()(x.flip(1)))


def test_occlusion_works_and_gradients_refuse_with_the_cure(path: Path) -> None:
    siamese = fv.SiameseCosine(fv.load_backbone(path), 0.5, 0.5)
    twin = fv.SiameseCosine(_Linear().eval(), 0.5, 0.5)
    pair = tuple(torch.rand(2, 1, 3, 8, 8))
    torch.testing.assert_close(siamese(*pair), twin(*pair))
    ours, theirs = (
        fv.OcclusionPairAttribution(m, patch_sizes=(3,)).attribute(pair) for m in (siamese, twin)
    )
    for found, wanted in zip(ours, theirs, strict=True):
        torch.testing.assert_close(found, wanted)
        assert found.abs().max() > 0
    with pytest.raises(ValueError, match="no gradient"):
        fv.SimilarityArgumentGradient(siamese, threshold=0.3).attribute(pair)


def test_a_model_for_one_image_takes_several(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_Session, "shape", (1, 3, 8, 8))
    if path.stat().st_size > 100:
        _write_onnx(path, _Session.weight, 1)
    x = torch.rand(3, 3, 8, 8)
    torch.testing.assert_close(fv.load_backbone(path)(x), _Linear()(x))


def test_channels_last_are_refused_at_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorFlow's order, of which the width would be taken for 3 pixels."""
    if path.stat().st_size > 100:
        pytest.skip("needs no real model")
    monkeypatch.setattr(_Session, "shape", ("batch", 8, 8, 3))
    with pytest.raises(ValueError, match=r"want images \(N, 3, H, W\).*--inputs-as-nchw"):
        fv.load_backbone(path)


def test_photos_without_a_known_normalisation_are_warned_of(path: Path) -> None:
    pair = tuple(torch.rand(2, 1, 3, 8, 8))
    with pytest.warns(UserWarning, match=r"leaves the model's mean and std behind"):
        fv.SiameseCosine(fv.load_backbone(path))(*pair)


def test_an_error_of_the_runtime_is_one_of_ours(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """onnxruntime's errors are no RuntimeErrors, and were a traceback."""
    if path.stat().st_size > 100:
        pytest.skip("needs no real model")

    def fail(self: _Session, outputs: None, feed: dict[str, np.ndarray]) -> None:
        raise Exception("InvalidArgument : got 4, expected 8")  # as the runtime derives its own

    siamese = fv.SiameseCosine(fv.load_backbone(path), 0.5, 0.5)
    monkeypatch.setattr(_Session, "run", fail)
    with pytest.raises(ValueError, match=r"the backbone cannot take .* InvalidArgument"):
        siamese(*torch.rand(2, 1, 3, 8, 8))


def test_damage_and_what_is_missing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_bytes(b"damaged")
    with pytest.raises(ValueError, match="no readable ONNX model") as refused:
        fv.load_backbone(path)
    assert "\n" not in str(refused.value)
    with pytest.raises(ValueError, match="takes no architecture"):
        fv.load_backbone(path, architecture="iresnet18")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ImportError, match=r'write pip install "captum_fv\[onnx\]"'):
        fv.load_backbone(path)
