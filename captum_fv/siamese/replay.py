"""Work for the GPU, recorded once as a CUDA graph and replayed: no launches to wait for.

A graph replays kernels on the very memory that it was recorded on. So inputs are copied into that
memory, results are copied out of it, and it holds for one size of images alone.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from captum_fv.core.arithmetic import autocast_type

Work = Callable[..., tuple[Tensor, ...]]
"""Tensors -> tensors, without a look at their values on the way."""

Record = Callable[[Callable[[], tuple[Tensor, ...]]], Callable[[], tuple[Tensor, ...]]]
"""Runs work without arguments once -> what replays it; both give the same tensors, rewritten."""

FEW = 8
"""Pairs; of more, computing them takes longer than launching it."""

CLOSE = 1e-2
"""How far a replay may be from the work itself, as a share of the largest value."""


class Replays:
    """The recordings of one model, by what they do and for which shapes.

    Where one fails, or does not give what the work itself gives, a warning says so and the work is
    done as ever.

    Args:
        record: How to record; None: as a CUDA graph.
    """

    def __init__(self, record: Record | None = None) -> None:
        self._record = record_cuda_graph if record is None else record
        self._kept: dict[Any, tuple[list[Tensor], Callable[[], tuple[Tensor, ...]]] | None] = {}

    def __reduce__(self) -> tuple[type[Replays], tuple[Record]]:
        # A copy's weights may change, and a recording has those that it was made with.
        return type(self), (self._record,)

    def serve(self, images: Tensor) -> bool:
        """Whether work on these is worth a recording: of few images, launches take most time."""
        return images.is_cuda and len(images) <= FEW

    def run(self, name: str, work: Work, *inputs: Tensor) -> tuple[Tensor, ...]:
        """What work(*inputs) gives, replayed if it was recorded before.

        Args:
            name: Of the work, with all that it depends on beside the inputs.
            work: Not kept: another one of the same name must do the same.
            inputs: Tensors on one device.
        """
        kinds = ((x.shape, x.dtype, x.device) for x in inputs)
        key = (name, autocast_type(inputs[0].device), *kinds)
        if key not in self._kept:
            results = work(*inputs)
            self._kept[key] = self._recorded(work, inputs, results)
            return results
        if (recorded := self._kept[key]) is None:
            return work(*inputs)
        return _replay(*recorded, inputs)

    def _recorded(
        self, work: Work, inputs: tuple[Tensor, ...], expected: tuple[Tensor, ...]
    ) -> tuple[list[Tensor], Callable[[], tuple[Tensor, ...]]] | None:
        kept = [x.detach().clone() for x in inputs]
        try:
            replay = self._record(lambda: work(*kept))
            found = _replay(kept, replay, inputs)
        except RuntimeError as error:
            reason = str(error).strip().partition("\n")[0]
        else:
            if all(map(_close, found, expected)):
                return kept, replay
            reason = "it gives other figures than the work itself"
        warnings.warn(f"no CUDA graph: {reason}; it goes on without one", stacklevel=5)
        return None


def _replay(
    kept: list[Tensor], replay: Callable[[], tuple[Tensor, ...]], inputs: tuple[Tensor, ...]
) -> tuple[Tensor, ...]:
    for memory, new in zip(kept, inputs, strict=True):
        memory.copy_(new)
    return tuple(result.clone() for result in replay())


def _close(found: Tensor, expected: Tensor) -> bool:
    return bool((found - expected).abs().max() <= CLOSE * expected.abs().max())


def record_cuda_graph(work: Callable[[], tuple[Tensor, ...]]) -> Callable[[], tuple[Tensor, ...]]:
    """Record work as a CUDA graph, after three runs on a stream of its own that warm it up."""
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            work()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        results = work()

    def replay() -> tuple[Tensor, ...]:
        graph.replay()
        return results

    return replay
