"""What does xFace cost beside the bare forwards of its covered images?

    python benchmarks/speed/xface.py --model demo
    python benchmarks/speed/xface.py --model face.pt2 --repeat 7

Bar: one sweep for all three variants and both images takes at most 1.10 times the bare forwards of
as many images at the backbone's best batch size.
"""

from __future__ import annotations

import argparse

import torch
from timing import best_forwards, compare

from captum_fv.attr.xface import OcclusionPairAttribution
from captum_fv.data import generated_pairs
from captum_fv.models import load_backbone
from captum_fv.siamese import SiameseCosine


def main() -> None:
    """Time both in turn, so that a busy machine disturbs them alike, and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="demo", help='"demo" or a .pt2 or TorchScript file')
    parser.add_argument("--repeat", type=int, default=5, help="how often each is timed")
    parser.add_argument("--batch", type=int, help="perturbations_per_eval, if not the default")
    arguments = parser.parse_args()

    backbone = load_backbone(arguments.model)
    method = OcclusionPairAttribution(SiameseCosine(backbone, mean=0.5, std=0.5))
    img_a, img_b = generated_pairs(2).tensors([0])
    forwards = method.num_forwards(img_a, variants=(1, 2, 3))
    images = torch.rand(forwards, 3, 112, 112) * 2 - 1
    options = {"perturbations_per_eval": arguments.batch} if arguments.batch else {}

    def sweep() -> None:
        method.attribute_variants(img_a, img_b, **options)

    sweep()  # the first one pays for warming up
    best, bare = best_forwards(backbone, images)
    floor, ours, ratio = compare(bare, sweep, arguments.repeat)
    print(f"{forwards} bare forwards, {best} at a time: {floor:.2f} s; sweep: {ours:.2f} s")
    print(f"ratio: {ratio:.3f} (bar: 1.10)")


if __name__ == "__main__":
    main()
