"""The processes of one run, as PyTorch's torchrun starts them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist

MEETING = timedelta(minutes=5)
"""How long a process waits at the start for the others, which may have been killed by then."""

PATIENCE = timedelta(days=30)
"""How long it waits later for the slowest; if one is lost, torchrun ends the others."""


@dataclass(frozen=True)
class Workers:
    """One of `count` processes that share a run: chunk k is measured by process k % count.

    They wait for each other in the `group`; None: in that of all processes.
    """

    rank: int = 0
    count: int = 1
    group: dist.ProcessGroup | None = None

    @property
    def is_first(self) -> bool:
        """Whether this process writes what there is only one of."""
        return self.rank == 0

    def owns(self, chunk: int) -> bool:
        """Whether this process measures the chunk."""
        return chunk % self.count == self.rank

    def wait(self) -> None:
        """Go on when all processes have come here."""
        if self.count > 1:
            dist.barrier(self.group)

    @property
    def label(self) -> str:
        """The process, in reports of progress: nothing if it is the only one."""
        return "" if self.count == 1 else f"process {self.rank + 1} of {self.count}: "


@contextmanager
def torchrun_workers() -> Iterator[Workers]:
    """The processes that torchrun started, which meet here; or this one alone.

    They only wait for each other, which gloo does on every machine, with or without GPUs.

    Raises:
        RuntimeError: The others did not come within minutes.
    """
    if dist.is_available() and dist.is_initialized():
        yield Workers(dist.get_rank(), dist.get_world_size())
        return
    if not several_processes():
        yield Workers()
        return
    try:
        dist.init_process_group("gloo", timeout=MEETING)
        group = dist.new_group(backend="gloo", timeout=PATIENCE)
    except RuntimeError as error:
        raise RuntimeError(
            f"the {os.environ['WORLD_SIZE']} processes of torchrun did not meet within "
            f"{MEETING}; start them again. {error}"
        ) from error
    try:
        yield Workers(dist.get_rank(), dist.get_world_size(), group)
    finally:
        dist.destroy_process_group()


def several_processes() -> bool:
    """Whether torchrun started several of them."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def is_first_process() -> bool:
    """Whether this is the first of torchrun's processes, or the only one."""
    return os.environ.get("RANK", "0") == "0"


def own_device(device: str) -> str:
    """The device of this process: with "cuda", each of a machine's processes gets its own GPU."""
    if device != "cuda" or "LOCAL_RANK" not in os.environ:
        return device
    return f"cuda:{int(os.environ['LOCAL_RANK']) % max(1, torch.cuda.device_count())}"
