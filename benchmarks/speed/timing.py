"""Two pieces of work timed in turn, so that a busy machine disturbs them alike."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

Work = Callable[[], object]

BATCHES = (8, 16, 32, 64, 128)


def seconds(work: Work) -> float:
    """How long one run takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def compare(floor: Work, ours: Work, rounds: int) -> tuple[float, float, float]:
    """Median seconds of the floor and of ours, and the median of the ratio ours / floor."""
    times = np.array([[seconds(floor), seconds(ours)] for _ in range(rounds)])
    medians = np.median(times, axis=0)
    return float(medians[0]), float(medians[1]), float(np.median(times[:, 1] / times[:, 0]))


def best_forwards(backbone: nn.Module, images: Tensor) -> tuple[int, Work]:
    """The batch size of which some of the images cost least, and forwards of all of them in it."""

    @torch.no_grad()
    def forwards(batch: int, count: int = len(images)) -> None:
        for part in images[:count].split(batch):
            backbone(part)

    trials = [[seconds(lambda b=b: forwards(b, 512)) for b in BATCHES] for _ in range(3)]
    best = BATCHES[int(np.median(trials, axis=0).argmin())]
    return best, lambda: forwards(best)


def images_through(backbone: nn.Module, work: Work) -> int:
    """How many images work sends through a backbone."""
    seen: list[int] = []
    handle = backbone.register_forward_hook(lambda _, given, __: seen.append(len(given[0])))
    work()
    handle.remove()
    return sum(seen)
