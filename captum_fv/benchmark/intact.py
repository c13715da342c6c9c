"""Whether the model is still the one it was, under every method and since the run began."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from captum_fv.core.arrays import FloatArray

_INTEGERS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
"""The integer type of a number's bytes, by their count."""

SAME_SCORE = 5e-3
"""No machine or number of threads moves the cosine of the same pairs so far."""

State = dict[str, tuple[object, ...]]
"""Name of a tensor or module -> what a method must not change of it."""


@contextmanager
def untouched(model: nn.Module, by: str) -> Iterator[None]:
    """Raise if the model comes out of this block with other weights, parts or hooks.

    Args:
        model: The model.
        by: Who works with it meanwhile, for the error.

    Raises:
        ValueError: It changed.
    """
    before = state_of(model)
    yield
    check_untouched(model, before, by)


def check_untouched(model: nn.Module, before: State, by: str) -> None:
    """Raise a ValueError, which names `by`, if the model is no longer as `before` says."""
    now = state_of(model)
    if now == before:
        return
    changed = next(name for name in now | before if now.get(name) != before.get(name))
    raise ValueError(
        f"{by} changes the model ({changed or 'its hooks'}), and all methods after it would "
        "explain another one; let it work on copy.deepcopy(model), and remove its hooks"
    )


def check_same_scores(model: str, before: FloatArray, now: FloatArray) -> None:
    """Raise a ValueError for a model that gives pairs other scores (N,) than when a run began."""
    apart = float(np.abs(now - before).max())
    if apart > SAME_SCORE:
        raise ValueError(
            f"{model}: the cosine of a pair is {apart:.3g} off what it was when this run began, so "
            "the model, its code or a library of it changed; begin anew in another folder"
        )


def state_of(model: nn.Module) -> State:
    """Floating point weights and buffers by a sum over their bits; modules by class and hooks.

    A sum costs one pass over the weights. Of a tensor that was written on through `.data`, its
    version says nothing. Whole numbers are left out: a backbone may count its calls.
    """
    state: State = {
        name: (type(module).__qualname__, _hooks(module)) for name, module in model.named_modules()
    }
    named = (*model.named_parameters(), *model.named_buffers())
    floating = {name: tensor for name, tensor in named if tensor.is_floating_point()}
    # All are asked for before the first is waited for.
    sums = [_sum_of_bits(tensor) for tensor in floating.values()]
    for (name, tensor), total in zip(floating.items(), sums, strict=True):
        state[name] = (tensor.shape, tensor.dtype, int(total))
    return state


def _hooks(module: nn.Module) -> int:
    """How many hooks it has, of any kind."""
    return sum(
        len(hooks)
        for name, hooks in vars(module).items()
        if name.endswith("_hooks") and isinstance(hooks, dict)
    )


def _sum_of_bits(tensor: Tensor) -> Tensor:
    """Of whole numbers, so that it is the same in whichever order it is added up.

    Each counts by its place, so that swapped or negated weights do not cancel out.
    """
    bits = tensor.detach().contiguous().view(_INTEGERS[tensor.itemsize]).flatten()
    return (bits * torch.arange(1, len(bits) + 1, device=bits.device)).sum()
