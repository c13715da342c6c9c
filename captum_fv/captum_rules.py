"""Activations to which a method of Captum would apply the plain gradient without a word."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import captum.attr as captum
import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from captum_fv.captum_calls import calls_under_way

Kinds = tuple[type[nn.Module], ...]

ACTIVATIONS: Kinds = tuple(getattr(nn, name) for name in nn.modules.activation.__all__)
RECTIFIER_METHODS = (captum.GuidedBackprop, captum.Deconvolution)
RECTIFIERS: Kinds = (nn.ReLU,)
PASSED_BY_THEIR_GRADIENT: Kinds = (nn.Sigmoid, nn.Hardsigmoid, nn.Tanh, nn.Softmax)
DEEP_LIFT_RULES: Kinds = (
    nn.ELU,
    nn.LeakyReLU,
    nn.MaxPool1d,
    nn.MaxPool2d,
    nn.MaxPool3d,
    nn.ReLU,
    nn.Sigmoid,
    nn.Softmax,
    nn.Softplus,
    nn.Tanh,
)


@contextmanager
def activations_in_sight(backbone: nn.Module) -> Iterator[None]:
    """Around a forward of the backbone: warn of what the method of Captum under way cannot see."""
    calls, _ = calls_under_way()
    methods = (call["self"] for call in calls)
    method = next(
        (m for m in methods if isinstance(m, (*RECTIFIER_METHODS, captum.DeepLift))), None
    )
    if method is None:
        yield
        return
    deep = isinstance(method, captum.DeepLift)
    rules, fine = (DEEP_LIFT_RULES, ()) if deep else (RECTIFIERS, PASSED_BY_THEIR_GRADIENT)
    kinds = tuple({*ACTIVATIONS, *rules} - {*fine})
    with _Functions(kinds) as functions:
        yield
    # DeepLift looks for these very types, the others for what is derived from them as well.
    missed = {
        type(module).__name__
        for module in backbone.modules()
        if isinstance(module, kinds)
        and not (type(module) in rules if deep else isinstance(module, rules))
    }
    unseen = sorted(missed) + [f"{name} called as a function" for name in sorted(functions.found)]
    if any(isinstance(module, torch.jit.ScriptModule) for module in backbone.modules()):
        unseen.append("those of a scripted program")
    if unseen:
        cure = "IntegratedGradients needs no rules"
        if unseen == ["PReLU"]:
            cure = "Write unfold_prelu(siamese) for siamese"
        known = ", ".join(kind.__name__ for kind in rules)
        _, user_level = calls_under_way()
        warnings.warn(
            f"{type(method).__name__} has rules for modules {known}; to this backbone's other "
            f"activations ({', '.join(unseen)}) it applies the plain gradient. {cure}",
            stacklevel=user_level,
        )


class _Functions(TorchFunctionMode):
    """Finds functions that do what modules of these kinds do, and are called by none of them."""

    def __init__(self, kinds: Kinds) -> None:
        super().__init__()
        self.names = {kind.__name__.lower() for kind in kinds}
        self.found: set[str] = set()

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        # As in leaky_relu, relu_ and aten's relu.default, for LeakyReLU and ReLU.
        name = getattr(func, "__name__", "").partition(".")[0].strip("_")
        if name.replace("_", "") in self.names and not _within_a_module(sys._getframe(1)):
            self.found.add(name)
        return func(*args, **(kwargs or {}))


def _within_a_module(frame: FrameType | None) -> bool:
    """Whether the innermost `forward` under way is that of an activation or pooling module."""
    while frame is not None and frame.f_code.co_name != "forward":
        frame = frame.f_back
    modules = (nn.modules.activation.__name__, nn.modules.pooling.__name__)
    return frame is not None and frame.f_globals.get("__name__") in modules
