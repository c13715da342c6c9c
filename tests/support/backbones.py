"""Checkpoints and architectures that the tests of the backbones share."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from captum_fv.models import ARCHITECTURES

State = dict[str, Tensor]


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


class Bomb:
    """Its pickle, if run, makes a folder."""

    def __init__(self, crater: Path) -> None:
        self.crater = str(crater)

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (self.crater,)
