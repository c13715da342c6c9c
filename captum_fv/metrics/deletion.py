"""Deletion and insertion: similarity maps on genuine pairs, dissimilarity on impostor pairs."""

from __future__ import annotations

from typing import get_args

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from captum_fv.core.checks import as_number, check_choice, check_counts, check_images
from captum_fv.core.waiting import step
from captum_fv.metrics.deletion_result import DeletionInsertionResult, Population
from captum_fv.metrics.positions import as_images, position_values, warn_of_constant_maps
from captum_fv.metrics.rates import Values, as_labels
from captum_fv.metrics.removal import Fill, blank_images, impute
from captum_fv.metrics.replacement import (
    ForwardFunc,
    ScoreInPlace,
    differing,
    replacement_steps,
    replacing,
    score_and_hold_partners,
)
from captum_fv.siamese.batch_size import images_at_once


@step()
@torch.no_grad()
def deletion_insertion(
    forward_func: ForwardFunc,
    pair: tuple[Tensor, Tensor],
    attributions: Tensor,
    threshold: float,
    genuine: Values,
    population: Population,
    steps: int = 20,
    *,
    fill: Fill | float | Tensor = "blur",
    batch_size: int | None = None,
    show_progress: bool = False,
) -> DeletionInsertionResult:
    """How does the score change if the places that the map names are removed, or alone are there?

    Similarity is measured on genuine pairs alone, dissimilarity on impostor pairs alone: a map
    cannot name what makes two people one. ("all" is there for tables that mix them, which
    `lu_deletion_insertion` warns of.) At step t exactly round(H*W * t / steps) positions have
    gone; equal values go in one fixed random order, as in DPR, and B stays as it is. A warning says
    how many maps are constant: they rank nothing.
    Costs 2 * steps forwards of one image for each pair, and B's embedding once.

    Args:
        forward_func: (img_a, img_b) -> scores (N,).
        pair: Images A and images B, each (N, C, H, W).
        attributions: Map of A given B, (N or 1, C or 1, H, W); channels are averaged.
        threshold: A pair matches iff score >= threshold.
        genuine: (N,) bool; pairs of the other population are left out.
        population: "genuine" or "all": the highest values go first; "impostor": the lowest.
        steps: How many steps lead from the whole image to none of it.
        fill: What stands for nothing: A itself under a Gaussian blur of H / 14 pixels (8 at 112),
            the "mean" of each channel of A, "black" (the model must know its value), a number, or
            images of its own, (N, C, H, W), as `Alternative` gives. "road": removed places are
            guessed anew at each step from what is left (`impute`).
        batch_size: Images per forward. It bounds the memory. None: 16, and on CUDA what a
            trial finds to be fastest.
        show_progress: Show a bar over the pairs.

    Raises:
        ValueError: Shapes that do not fit, NaN, no pairs of the population, an unknown fill.

    Reference:
        Petsiuk, Das, Saenko: RISE, BMVC 2018; the populations are those of Lu, Xu, Ebrahimi:
            Towards Visual Saliency Explanations of Face Verification, WACV 2024.

    >>> a, b = torch.ones(2, 1, 2, 2), torch.ones(2, 1, 2, 2)
    >>> run = deletion_insertion(
    ...     lambda a, b: (a * b).mean((1, 2, 3)), (a, b), a, 0.6, [1, 0], "genuine", 4, fill=0.0)
    >>> run.means("deletion").tolist(), run.auc("insertion").value
    ([1.0, 0.75, 0.5, 0.25, 0.0], 0.5)
    """
    check_counts(steps=steps)
    threshold = as_number("threshold", threshold)
    check_choice("population", population, get_args(Population))
    images_a, images_b = as_images(pair)
    if isinstance(fill, Tensor):
        check_images(img_a=images_a, fill=fill)
    at_once = images_at_once(forward_func, images_a, batch_size=batch_size)
    values = position_values(attributions, images_a)
    labels = as_labels(genuine, len(values))
    wanted = labels == (population == "genuine") if population != "all" else labels | True
    chosen = np.flatnonzero(wanted)
    if not len(chosen):
        raise ValueError(f"population: none of the {len(values)} pairs is {population}")
    warn_of_constant_maps(values[chosen])
    curves = []
    with tqdm(total=len(chosen), unit="pair", disable=not show_progress) as bar:
        for rows in np.split(chosen, range(at_once, len(chosen), at_once)):
            img_a = images_a[rows]
            # What looks like B goes first as it does in DPR after a match.
            match = torch.full((len(rows),), population != "impostor")
            step_of = replacement_steps(values[rows], match, steps)
            whole, score = score_and_hold_partners(forward_func, (img_a, images_b[rows]))
            if isinstance(fill, str) and fill == "road":
                away = _imputed_scores(score, img_a, step_of, steps)
                back = _imputed_scores(score, img_a, steps + 1 - step_of, steps).flip(0)
            else:
                if isinstance(fill, Tensor):
                    nothing = fill[rows]
                else:
                    nothing = blank_images(fill, img_a, forward_func)
                emptied = score(nothing, torch.arange(len(rows))).cpu().double()
                how = differing(img_a, nothing), step_of, steps, at_once
                away = replacing(score, whole, img_a, nothing, *how)()
                back = replacing(score, emptied, nothing, img_a, *how)()
            curves.append((away, back))
            bar.update(len(rows))
    deletion, insertion = (torch.cat(parts, 1).numpy() for parts in zip(*curves, strict=True))
    return DeletionInsertionResult(deletion, insertion, population, threshold, labels[chosen])


def _imputed_scores(score: ScoreInPlace, images: Tensor, step_of: Tensor, steps: int) -> Tensor:
    """Scores (steps + 1, N) of images whose positions up to each step are guessed from the rest."""
    every = torch.arange(len(images))
    pixels, turns = images.double().cpu().numpy(), step_of.cpu().numpy()
    scores = []
    for t in range(steps + 1):
        guessed = np.stack([impute(*one) for one in zip(pixels, turns <= t, strict=True)])
        scores.append(score(torch.from_numpy(guessed).to(images), every).double().cpu())
    return torch.stack(scores)
