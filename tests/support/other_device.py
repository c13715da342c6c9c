"""A device that is none: tensors that say they are on "meta", hold their values on the CPU, and, as
Apple's GPUs do, refuse double precision and whatever mixes them with tensors of the CPU.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

DEVICE = torch.device("meta")

WAITS: list[str] = []
"""What a GPU would have been waited for, in order: its values looked at, a CPU's sent at once."""


INDEXING = (torch.ops.aten.index.Tensor, torch.ops.aten.index_put_.default)


class OtherTensor(Tensor):
    """A tensor on that device; `held` has its values."""

    held: Tensor

    @staticmethod
    def __new__(cls, held: Tensor) -> OtherTensor:
        made = Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls,
            held.size(),
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            device=DEVICE,
        )
        made.held = held
        return made  # type: ignore[no-any-return]

    # PyTorch knows these two for no tensor of this kind.
    def tolist(self) -> Any:
        WAITS.append("tolist")
        return self.held.tolist()

    def new_tensor(self, data: Any) -> Tensor:  # type: ignore[override]
        return torch.tensor(data, dtype=self.dtype).to(DEVICE)

    def __repr__(self) -> str:
        return f"OtherTensor({self.held!r})"

    @classmethod
    def __torch_dispatch__(
        cls, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        return _run(func, args, kwargs or {})


class _Factories(TorchDispatchMode):
    """What makes tensors of no others, as torch.zeros(..., device=DEVICE)."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if kwargs.get("device") == DEVICE:
            return _run(func, args, kwargs)
        return func(*args, **kwargs)


class _FromPython(TorchFunctionMode):
    """torch.tensor, which is no operation of its own."""

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if func is torch.tensor and kwargs.get("device") == DEVICE:
            return torch.tensor(*args, **kwargs | {"device": "cpu"}).to(DEVICE)
        return func(*args, **kwargs)


def _run(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    target = kwargs.get("device")
    moves = func is torch.ops.aten._to_copy.default and target is not None
    copies = func in (torch.ops.aten.copy_.default, torch.ops.aten._local_scalar_dense.default)
    flat = torch.utils._pytree.tree_leaves((args, kwargs))
    tensors = [value for value in flat if isinstance(value, Tensor)]
    if func is torch.ops.aten._local_scalar_dense.default:
        WAITS.append("item")
    elif moves and not kwargs.get("non_blocking"):
        WAITS.append("sent" if torch.device(target) == DEVICE else "fetched")
    elif func in INDEXING and any(
        not isinstance(t, OtherTensor) for t in args[1] if isinstance(t, Tensor)
    ):
        WAITS.append("indexed from the CPU")
    strangers = [t for t in tensors if not isinstance(t, OtherTensor) and t.ndim]
    if strangers and not (moves or copies or func in INDEXING):
        raise RuntimeError(f"{func}: expected all tensors to be on the same device")
    held = tree_map_only(OtherTensor, lambda t: t.held, (args, kwargs))
    inner_args, inner_kwargs = held
    if target is not None:
        inner_kwargs = {**inner_kwargs, "device": "cpu"}
    result = func(*inner_args, **inner_kwargs)
    stays = target is None or torch.device(target) == DEVICE
    return tree_map_only(Tensor, _on_device(tensors), result) if stays else result


def _on_device(arguments: list[Tensor]) -> Any:
    known = {id(t.held): t for t in arguments if isinstance(t, OtherTensor)}

    def wrap(values: Tensor) -> Tensor:
        if values.dtype == torch.float64:
            raise TypeError("this device has no float64")
        mine = known.get(id(values))  # of an operation in place
        return OtherTensor(values) if mine is None else mine

    return wrap


@contextmanager
def other_device() -> Iterator[torch.device]:
    """Within this, `.to(device)` and `device=` know the device."""
    with _Factories(), _FromPython():
        yield DEVICE
