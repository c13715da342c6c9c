"""What each command does; cli.py says what it is called."""

from __future__ import annotations

import csv
import time
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import PIL.Image
import torch

from captum_fv.attr.controls import PatchOracle
from captum_fv.attr.methods import build_methods, expand_names
from captum_fv.attr.smoothing import wants_blur
from captum_fv.benchmark import compare
from captum_fv.benchmark.maps import maps_of_pair
from captum_fv.cli.options import load_patched, load_siamese
from captum_fv.cli.xcos_train import train_xcos
from captum_fv.data.alignment import align_detected, align_face
from captum_fv.data.identities import IMAGE_SUFFIXES
from captum_fv.data.images import read_image
from captum_fv.data.pairs import PairSet, to_tensor
from captum_fv.data.patch_folder import write_patch_set
from captum_fv.data.patched_pairs import PatchedPairs
from captum_fv.metrics.dpr_result import DPRResult
from captum_fv.metrics.rates import error_rates
from captum_fv.models import describe_models
from captum_fv.report import pictures as viz
from captum_fv.report.tables import dpr_table
from captum_fv.siamese.model import SiameseCosine


def explain(arguments: Namespace) -> None:
    """`captum-fv explain`: one pair, its maps, and the verdict."""
    if arguments.out.is_dir() or arguments.out.suffix.lower() not in viz.PICTURE_SUFFIXES:
        raise ValueError(
            f"--out: {arguments.out} is no picture's name; write one that ends in "
            f"{', '.join(viz.PICTURE_SUFFIXES)}"
        )
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    siamese = load_siamese(arguments)
    threshold = arguments.threshold
    if threshold is None:
        threshold = getattr(siamese.backbone, "threshold", None)
    if threshold is None:
        raise ValueError(
            f"--threshold is missing: {arguments.model} does not say from which cosine it matches; "
            "`captum-fv dpr` finds it on your pairs"
        )
    if not -1 <= threshold <= 1:
        raise ValueError(f"--threshold: got {threshold}; want a cosine, in [-1, 1]")
    size = getattr(siamese.backbone, "size", None)
    img_a, img_b = (
        to_tensor([read_image(path, size)]).to(arguments.device)
        for path in (arguments.img_a, arguments.img_b)
    )
    with torch.no_grad():
        score = siamese(img_a, img_b).item()
    methods = build_methods(arguments.methods.split(","), siamese, threshold)
    for name, method in methods.items():
        if isinstance(method, PatchOracle):
            raise ValueError(
                f"{name}: it knows the patches of a Patch set; `captum-fv dpr` takes it"
            )
    found = maps_of_pair(methods, (img_a, img_b), show_progress=True)
    maps = {name: (map_a[0], map_b[0]) for name, (map_a, map_b) in found.items()}
    blur = [name for name, method in methods.items() if wants_blur(method)]
    figure = viz.plot_pair(img_a[0], img_b[0], maps, score, threshold, blur)
    figure.savefig(arguments.out, dpi=150)
    print(viz.verdict(score, threshold))
    print(f"wrote {arguments.out}")


def dpr(arguments: Namespace) -> None:
    """`captum-fv dpr`: DPR curves and areas of several methods on one set."""
    names = expand_names(arguments.methods.split(","))
    measure(
        load_siamese(arguments),
        load_patched(arguments),
        names,
        arguments.out,
        batch_size=arguments.batch_size,
        device=arguments.device,
    )


def patch(arguments: Namespace) -> None:
    """`captum-fv patch`: a lossless Patch set in a folder."""
    patched = load_patched(arguments)
    write_patch_set(patched, arguments.out, show_progress=True)
    print(f"wrote {len(patched)} pairs and manifest.json to {arguments.out}")


def align(arguments: Namespace) -> None:
    """`captum-fv align`: the one face of a photo on the ArcFace template."""
    out: Path = arguments.out
    if out.is_dir() or out.suffix.lower() not in IMAGE_SUFFIXES:
        raise ValueError(f"{out} is no photo's name; write one that ends in .png, as face.png")
    photo = read_image(arguments.photo)
    size = tuple(arguments.size)
    try:
        if arguments.landmarks is None:
            aligned = align_detected(photo, size)
            how = "a detected box: good to look at, not to measure with"
        else:
            aligned = align_face(photo, np.reshape(arguments.landmarks, (5, 2)), size)
            how = "its landmarks"
    except ValueError as error:
        raise ValueError(f"{arguments.photo}: {error}") from error
    out.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(aligned).save(out, quality=95)
    print(f"wrote {out}, aligned by {how}")


def xcos_train(arguments: Namespace) -> None:
    """`captum-fv xcos-train`: an xCos head for a backbone."""
    train_xcos(load_siamese(arguments), arguments)


def models(arguments: Namespace) -> None:
    """`captum-fv models`: what loads by name, and where its checkpoint is."""
    print(describe_models())


def measure(
    siamese: SiameseCosine,
    patched: PatchedPairs,
    names: Sequence[str],
    out: Path,
    *,
    batch_size: int = 32,
    device: str = "cpu",
) -> tuple[compare.CleanScores, dict[str, DPRResult]]:
    """Score, explain and measure a set; write curves.png, curves.csv and table.md; print it all."""
    started = time.monotonic()
    out.mkdir(parents=True, exist_ok=True)
    clean = compare.score_clean_pairs(
        siamese, patched.clean, batch_size=batch_size, device=device, show_progress=True
    )
    runs = compare.compare_methods(
        siamese,
        patched,
        build_methods(names, siamese, clean.threshold),
        clean.threshold,
        batch_size=batch_size,
        device=device,
        show_progress=True,
    )
    summary = _summary(patched.clean, clean, runs)
    table = dpr_table(runs)
    text = "\n".join([summary, "", table.markdown(), *table.notes])
    title = f"{patched.clean.name}, {len(patched)} pairs"
    viz.plot_dpr(runs, title).savefig(out / "curves.png", dpi=150)
    _write_curves(out / "curves.csv", runs)
    (out / "table.md").write_text(f"{text}\n", encoding="utf-8")
    print(f"{text}\n")
    print(f"{time.monotonic() - started:.0f} s; wrote curves.png, curves.csv and table.md to {out}")
    return clean, runs


def _summary(pairs: PairSet, clean: compare.CleanScores, runs: Mapping[str, DPRResult]) -> str:
    first = next(iter(runs.values()))
    patched = error_rates(first.scores[0], first.genuine, clean.threshold)
    return (
        f"{pairs.name}: {len(pairs)} pairs, EER {clean.eer:.4f} at threshold "
        f"{clean.threshold:.4f}; "
        f"patched: FMR {patched.fmr:.3f}, FNMR {patched.fnmr:.3f}"
    )


def _write_curves(path: Path, runs: Mapping[str, DPRResult]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["method", "replaced", "fmr", "fnmr"])
        for name, run in runs.items():
            for point in zip(run.fractions, run.fmr, run.fnmr, strict=True):
                writer.writerow([name, *(f"{value:.6g}" for value in point)])
