"""Two pieces of work timed in turn, so that a busy machine disturbs them alike."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from torch import nn

Work = Callable[[], object]


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


def images_through(backbone: nn.Module, work: Work) -> int:
    """How many images work sends through a backbone."""
    seen: list[int] = []
    handle = backbone.register_forward_hook(lambda _, given, __: seen.append(len(given[0])))
    work()
    handle.remove()
    return sum(seen)
