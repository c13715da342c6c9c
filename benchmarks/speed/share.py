"""Which share of a run's time is the backbone's? What is left is ours: photos, patches, metrics."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from PIL import Image
from timing import seconds

import captum_fv as fv
from captum_fv.data import PairSet, PatchedPairs, patch_pairs, read_pairs


def share_of_backbone(
    siamese: fv.SiameseCosine,
    methods: Sequence[str],
    patched: PatchedPairs,
    device: str = "cpu",
    workers: int = 0,
) -> tuple[float, float]:
    """Seconds inside the backbone, and of the whole run, loading and patching included.

    On a GPU they are of two runs: to know when it is inside the backbone is to wait for it.
    """
    inside: list[float] = []

    def whole() -> float:
        return seconds(lambda: run(siamese, methods, patched, device, workers))

    def timed(work: Callable[..., Any]) -> Callable[..., Any]:
        def clocked(*arguments: Any, **options: Any) -> Any:
            wait_for(device)
            started = time.perf_counter()
            try:
                return work(*arguments, **options)
            finally:
                wait_for(device)
                inside.append(time.perf_counter() - started)

        return clocked

    wholes = [whole()] if device.startswith("cuda") else []
    backbone = siamese.backbone
    with ExitStack() as stack:
        stack.enter_context(patch.object(backbone, "forward", timed(backbone.forward)))
        # Nothing but the backbone and a cosine is differentiated.
        stack.enter_context(patch("torch.autograd.grad", timed(torch.autograd.grad)))
        wholes.append(whole())
    return sum(inside), wholes[0]


def run(
    siamese: fv.SiameseCosine,
    methods: Sequence[str],
    patched: PatchedPairs,
    device: str = "cpu",
    workers: int = 0,
) -> None:
    """DPR of methods on patched pairs, as `captum-fv dpr` measures it."""
    settings = fv.BenchmarkSettings(stratified=False, latency_pairs=0)
    with tempfile.TemporaryDirectory() as out:
        fv.run_benchmark(
            {"model": siamese}, patched, methods, out, settings, device=device, workers=workers
        )


def wait_for(device: str) -> None:
    """Until the device has done what it was given."""
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)


def from_disk(pairs: PairSet, folder: Path) -> PatchedPairs:
    """The same pairs, patched, with their photos read from files."""
    lines = []
    for k in range(len(pairs)):
        names = f"{k}_a.png", f"{k}_b.png"
        for name, photo in zip(names, pairs.pair(k), strict=True):
            Image.fromarray(photo).save(folder / name)
        lines.append(f"{names[0]} {names[1]} {int(pairs.genuine[k])}\n")
    (folder / "pairs.txt").write_text("".join(lines))
    return patch_pairs(read_pairs(folder, folder / "pairs.txt"))
