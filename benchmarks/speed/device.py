"""Is this device right, and how fast? Checks and times in one run, written as a table.

    python benchmarks/speed/device.py --device cuda --out benchmarks/SPEED.md    # five minutes
    python benchmarks/speed/device.py --device cpu --models demo --table-pairs 3

Checks: float32 maps equal the CPU's to 1e-4 of their largest value; occlusion in float16 keeps the
rank correlation of every map at .999 (a CPU computes in bfloat16, whose maps keep .99). Times, each
beside its bare work in the same run: xSSAB of one pair (bar 1.20 of the forward and two backwards,
optimised beside a CUDA graph of them), xFace's three variants of one pair in half precision (1.15
of as many forwards in the best batch), DPR of one map (1.10 of its forwards), and a run of seven
methods, of which the backbone should take most (the share .75 of generated faces, .85 of photos).
Last the paper's Table 3: every method, one pair at a time.
"""

from __future__ import annotations

import argparse
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from share import from_disk, share_of_backbone, wait_for
from timing import compare, images_through, seconds
from torch import Tensor, nn

import captum_fv as fv
from captum_fv.attr.methods import METHODS
from captum_fv.benchmark.latency import time_method
from captum_fv.cli.options import photo_workers
from captum_fv.core.arithmetic import forward_arithmetic
from captum_fv.data import generated_pairs, patch_pairs
from captum_fv.metrics.randomisation import rank_correlation
from captum_fv.models.catalogue import ARCHITECTURES
from captum_fv.siamese.replay import record_cuda_graph

THRESHOLD = 0.3
SEVEN = ("xssab", "iag_decision", "rnd", "oracle", "difference", "sensitivity", "centre")
"""Methods whose work is the backbone's and not a thousand forwards'."""
HEADER = [
    "",
    "| model | work | bare | ours | ratio | bar | pairs/s |",
    "|---|---|---|---|---|---|---|",
]
BATCHES = (32, 64, 128, 256, 512)
PERSISTENT = ("interaction", "minplus", "fame", "fggb")
"""Methods of thousands of passes, which get few seconds of Table 3."""


def main() -> None:
    """Check, time, print, and write what was printed."""
    options = parse_arguments()
    work = options.device, options.rounds, options.run_pairs, options.compile
    parts = [machine(options.device), [""], checks(options.device), HEADER]
    parts += [times(name, *work) for name in options.models]
    if options.table_pairs:
        parts.append(table_3(options.device, options.table_pairs))
    lines = []
    for line in chain.from_iterable(parts):
        print(line, flush=True)
        lines.append(line)
    if options.out:
        options.out.write_text("# Speed of one machine\n\n" + "\n".join(lines) + "\n")


def machine(device: str) -> list[str]:
    """The device, its driver and the versions."""
    name, driver = platform.processor() or platform.machine(), "none"
    if device.startswith("cuda"):
        name = torch.cuda.get_device_name(device)
        query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        driver = subprocess.run(query, capture_output=True, text=True).stdout.split("\n")[0]
    given = " ".join(sys.argv[1:])
    versions = f"PyTorch {torch.__version__}, CUDA {torch.version.cuda}, Python"
    return [
        f"`python benchmarks/speed/device.py {given}` on {name}, driver {driver}, "
        f"{versions} {platform.python_version()}, {torch.get_num_threads()} threads."
    ]


def checks(device: str) -> Iterator[str]:
    """How far the device's maps are from the CPU's, and those of float16 from those of float32."""
    pair = patch_pairs(generated_pairs(8)).tensors([0, 1, 6, 7])[::2]
    for name in ("xssab", "iag_decision", "occlusion_alt"):
        here, there = (
            METHODS[name](demo(where), THRESHOLD).attribute([x.to(where) for x in pair])[0].cpu()
            for where in ("cpu", device)
        )
        error = float((here - there).abs().max() / here.abs().max())
        yield f"- {name}: {device} differs from the CPU by {error:.1e} of the largest (bar: 1e-4)"
    kind = half_of(device)
    for name in ("occlusion_alt", "xface2"):
        exact, half = (
            METHODS[name](demo(device, precision), THRESHOLD)
            .attribute([x.to(device) for x in pair])[0][:, 0]
            .flatten(1)
            .cpu()
            .numpy()
            for precision in ("float32", kind)
        )
        kept = rank_correlation(exact, half).min()
        yield f"- {name}: {kind} keeps a rank correlation of {kept:.5f} (bar: .999)"


def times(
    name: str, device: str, rounds: int, run_pairs: int, compiled: list[str]
) -> Iterator[str]:
    """The rows of one model: xSSAB, xFace and DPR beside their bare work."""
    siamese, label = model(name, device), Path(name).stem
    backbone, count = siamese.backbone, 64
    patched = patch_pairs(generated_pairs(count)).tensors(range(count))
    patched_a, original_a, img_b = (images.to(device) for images in patched)
    one = patched_a[:1], img_b[:1]
    images = (torch.cat(one) - 0.5) / 0.5

    def row(work: str, bare: float, ours: float, ratio: float, bar: str, pairs: int = 1) -> str:
        speed = f"{pairs / ours:.3g}"
        return f"| {label} | {work} | {bare:.4f} s | {ours:.4f} s | {ratio:.3f} | {bar} | {speed} |"

    cotangents = torch.randn(2, *backbone(images).shape, device=device)

    def forward_and_backwards(precision: str) -> tuple[Tensor, Tensor]:
        with forward_arithmetic(precision, images.device, True):
            leaf = images.clone().requires_grad_()
            embeddings = backbone(leaf)
            (first,) = torch.autograd.grad(embeddings, leaf, cotangents[0], retain_graph=True)
            (second,) = torch.autograd.grad(embeddings, leaf, cotangents[1])
        return first, second

    single = partial(forward_and_backwards, "float32")
    works: list[tuple[str, fv.SiameseCosine, Callable[[], object]]] = [
        ("xSSAB, one pair", siamese, single)
    ]
    # The floor of an optimised model is a graph too.
    for precision in ("float32", "tf32") if images.is_cuda else ("float32",):
        optimised = fv.optimise_for_inference(model(name, device, precision))
        bare = partial(forward_and_backwards, precision)
        graph = record_cuda_graph(bare) if images.is_cuda else bare
        works.append((f"the same, optimised, {precision}", optimised, graph))
    for work, subject, bare in works:
        method = fv.SimilarityArgumentGradient(subject, THRESHOLD)
        floor, explain = waiting(device, bare), waiting(device, lambda m=method: m.attribute(one))
        compare(floor, explain, 3)  # the first ones pay for warming up
        yield row(work, *compare(floor, explain, rounds), "1.20")

    half = fv.optimise_for_inference(model(name, device, half_of(device)))
    forwards = fv.OcclusionPairAttribution(half).num_forwards(one[0], variants=(1, 2, 3))
    best = best_batch(half, images[:1])
    floor = waiting(device, lambda: bare_forwards(half, images[:1], forwards, best))
    sweeps = [(f"xFace 1-3, one pair, {half.precision}", half, "1.15")]
    if name in compiled:
        subject = fv.optimise_for_inference(model(name, device, half.precision), compile=True)
        sweeps.append(("the same, compiled", subject, "-"))
    for work, subject, bar in sweeps:
        xface = fv.OcclusionPairAttribution(subject)
        sweep = waiting(device, lambda m=xface: m.attribute_variants(*one))
        sweep(), floor()
        yield row(work, *compare(floor, sweep, max(1, rounds // 5)), bar)

    maps = torch.rand(count, 1, *img_b.shape[2:])
    genuine = torch.arange(count) % 2 == 0

    def replace() -> None:
        fv.decision_patch_replacement(
            siamese, (patched_a, img_b), original_a, maps, THRESHOLD, genuine
        )

    replace()  # the first one finds out how many images go through at once
    needed = images_through(backbone, replace)
    best = best_batch(siamese, images[:1])
    floor = waiting(device, lambda: bare_forwards(siamese, images[:1], needed, best))
    found = compare(floor, waiting(device, replace), max(1, rounds // 5))
    yield row(f"DPR of one map, {count} pairs", *found, "1.10", count)
    yield from shares(label, siamese, device, run_pairs)


def shares(name: str, siamese: fv.SiameseCosine, device: str, count: int) -> Iterator[str]:
    """Rows of a run of seven methods: seconds in the backbone, of the whole, and the share."""
    pairs = generated_pairs(count)
    workers = photo_workers(argparse.Namespace(workers=None, device=device))
    with tempfile.TemporaryDirectory() as folder:
        for kind, patched, bar in (
            ("generated", patch_pairs(pairs), ".75"),
            ("from disk", from_disk(pairs, Path(folder)), ".85"),
        ):
            inside, whole = share_of_backbone(siamese, SEVEN, patched, device, workers)
            work = f"{len(SEVEN)} methods, {count} pairs {kind}: share"
            yield (
                f"| {name} | {work} | {inside:.2f} s | {whole:.2f} s | {inside / whole:.3f} | "
                f"{bar} | {count / whole:.3g} |"
            )


@torch.no_grad()
def bare_forwards(siamese: fv.SiameseCosine, image: Tensor, count: int, size: int) -> None:
    """Forwards of so many images, in batches of a size."""
    batch = image.repeat(size, 1, 1, 1)
    with forward_arithmetic(siamese.precision, image.device, False):
        for start in range(0, count, size):
            siamese.backbone(batch[: min(size, count - start)])


def best_batch(siamese: fv.SiameseCosine, image: Tensor) -> int:
    """The batch of which an image costs least."""
    prices = {}
    for size in BATCHES if image.is_cuda else BATCHES[:2]:
        run = waiting(str(image.device), lambda n=size: bare_forwards(siamese, image, n, n))
        run()
        prices[size] = min(seconds(run) for _ in range(2)) / size
    return min(prices, key=prices.__getitem__)


def half_of(device: str) -> str:
    """The half precision to try: most CPUs only emulate float16."""
    return "bfloat16" if device == "cpu" else "float16"


def table_3(device: str, pairs: int) -> Iterator[str]:
    """Seconds for both maps of a pair, one pair at a time, by every method."""
    batch = patch_pairs(generated_pairs(max(2, pairs))).batch(range(pairs)).to(device)
    siamese = demo(device)
    yield ""
    yield f"Table 3 of the paper: seconds for both maps, up to {pairs} pairs one at a time (demo)."
    yield ""
    yield "| method | median | pairs |"
    yield "|---|---|---|"
    started = time.monotonic()
    for name, build in METHODS.items():
        at_most = 1.0 if name in PERSISTENT else 3.0
        found = time_method(build(siamese, THRESHOLD), batch, at_most=at_most)["seconds"]
        yield f"| {name} | {np.median(found):.4f} | {len(found)} |"
    yield f"\nTimed in {time.monotonic() - started:.0f} s."


def demo(device: str, precision: str = "float32") -> fv.SiameseCosine:
    """The demo model, which knows generated faces."""
    return model("demo", device, precision)


def model(name: str, device: str, precision: str = "float32") -> fv.SiameseCosine:
    """A model by its name or file; an architecture's name stands for one with random weights."""
    if name in ARCHITECTURES:
        torch.manual_seed(0)
        backbone: nn.Module = ARCHITECTURES[name]().eval().requires_grad_(False).to(device)
    else:
        backbone = fv.load_backbone(name, device=device)
    siamese = fv.SiameseCosine(backbone, 0.5, 0.5, precision=precision)  # type: ignore[arg-type]
    return siamese.to(device)


def waiting(device: str, work: Callable[[], object]) -> Callable[[], None]:
    """Work that ends when the device has done it."""

    def done() -> None:
        work()
        wait_for(device)

    return done


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda", help="cuda, mps or cpu")
    parser.add_argument("--models", default="demo,iresnet50,iresnet100", help="names or files")
    parser.add_argument(
        "--compile", default="", help="of these also compiled, which takes a minute"
    )
    parser.add_argument("--rounds", type=int, default=20, help="how often each is timed")
    parser.add_argument("--run-pairs", type=int, default=192, help="of the run of seven methods")
    parser.add_argument("--table-pairs", type=int, default=100, help="of Table 3; 0 leaves it out")
    parser.add_argument("--out", type=Path, help="also write it to this file")
    arguments = parser.parse_args()
    arguments.models = arguments.models.split(",")
    arguments.compile = arguments.compile.split(",")
    return arguments


if __name__ == "__main__":
    main()
