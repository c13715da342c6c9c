"""The demonstration: all that the package does, on faces that belong to nobody."""

from __future__ import annotations

import time
from argparse import Namespace
from pathlib import Path

import numpy as np
import torch

from captum_fv.attr.xssab import SimilarityArgumentGradient
from captum_fv.cli.commands import measure
from captum_fv.data.generated.pairs import generated_pairs
from captum_fv.data.patch_folder import write_patch_set
from captum_fv.data.patched_pairs import patch_pairs
from captum_fv.models import load_backbone
from captum_fv.report import pictures as viz
from captum_fv.siamese.model import SiameseCosine

PAIRS = 100
"""Enough for DPR to tell the methods apart, few enough for a minute on two cores."""


def run_demo(arguments: Namespace) -> None:
    """`captum-fv demo`: measure methods, explain the errors, write a Patch set."""
    started = time.monotonic()
    out: Path = arguments.out
    siamese = SiameseCosine(load_backbone("demo"))
    patched = patch_pairs(generated_pairs(PAIRS))
    print(f"{PAIRS} pairs of generated faces, which are nobody's; the model was trained on others.")
    clean, runs = measure(siamese, patched, ["xssab", "rnd", "controls"], out)

    match = runs["xssab"].scores[0] >= clean.threshold
    false_non_match = int(np.argmax(patched.genuine & ~match))
    false_match = int(np.argmax(~patched.genuine & match))
    method = SimilarityArgumentGradient(siamese, clean.threshold)
    for k, name in ((false_non_match, "genuine"), (false_match, "impostor")):
        patched_a, original_a, img_b = patched.tensors([k])
        for img_a, kind in ((original_a, "clean"), (patched_a, "patched")):
            with torch.no_grad():
                score = siamese(img_a, img_b).item()
            map_a, map_b = method.attribute(img_a, img_b)
            figure = viz.plot_pair(
                img_a[0], img_b[0], {"xssab": (map_a[0], map_b[0])}, score, clean.threshold
            )
            figure.savefig(out / f"{name}_{kind}.png", dpi=120)
            print(f"{name} pair, {kind}: {viz.verdict(score, clean.threshold)}")

    if not (out / "patch_set").exists():
        write_patch_set(patched.subset([false_non_match, false_match]), out / "patch_set")
    print(f"\n{time.monotonic() - started:.0f} s. Look at these, in {out}:")
    for path in sorted(out.iterdir()):
        print(f"  {path.name}")
