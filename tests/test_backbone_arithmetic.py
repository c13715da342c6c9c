"""The backbones' arithmetic, written again from their papers."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from captum_fv.models import IResNet, IRNet, MobileFaceNet, MobileFaceNetCASIA
from tests.support.backbones import State, shuffled


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
