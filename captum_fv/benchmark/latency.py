"""How long a method takes to explain (the paper's Table 3)."""

from __future__ import annotations

import time

import numpy as np
import torch

from captum_fv.attr.methods import Method
from captum_fv.benchmark.columns import Table
from captum_fv.benchmark.maps import reads_patches
from captum_fv.data.patched_pairs import PairBatch

FEWEST = 3
"""Pairs that are timed however long they take."""


def time_method(
    method: Method, pairs: PairBatch, batch_size: int = 32, at_most: float = 60.0
) -> Table:
    """Seconds to make both maps of some pairs, one pair at a time and in batches.

    One pair is explained before the clock starts.

    Args:
        method: An attribution method; a PatchOracle is given the true masks.
        pairs: The pairs, on the model's device.
        batch_size: Pairs of a batch.
        at_most: After so many seconds no further pair is begun, but for the first three.

    Returns:
        A table with one row for each timed pair: seconds, batched_seconds (its share of its batch).
    """
    _time(method, pairs.rows([0]))
    seconds: list[float] = []
    for k in range(len(pairs)):
        if k >= FEWEST and sum(seconds) >= at_most:
            break
        seconds.append(_time(method, pairs.rows([k])))
    batches = pairs.rows(range(len(seconds))).split(batch_size)
    shares = [np.full(len(batch), _time(method, batch) / len(batch)) for batch in batches]
    return {"seconds": np.array(seconds), "batched_seconds": np.concatenate(shares)}


def _time(method: Method, pairs: PairBatch) -> float:
    extras = {"patch_mask": pairs.mask.clone()} if reads_patches(method) else {}
    pair = pairs.patched_a.clone(), pairs.img_b.clone()  # its own to write on
    started = time.perf_counter()
    method.attribute(*pair, **extras)
    if pairs.patched_a.is_cuda:  # whose work is only queued until now
        torch.cuda.synchronize(pairs.patched_a.device)
    elif pairs.patched_a.device.type == "mps":
        torch.mps.synchronize()
    return time.perf_counter() - started
