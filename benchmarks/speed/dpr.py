"""What does decision-based patch replacement cost beside the forwards that it cannot do without?

    python benchmarks/speed/dpr.py --model demo
    python benchmarks/speed/dpr.py --model face.pt2 --parts ratio,share

Bars, on the CPU: DPR of one method takes at most 1.12 times the bare forwards of the images that it
has to score; a whole run of several methods spends at least 88 % of its time inside the backbone;
2,400 pairs need as much memory as 200 (of Linux, which says it). All on generated faces.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path

import torch
from share import run, share_of_backbone
from timing import best_forwards, compare, images_through

import captum_fv as fv
from captum_fv.data import generated_pairs, patch_pairs

METHODS = ("xssab", "rnd", "oracle", "difference", "sensitivity", "centre")
THRESHOLD = 0.3


def main() -> None:
    """Measure the parts asked for and print each beside its bar."""
    arguments = parse_arguments()
    siamese = fv.SiameseCosine(fv.load_backbone(arguments.model), mean=0.5, std=0.5)
    if arguments.memory_of:
        print(peak_megabytes(siamese, arguments.memory_of))
        return
    if "ratio" in arguments.parts:
        print_ratio(siamese, arguments.pairs, arguments.rounds)
    if "share" in arguments.parts:
        print_share(siamese, arguments.pairs)
    if "memory" in arguments.parts:
        few, many = (memory_of_a_new_process(arguments.model, count) for count in (200, 2400))
        print(f"peak memory: {few:.0f} MB with 200 pairs, {many:.0f} MB with 2,400")
        print(f"ratio: {many / few:.3f} (bar: 1.10)")


def print_ratio(siamese: fv.SiameseCosine, pairs: int, rounds: int) -> None:
    """One method's DPR beside bare forwards of as many images in the backbone's best batches."""
    patched_a, original_a, img_b = patch_pairs(generated_pairs(pairs)).tensors(range(pairs))
    generator = torch.Generator().manual_seed(0)
    maps = torch.rand(pairs, 1, *img_b.shape[2:], generator=generator)
    genuine = torch.arange(pairs) % 2 == 0
    backbone = siamese.backbone

    def replace() -> None:
        fv.decision_patch_replacement(
            siamese, (patched_a, img_b), original_a, maps, THRESHOLD, genuine
        )

    needed = images_through(backbone, replace)
    images = torch.rand(needed, *img_b.shape[1:], generator=generator) * 2 - 1
    best, bare = best_forwards(backbone, images)
    floor, ours, ratio = compare(bare, replace, rounds)
    print(f"{needed} bare forwards for {pairs} pairs, {best} at a time: {floor:.2f} s")
    print(f"DPR of one method: {ours:.2f} s; ratio: {ratio:.3f} (bar: 1.12)")


def print_share(siamese: fv.SiameseCosine, pairs: int) -> None:
    """The share of a run's time, loading and patching included, inside the backbone."""
    inside, whole = share_of_backbone(siamese, METHODS, patch_pairs(generated_pairs(pairs)))
    print(
        f"{len(METHODS)} methods on {pairs} pairs: {whole:.1f} s, of which the backbone takes "
        f"{inside:.1f} s"
    )
    print(f"share: {inside / whole:.3f} (bar: 0.88)")


def peak_megabytes(siamese: fv.SiameseCosine, pairs: int) -> float:
    """The most memory that this process has held, after DPR of a cheap method."""
    run(siamese, ["rnd"], patch_pairs(generated_pairs(pairs)))
    # `resource` would give the parent's peak if that was higher, for it outlives a fork.
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) / 1024


def memory_of_a_new_process(model: str, pairs: int) -> float:
    """Peak memory of a process that does nothing else, in MB."""
    command = [sys.executable, __file__, "--model", model, "--memory-of", str(pairs)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="demo", help='"demo" or a .pt2 or TorchScript file')
    parser.add_argument("--pairs", type=int, default=64, help="for ratio and share")
    parser.add_argument("--rounds", type=int, default=9, help="how often the ratio is measured")
    parser.add_argument("--parts", default="ratio,share,memory", help="some of these")
    parser.add_argument("--memory-of", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    arguments.parts = arguments.parts.split(",")
    return arguments


if __name__ == "__main__":
    main()
