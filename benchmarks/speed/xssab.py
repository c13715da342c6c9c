"""What does xSSAB cost beside the forward and the two backwards that it cannot do without?

    python benchmarks/speed/xssab.py --model demo
    python benchmarks/speed/xssab.py --model face.pt2 --rounds 50
    python benchmarks/speed/xssab.py --model demo --optimise

Bar: at most 1.05 times one backbone call on both images plus two gradients to the images.
"""

from __future__ import annotations

import argparse

import torch
from timing import compare

from captum_fv.attr import SimilarityArgumentGradient
from captum_fv.data import generated_pairs
from captum_fv.models import load_backbone
from captum_fv.siamese import SiameseCosine, optimise_for_inference


def main() -> None:
    """Time both in turn, so that a busy machine disturbs them alike, and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="demo", help='"demo" or a .pt2 or TorchScript file')
    parser.add_argument("--rounds", type=int, default=40, help="how often each is timed")
    parser.add_argument("--pairs", type=int, default=1, help="pairs in a batch")
    parser.add_argument("--optimise", action="store_true", help="xSSAB's model, not the bare one")
    arguments = parser.parse_args()

    backbone = load_backbone(arguments.model)
    siamese = SiameseCosine(backbone, mean=0.5, std=0.5)
    if arguments.optimise:
        siamese = optimise_for_inference(siamese)
    img_a, img_b = generated_pairs(max(2, arguments.pairs)).tensors(range(arguments.pairs))
    method = SimilarityArgumentGradient(siamese, threshold=0.3)
    images = (torch.cat([img_a, img_b]) - 0.5) / 0.5
    with torch.no_grad():
        cotangents = torch.randn(2, *backbone(images).shape)

    def bare() -> None:
        leaf = images.clone().requires_grad_()
        embeddings = backbone(leaf)
        torch.autograd.grad(embeddings, leaf, cotangents[0], retain_graph=True)
        torch.autograd.grad(embeddings, leaf, cotangents[1])

    def explain() -> None:
        method.attribute((img_a, img_b))

    compare(bare, explain, rounds=3)  # the first ones pay for warming up
    floor, ours, ratio = compare(bare, explain, arguments.rounds)
    print(f"bare forward + 2 backwards: {1e3 * floor:.1f} ms; xSSAB: {1e3 * ours:.1f} ms")
    print(f"ratio: {ratio:.3f} (bar: 1.05)")


if __name__ == "__main__":
    main()
