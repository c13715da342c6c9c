"""How a device computes: in single precision, in TF32, or in half of it where that suffices."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Literal

import torch

Precision = Literal["float32", "tf32", "float16", "bfloat16"]
"""What a model computes in; results are in single precision all the same."""

HALF = {"float16": torch.float16, "bfloat16": torch.bfloat16}
"""Precision -> the type of half precision that it stands for."""

_last_forward = threading.local()


def autocast_type(device: torch.device) -> torch.dtype | None:
    """The type that torch.autocast computes in on a device just now; None where it is off."""
    if not torch.amp.is_autocast_available(device.type):
        return None
    on = torch.is_autocast_enabled(device.type)
    return torch.get_autocast_dtype(device.type) if on else None


def without_autocast(device: torch.device) -> AbstractContextManager[Any]:
    """Within this, nothing is rounded to half precision that did not come so."""
    if autocast_type(device) is None:
        return nullcontext()
    return torch.autocast(device.type, enabled=False)


@contextmanager
def forward_arithmetic(
    precision: Precision, device: torch.device, records_gradients: bool
) -> Iterator[None]:
    """Around a forward: half precision where no gradient is asked for, TF32 only where it is named.

    Gradients of a network in half precision say little: a recorded forward stays in single.
    """
    half = None if records_gradients else HALF.get(precision)
    _last_forward.tf32 = precision == "tf32"
    with _tf32(precision == "tf32", device):
        if half is None:
            yield
        else:
            with torch.autocast(device.type, half):
                yield


def backward_arithmetic(device: torch.device) -> AbstractContextManager[None]:
    """Around a backward: TF32 as in the last forward of this thread.

    PyTorch asks for it when the backward runs, and not when its forward is recorded.
    """
    return _tf32(getattr(_last_forward, "tf32", False), device)


@contextmanager
def _tf32(allowed: bool, device: torch.device) -> Iterator[None]:
    """Whether CUDA rounds what convolutions and products take to 10 bits, within this."""
    if device.type != "cuda":
        yield
        return
    if hasattr(torch.backends.cudnn, "conv"):  # from torch 2.9 on, which refuses a mix of both
        switches: list[Any] = [torch.backends.cudnn.conv, torch.backends.cuda.matmul]
        name, value = "fp32_precision", "tf32" if allowed else "ieee"
    else:
        switches = [torch.backends.cudnn, torch.backends.cuda.matmul]
        name, value = "allow_tf32", allowed  # type: ignore[assignment]
    before = [getattr(switch, name) for switch in switches]
    try:
        for switch in switches:
            setattr(switch, name, value)
        yield
    finally:
        for switch, was in zip(switches, before, strict=True):
            setattr(switch, name, was)
