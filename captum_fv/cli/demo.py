"""The demonstration: all that the package does, on faces that belong to nobody."""

from __future__ import annotations

import time
from argparse import ArgumentParser, Namespace
from pathlib import Path

import numpy as np
import torch

from captum_fv.attr.xssab import SimilarityArgumentGradient
from captum_fv.benchmark.results import BenchmarkResults
from captum_fv.cli.dpr import measure
from captum_fv.cli.options import add_option
from captum_fv.data.identities import generated_pairs
from captum_fv.data.patch_folder import write_patch_set
from captum_fv.data.patched_pairs import patch_pairs
from captum_fv.explain.run_pages import write_run_pages
from captum_fv.models import load_backbone
from captum_fv.report.pictures import plot_pair, verdict
from captum_fv.report.write import write_report
from captum_fv.siamese.model import SiameseCosine

HELP = "all of it on generated faces, in about a minute"
DESCRIPTION = """
Measure two methods, chance and the controls on generated faces, explain two pairs with and without
patches, and write the report, a page to open in a browser."""
PAIRS = 100
"""Enough for DPR to tell the methods apart, few enough for a minute on two cores."""


def add(parser: ArgumentParser) -> None:
    """Its options."""
    add_option(parser, "--out", default=Path("captum-fv-out/demo"), help="folder to write")


def run(options: Namespace) -> None:
    """Measure methods, explain a pair of each kind, write a Patch set and the report."""
    started = time.monotonic()
    out: Path = options.out
    siamese = SiameseCosine(load_backbone("demo"))
    patched = patch_pairs(generated_pairs(PAIRS))
    print(f"{PAIRS} pairs of generated faces, which are nobody's; the model was trained on others.")
    model = measure("demo", siamese, patched, ["xssab", "iag_decision", "rnd", "controls"], out)

    match = model.patched_scores >= model.threshold
    false_non_match = int(np.argmax(patched.genuine & ~match))
    false_match = int(np.argmax(~patched.genuine & match))
    method = SimilarityArgumentGradient(siamese, model.threshold)
    for k, kind in ((false_non_match, "genuine"), (false_match, "impostor")):
        patched_a, original_a, img_b = patched.tensors([k])
        for img_a, state in ((original_a, "clean"), (patched_a, "patched")):
            with torch.no_grad():
                score = siamese(img_a, img_b).item()
            maps = {"xssab": method.attribute((img_a, img_b))}
            figure = plot_pair(img_a, img_b, maps, score, model.threshold)
            figure.savefig(out / f"{kind}_{state}.png", dpi=120)
            print(f"{kind} pair, {state}: {verdict(score, model.threshold)}")

    if not (out / "patch_set").exists():
        write_patch_set(patched.subset([false_non_match, false_match]), out / "patch_set")
    results, models = BenchmarkResults.load(out), {"demo": siamese}
    pages = write_run_pages(results, patched, models, out, count=1)
    report = write_report(out, pairs=patched, models=models, pair_pages=pages)
    print(
        f"\n{time.monotonic() - started:.0f} s. Open these two pages, or look at the rest of {out}:"
    )
    print(f"  {report}  what was measured")
    for page in pages["demo"].values():
        print(f"  {out / page}  why one pair was mistaken")
