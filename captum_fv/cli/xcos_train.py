"""`captum-fv xcos-train`: an xCos head for a backbone, from photos to its error rate."""

from __future__ import annotations

import os
import time
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from tqdm.auto import tqdm

from captum_fv.cli.inputs import load_siamese
from captum_fv.cli.options import add_model_options, add_option, positive, whole
from captum_fv.data.identities import (
    IdentitySet,
    folder_identities,
    generated_identities,
    generated_pairs,
)
from captum_fv.data.pairs import PairSet
from captum_fv.metrics.rates import eer_threshold, equal_error_rate
from captum_fv.models.xcos.grids import cache_grids
from captum_fv.models.xcos.head import PatchedCosineHead, fingerprint, save_patched_cosine_head
from captum_fv.models.xcos.training import Losses, Recipe, train_head
from captum_fv.siamese.backbone import contract, spatial_features
from captum_fv.siamese.model import SiameseCosine

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HELP = "train an xCos head over a backbone"
DESCRIPTION = """
Train the head that xcos_s, xcos_w and xcos_sw explain with. The backbone stays as it is: its grids
of all photos are computed once and kept in --out. The same command goes on where an interrupted one
stopped. Writes head.safetensors (for --xcos-head), loss.png and the error rate on people whom the
head never saw."""
FIRST = 1000
"""The demo backbone was trained on the generated people below; its grids of those are too good."""
HELD_OUT = 10
"""One of so many people of a folder is not trained on, if the user does not say how many."""


def add(parser: ArgumentParser) -> None:
    """Its options."""
    add_model_options(parser, head=False)
    data, training = map(parser.add_argument_group, ("data", "training"))
    photos = '"generated" (nobody\'s faces), or a folder of aligned photos, NAME/*.jpg'
    add_option(data, "--data", default="generated", help=photos)
    data.add_argument(
        "--held-out", type=positive, help="people of a folder to test on (default: a tenth)"
    )
    like_cosine = "weight of (xCos - the backbone's cosine)^2"
    for group, name, kind, default, meaning in (
        (data, "--test-pairs", positive, 1000, "pairs of unseen people to test on"),
        (data, "--people", positive, 2000, "generated people"),
        (data, "--photos", positive, 8, "of each generated person"),
        (data, "--workers", whole, os.cpu_count() or 1, "processes that load photos"),
        (training, "--epochs", positive, Recipe.epochs, "over all photos"),
        (training, "--batch", positive, Recipe.batch, "photos, two of each person"),
        (training, "--margin", float, Recipe.margin, "of CosFace"),
        (training, "--imitation", float, Recipe.imitation, like_cosine),
        (training, "--channels", positive, Recipe.reduced, "of the head's grid"),
        (training, "--neck", whole, Recipe.neck, "channels of the head's 3x3 layer; 0: none"),
        (training, "--seed", whole, Recipe.seed, "of weights and batches"),
    ):
        add_option(group, name, type=kind, default=default, help=meaning)
    parser.add_argument(
        "--out", type=Path, default=Path("captum-fv-out/xcos"), help="folder to write"
    )


def run(options: Namespace) -> None:
    """Compute the grids, train, evaluate; write head.safetensors and loss.png."""
    siamese = load_siamese(options)
    spatial_features(siamese.backbone)  # before the long work
    started = time.monotonic()
    out: Path = options.out
    recipe = Recipe(
        epochs=options.epochs,
        batch=options.batch,
        margin=options.margin,
        imitation=options.imitation,
        reduced=options.channels,
        neck=options.neck,
        seed=options.seed,
    )
    faces, unseen = _faces(siamese, options)
    device, workers = options.device, options.workers
    cache = cache_grids(siamese, faces, out, workers=workers, device=device, show_progress=True)
    head, losses = train_head(cache, out, recipe, device=device, show_progress=True)
    save_patched_cosine_head(head, out / "head.safetensors", fingerprint(siamese.backbone))
    plot_losses(losses).savefig(out / "loss.png", dpi=120)
    print(f"{len(faces)} photos of {len(set(faces.people))} people, {recipe.epochs} epochs")
    print(evaluate(siamese, head, unseen, device))
    print(f"{time.monotonic() - started:.0f} s; wrote head.safetensors and loss.png to {out}")


@torch.no_grad()
def evaluate(siamese: SiameseCosine, head: PatchedCosineHead, pairs: PairSet, device: str) -> str:
    """Error rates of xCos and of the backbone on the same pairs, in words."""
    scores: dict[str, list[float]] = {"backbone": [], "xCos": []}
    with tqdm(total=len(pairs), unit="pair", desc="evaluation") as bar:
        for batch in pairs.batches(32):
            img_a, img_b = (images.to(device) for images in batch)
            scores["backbone"] += siamese(img_a, img_b).tolist()
            scores["xCos"] += head(siamese.grids(img_a), siamese.grids(img_b)).score.tolist()
            bar.update(len(img_a))
    correlation = np.corrcoef(scores["backbone"], scores["xCos"])[0, 1]
    rates = ", ".join(
        f"{name} EER {equal_error_rate(values, pairs.genuine):.4f} at threshold "
        f"{eer_threshold(values, pairs.genuine):.4f}"
        for name, values in scores.items()
    )
    return f"{len(pairs)} pairs of unseen people: {rates}; correlation {correlation:.3f}"


def plot_losses(losses: Losses) -> Figure:
    """Both losses over the epochs."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(8, 3.2), layout="constrained")
    epochs = np.arange(1, len(losses.margin) + 1)
    left, right = figure.subplots(1, 2)
    for axis, name, values in (
        (left, "margin loss (CosFace) of G", losses.margin),
        (right, "(xCos - cosine of the backbone)$^2$", losses.imitation),
    ):
        axis.plot(epochs, values, marker=".")
        axis.set_title(name)
        axis.set_xlabel("epoch")
        axis.set_ylim(0, 1.05 * max(values))
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.grid(alpha=0.3)
    return figure


def _faces(siamese: SiameseCosine, options: Namespace) -> tuple[IdentitySet, PairSet]:
    """Photos to train on, and pairs of people who are not among them."""
    if options.data == "generated":
        faces = generated_identities(options.people, options.photos, FIRST)
        return faces, generated_pairs(options.test_pairs)
    faces = folder_identities(options.data, contract(siamese.backbone).size)
    # Two at least: one person alone gives no impostor pair.
    held_out = options.held_out or max(2, len(set(faces.people)) // HELD_OUT)
    faces, others = faces.split(held_out, options.seed)
    return faces, others.pairs(options.test_pairs, options.seed)
