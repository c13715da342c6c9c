"""Deletion and insertion: similarity maps on genuine pairs, dissimilarity on impostor pairs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from captum_fv.core.arrays import FloatArray
from captum_fv.core.checks import as_number, check_choice, check_counts
from captum_fv.metrics.bootstrap import Interval, mean_interval
from captum_fv.metrics.positions import as_images, position_values, warn_of_constant_maps
from captum_fv.metrics.rates import Values, as_labels
from captum_fv.metrics.replacement import (
    ForwardFunc,
    replaced_scores,
    replacement_steps,
    score_and_hold_partners,
)
from captum_fv.siamese.batch_size import images_at_once

Population = Literal["genuine", "impostor"]
Blank = Literal["blur", "mean", "black"]
Curve = Literal["deletion", "insertion"]

AREA_TITLES: dict[tuple[Population, Curve], str] = {
    ("genuine", "deletion"): "genuine deletion (low is good)",
    ("genuine", "insertion"): "genuine insertion (high is good)",
    ("impostor", "deletion"): "impostor deletion (high is good)",
    ("impostor", "insertion"): "impostor insertion (low is good)",
}
"""Population and curve -> what tables call its area."""


@dataclass(frozen=True)
class DeletionInsertionResult:
    """Scores of one population's pairs while image A loses what its map points at, or gains it.

    Args:
        deletion: (T + 1, N); row t after the share t / T of all positions was removed.
        insertion: (T + 1, N); row t after that share was put into an empty image.
        population: On "genuine" pairs the most similar positions went first: a good map has a low
            deletion and a high insertion curve. On "impostor" pairs the most dissimilar went
            first: a good map has a high deletion and a low insertion curve.
        threshold: A pair matches iff score >= threshold.
    """

    deletion: FloatArray
    insertion: FloatArray
    population: Population
    threshold: float

    @property
    def fractions(self) -> FloatArray:
        """Shares of removed or inserted positions, (T + 1,) from 0 to 1."""
        return np.linspace(0, 1, len(self.deletion))

    def mean_scores(self, curve: Curve) -> FloatArray:
        """The mean score at every step, (T + 1,)."""
        return np.asarray(self._values(curve, False).mean(1))

    def match_rate(self, curve: Curve) -> FloatArray:
        """The share of pairs that match at every step, (T + 1,)."""
        return np.asarray(self._values(curve, True).mean(1))

    def auc(self, curve: Curve, *, of_matches: bool = False, confidence: float = 0.95) -> Interval:
        """Area under a curve over shares from 0 to 1, with a bootstrap interval over pairs.

        Args:
            curve: "deletion" or "insertion".
            of_matches: Of the match rate in place of the mean score.
            confidence: Of the interval.
        """
        return mean_interval(self._pair_auc(curve, of_matches), confidence)

    def difference_to(
        self,
        other: DeletionInsertionResult,
        curve: Curve,
        *,
        of_matches: bool = False,
        confidence: float = 0.95,
    ) -> Interval:
        """This area minus another map's on the same pairs, with a paired bootstrap interval.

        Raises:
            ValueError: The results are not over the same pairs.
        """
        if (
            self.population != other.population
            or self.threshold != other.threshold
            or self.deletion.shape != other.deletion.shape
            or not np.allclose(self.deletion[0], other.deletion[0], atol=1e-4)
        ):
            raise ValueError("the two results are not over the same pairs and threshold")
        mine, theirs = (run._pair_auc(curve, of_matches) for run in (self, other))
        return mean_interval(mine - theirs, confidence)

    def _pair_auc(self, curve: Curve, of_matches: bool) -> FloatArray:
        from scipy.integrate import trapezoid

        values = self._values(curve, of_matches)
        return np.asarray(trapezoid(values, axis=0) / (len(values) - 1))

    def _values(self, curve: Curve, of_matches: bool) -> FloatArray:
        check_choice("curve", curve, get_args(Curve))
        scores: FloatArray = getattr(self, curve)
        return np.asarray(scores >= self.threshold, dtype=np.float64) if of_matches else scores


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
    fill: Blank | float = "blur",
    batch_size: int | None = None,
    show_progress: bool = False,
) -> DeletionInsertionResult:
    """How does the score change if the places that the map names are removed, or alone are there?

    Similarity is measured on genuine pairs alone, dissimilarity on impostor pairs alone: a map
    cannot name what makes two people one. At step t exactly round(H*W * t / steps) positions have
    gone; equal values go in one fixed random order, as in DPR, and B stays as it is. A warning says
    how many maps are constant: they rank nothing.
    Costs 2 * steps forwards of one image for each pair, and B's embedding once.

    Args:
        forward_func: (img_a, img_b) -> scores (N,).
        pair: Images A and images B, each (N, C, H, W).
        attributions: Map of A given B, (N or 1, C or 1, H, W); channels are averaged.
        threshold: A pair matches iff score >= threshold.
        genuine: (N,) bool; pairs of the other population are left out.
        population: "genuine": the highest values go first; "impostor": the lowest.
        steps: How many steps lead from the whole image to none of it.
        fill: What stands for nothing: A itself under a Gaussian blur of H / 14 pixels (8 at 112),
            the "mean" of each channel of A, "black" (the model must know its value), or a number.
        batch_size: Images per forward. It bounds the memory. None: 32, and on CUDA what a
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
    >>> run.mean_scores("deletion").tolist(), run.auc("insertion").value
    ([1.0, 0.75, 0.5, 0.25, 0.0], 0.5)
    """
    check_counts(steps=steps)
    threshold = as_number("threshold", threshold)
    check_choice("population", population, get_args(Population))
    images_a, images_b = as_images(pair)
    at_once = images_at_once(forward_func, images_a, batch_size=batch_size)
    values = position_values(attributions, images_a)
    chosen = np.flatnonzero(as_labels(genuine, len(values)) == (population == "genuine"))
    if not len(chosen):
        raise ValueError(f"population: none of the {len(values)} pairs is {population}")
    warn_of_constant_maps(values[chosen])
    curves = []
    with tqdm(total=len(chosen), unit="pair", disable=not show_progress) as bar:
        for rows in np.split(chosen, range(at_once, len(chosen), at_once)):
            img_a, img_b = images_a[rows], images_b[rows]
            blank = _blank(fill, img_a, forward_func)
            # What looks like B goes first where the pair is genuine, as DPR has it after a match.
            match = torch.full((len(rows),), population == "genuine")
            step_of = replacement_steps(values[rows], match, steps)
            whole, score = score_and_hold_partners(forward_func, (img_a, img_b))
            emptied = score(blank, torch.arange(len(rows)))
            away = replaced_scores(score, whole, img_a, blank, step_of, steps, at_once)
            back = replaced_scores(score, emptied, blank, img_a, step_of, steps, at_once)
            curves.append((away, back))
            bar.update(len(rows))
    deletion, insertion = (torch.cat(parts, 1).numpy() for parts in zip(*curves, strict=True))
    return DeletionInsertionResult(deletion, insertion, population, threshold)


def _blank(fill: Blank | float, images: Tensor, forward_func: ForwardFunc) -> Tensor:
    """What stands for nothing in images A, (N, C, H, W)."""
    if fill == "blur":
        return _blur(images)
    if fill == "mean":
        return images.mean((2, 3), keepdim=True).expand_as(images)
    if fill == "black":
        fill = getattr(forward_func, "black", None)  # type: ignore[assignment]
        if fill is None:
            raise ValueError(
                'fill: "black" is unknown to a model without mean and std; write its value, as in '
                "fill=-1.0"
            )
    if isinstance(fill, str):
        raise ValueError(f"fill: got {fill!r}; want one of {get_args(Blank)} or a number")
    return torch.full_like(images, as_number("fill", fill))


def _blur(images: Tensor) -> Tensor:
    from scipy.ndimage import gaussian_filter

    sigma = images.shape[2] / 14
    values = images.detach().cpu()
    values = values if values.itemsize > 2 else values.float()  # SciPy knows no half precision
    blurred = gaussian_filter(values.numpy(), (0, 0, sigma, sigma), mode="mirror")
    return torch.from_numpy(blurred).to(images)
