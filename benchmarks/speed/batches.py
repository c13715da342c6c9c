"""What does an image cost in batches of which size, as the model comes and optimised?

    python benchmarks/speed/batches.py --model demo
    python benchmarks/speed/batches.py --model iresnet50 --images 16
    MALLOC_MMAP_THRESHOLD_=1073741824 MALLOC_TRIM_THRESHOLD_=1073741824 \\
        python benchmarks/speed/batches.py --model face.pt2

On the CPU. The last line has glibc keep freed memory, which it else hands back, and for the next
batch the system clears every page anew.
"""

from __future__ import annotations

import argparse
import resource

import numpy as np
import torch
from device import model
from timing import seconds
from torch import Tensor

import captum_fv as fv

SIZES = (2, 8, 16, 32, 64, 128)


@torch.no_grad()
def main() -> None:
    """Print milliseconds for an image, and how many pages the system cleared for it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="demo", help="an architecture's name or a file")
    parser.add_argument("--images", type=int, default=512, help="in each round")
    parser.add_argument("--rounds", type=int, default=5, help="how often each size is timed")
    arguments = parser.parse_args()

    siamese = model(arguments.model, "cpu")
    images = torch.rand(arguments.images, 3, 112, 112)
    sizes = [size for size in SIZES if size <= len(images)]
    print(f"{arguments.model}, {torch.get_num_threads()} threads: ms (pages) for an image")
    for name, form in (("plain", siamese), ("optimised", fv.optimise_for_inference(siamese))):
        costs = [[cost(form, images, size) for size in sizes] for _ in range(arguments.rounds)]
        cells = [
            f"{size}: {1e3 * taken:.2f} ({pages:.0f})"
            for size, (taken, pages) in zip(sizes, np.median(costs, axis=0), strict=True)
        ]
        print(f"{name:9}", *cells)


def cost(siamese: fv.SiameseCosine, images: Tensor, size: int) -> tuple[float, float]:
    """Seconds and page faults for an image in batches of a size."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    taken = seconds(lambda: [siamese.embed_images(part) for part in images.split(size)])
    pages = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    return taken / len(images), pages / len(images)


if __name__ == "__main__":
    main()
