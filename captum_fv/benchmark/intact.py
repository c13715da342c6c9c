"""Whether the model is still the one it was, under every method and since the run began."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from captum_fv.core.arrays import FloatArray

_INTEGERS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
"""The integer type of a number's bytes, by their count."""

_TOGETHER = 1 << 22
"""Numbers that are added up at once: many, for a GPU takes as long for a few."""

_HOOKS = [name for name in vars(nn.Module()) if name.endswith("_hooks")]
"""Where a module keeps its hooks."""

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

    A sum costs a few passes over the weights. Of a tensor that was written on through `.data`, its
    version says nothing. Whole numbers are left out: a backbone may count its calls.
    """
    state: State = {
        name: (type(module).__qualname__, _hooks(module)) for name, module in model.named_modules()
    }
    named = (*model.named_parameters(), *model.named_buffers())
    floating = {name: tensor for name, tensor in named if tensor.is_floating_point()}
    for (name, tensor), total in zip(floating.items(), _sums_of_bits(floating), strict=True):
        state[name] = (tensor.shape, tensor.dtype, total)
    return state


def _hooks(module: nn.Module) -> int:
    """How many hooks it has, of any kind."""
    kept = vars(module)
    return sum(len(kept[name]) for name in _HOOKS if name in kept)


def _sums_of_bits(tensors: Mapping[str, Tensor]) -> list[int]:
    """Of each tensor the sum over its bits, read as whole numbers, so in whichever order.

    Each counts by its place, so that swapped or negated weights do not cancel out.
    """
    whole = [x.detach().contiguous() for x in tensors.values()]
    bits = [x.view(_INTEGERS[x.itemsize]).flatten() for x in whole]
    sums = []
    for together in _in_groups(bits):
        joined = torch.cat(together) if len(together) > 1 else together[0]
        weighted = joined * torch.arange(1, len(joined) + 1, device=joined.device)
        if len(together) == 1:
            sums.append(weighted.sum()[None])
            continue
        # Whole numbers that overflow do so alike, so differences of sums are sums.
        ends = torch.tensor([0, *(len(one) for one in together)]).cumsum(0)
        running = torch.cat([weighted.new_zeros(1), weighted.cumsum(0)])
        sums.append(running[ends.to(running.device)].diff())
    # All are asked for before the first is waited for.
    return [total for part in sums for total in part.tolist()]


def _in_groups(bits: list[Tensor]) -> list[list[Tensor]]:
    """Neighbours of one kind and device, at most a few million numbers of them together."""
    groups: list[list[Tensor]] = []
    room = 0
    for one in bits:
        kind = one.dtype, one.device
        if not groups or (groups[-1][0].dtype, groups[-1][0].device) != kind or len(one) > room:
            groups.append([])
            room = _TOGETHER
        groups[-1].append(one)
        room -= len(one)
    return groups
