"""What a backbone keeps from one call to the next: buffers, and Python attributes of any module."""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

_OF_PYTORCH = frozenset(vars(nn.Module()))


def same_answer_again(backbone: nn.Module, embed: Callable[[], Tensor]) -> Tensor:
    """Embeddings, if a backbone that keeps or draws something gives them twice.

    It may count its calls, or keep what it computed, as long as the embedding of an image depends
    on the image alone. The second call leaves no trace; one that changes nothing is asked once.

    Raises:
        ValueError: The second answer differs; the backbone is as it was before.
    """
    before = BackboneState(backbone)
    embeddings = embed()
    if changes := before.changes():
        after = BackboneState(backbone)
        again = embed()
        if not torch.allclose(again, embeddings, rtol=0, atol=1e-5):
            before.restore()
            raise ValueError(
                "the backbone gives one image two embeddings: between two calls it changed "
                f"{', '.join(changes[:3])}; want an embedding that depends on the image alone"
            )
        after.restore()
    return embeddings


class BackboneState:
    """Everything that a forward of the backbone might change, as it is now.

    Counters, lists, dictionaries, sets and tensors are compared by value, other objects by
    identity; parameters by their place in memory and their version. The random numbers that it
    may draw count too.
    """

    def __init__(self, backbone: nn.Module) -> None:
        self._attributes = [
            (path, module, _own(module), _copy(_own(module)))
            for path, module in backbone.named_modules()
        ]
        self._buffers = [
            (name, value, value.clone())
            for name, value in backbone.named_buffers()
            if not is_lazy(value)
        ]
        self._weights = [
            (name, value, _version(value))
            for name, value in backbone.named_parameters()
            if not is_lazy(value)
        ]
        self._random = _random_states()

    def changes(self) -> list[str]:
        """What is no longer as it was, by its path in the backbone."""
        found = [
            f"{path}.{name}".removeprefix(".")
            for path, module, _, before in self._attributes
            for name in sorted(before.keys() | _own(module).keys())
            if not _same(before.get(name, _MISSING), _own(module).get(name, _MISSING))
        ]
        found += [name for name, value, before in self._buffers if not _same(before, value)]
        found += [name for name, value, before in self._weights if before != _version(value)]
        if not _same(self._random, _random_states()):
            found.append("the random number generator")
        return found

    def restore(self) -> None:
        """Put back all but parameters."""
        for _, module, attributes, contents in self._attributes:
            for name in _own(module).keys() - attributes.keys():
                delattr(module, name)
            for name, value in attributes.items():
                if not _same(contents[name], value):
                    _refill(value, _copy(contents[name]))
            vars(module).update(attributes)
        for _, buffer, content in self._buffers:
            # Writing what is there already would spoil a backward through it.
            if not _same(content, buffer):
                _refill(buffer, content)
        torch.set_rng_state(self._random[0])
        if self._random[1:]:  # else asking would wake up all GPUs
            torch.cuda.set_rng_state_all(self._random[1:])


_MISSING = object()


def _own(module: nn.Module) -> dict[str, Any]:
    """The attributes that PyTorch did not give the module."""
    return {name: value for name, value in vars(module).items() if name not in _OF_PYTORCH}


def _copy(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach().clone()
    if not isinstance(value, list | set | dict | deque):
        return value
    twin = copy.copy(value)
    if not isinstance(twin, set):
        for key in twin if isinstance(twin, dict) else range(len(twin)):
            twin[key] = _copy(twin[key])
    return twin


def _refill(value: Any, content: Any) -> None:
    """Give a container or tensor its content back; others may hold the same one."""
    if isinstance(value, Tensor):
        with torch.no_grad():
            value.copy_(content)
    elif isinstance(value, list):
        value[:] = content
    elif isinstance(value, set | dict | deque):
        value.clear()
        value.extend(content) if isinstance(value, deque) else value.update(content)


def _same(before: Any, now: Any) -> bool:
    if before is now:
        return True
    if type(before) is not type(now):
        return False
    if isinstance(now, Tensor):
        return before.shape == now.shape and before.dtype == now.dtype and torch.equal(before, now)
    if isinstance(now, dict):
        return before.keys() == now.keys() and all(_same(before[key], now[key]) for key in now)
    if isinstance(now, list | tuple | deque):
        return len(before) == len(now) and all(map(_same, before, now))
    return isinstance(now, set | int | float | complex | str | bytes) and bool(before == now)


def _version(weight: Tensor) -> tuple[int, int]:
    return weight.data_ptr(), -1 if weight.is_inference() else weight._version


def _random_states() -> list[Tensor]:
    states = [torch.get_rng_state()]
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        states += torch.cuda.get_rng_state_all()
    return states
