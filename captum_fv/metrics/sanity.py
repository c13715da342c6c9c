"""What any map must pass before its figures mean something."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from captum_fv.core.arrays import FloatArray
from captum_fv.core.checks import as_number
from captum_fv.metrics.bootstrap import Interval, mean_interval
from captum_fv.metrics.localisation import PatchLocalisation, patch_localisation
from captum_fv.metrics.positions import as_images
from captum_fv.metrics.randomisation import Build, build_method, model_randomisation
from captum_fv.siamese.model import SiameseCosine


@dataclass(frozen=True)
class SanityResult:
    """What `sanity_suite` found for each pair, all (N,).

    Args:
        randomised_signed, randomised_absolute: Rank correlation of the map of A, and of its
            absolute values, with that of a model whose weights are all random; want it below 0.3.
        swap_error: How far explaining (B, A) is from swapping the maps of (A, B), as a share of the
            largest value; want 0.
        identity_error: How far the two maps of (A, A) are apart, likewise; want 0.
        identity_similar: Share of the map of (A, A) that says "similar", in [0, 1]; 0.5 if it is 0.
        patched: Localisation of the patches by the map of patched A.
        patch_free: The same masks and the map of A without patches, which cannot know them: what
            the method owes to looking where patches count. `patched` must be above it.
    """

    randomised_signed: FloatArray
    randomised_absolute: FloatArray
    swap_error: FloatArray
    identity_error: FloatArray
    identity_similar: FloatArray
    patched: PatchLocalisation
    patch_free: PatchLocalisation

    @property
    def localisation_gain(self) -> Interval:
        """Mean AUROC of the patched images above that of the patch-free ones, over pairs."""
        return mean_interval(self.patched.auroc - self.patch_free.auroc)

    def failures(self, correlation: float = 0.3, error: float = 1e-3) -> list[str]:
        """What this method does not pass, in words; empty if it passes all.

        Args:
            correlation: The mean absolute rank correlation that randomised weights may leave.
            error: The largest share by which maps that should be equal may differ.
        """
        failures = []
        for name in ("signed", "absolute"):
            left = float(np.abs(getattr(self, f"randomised_{name}")).mean())
            if left >= correlation:
                failures.append(f"{name} map survives random weights (rank correlation {left:.2f})")
        for name in ("swap", "identity"):
            worst = float(getattr(self, f"{name}_error").max())
            if worst > error:
                failures.append(f"{name} changes the maps (by {worst:.2g} of their largest value)")
        if not self.localisation_gain.low > 0:
            failures.append(f"not shown to find the patches (AUROC gain {self.localisation_gain})")
        return failures


def sanity_suite(
    build: Build,
    siamese: SiameseCosine,
    pair: tuple[Tensor, Tensor],
    original_a: Tensor,
    mask: Tensor,
    threshold: float,
    seed: int = 0,
) -> SanityResult:
    """Model randomisation, swap, identity pair and patch-free pairs for one method.

    Five explanations of every pair: some ten pairs are enough.

    Args:
        build: A model -> the attribution method to test: lambda model: Method(model, threshold).
        siamese: The model that it explains.
        pair: Patched A and B, each (N, C, H, W).
        original_a: Images A without patches.
        mask: Where A was patched, (N, 1, H, W) bool.
        threshold: The decision threshold: it says which sign the patches should have.
        seed: Of the randomised weights.

    Raises:
        ValueError: Shapes that do not fit, maps with NaN, a model without parameters.
    """
    patched_a, img_b = pair = as_images(pair, original_a=original_a)
    threshold = as_number("threshold", threshold)
    method = build_method(build, siamese)
    randomised = model_randomisation(build, siamese, pair, seed=seed)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "images A and B are the same photo")  # so they should be
        same_a, same_b = method.attribute(original_a, original_a)
    values = same_a.flatten(1).cpu().double()
    similar_share = values.clamp(min=0).sum(1) / values.abs().sum(1)  # NaN if all are 0

    def localise(img_a: Tensor) -> PatchLocalisation:
        with torch.no_grad():
            match = siamese(img_a, img_b) >= threshold
        return patch_localisation(method.attribute(img_a, img_b)[0], mask, match)

    return SanityResult(
        randomised.signed[0],
        randomised.absolute[0],
        swap_error(method, pair),
        _distance((same_a,), (same_b,)),
        similar_share.nan_to_num(0.5).numpy(),
        localise(patched_a),
        localise(original_a),
    )


def swap_error(method: Any, pair: tuple[Tensor, Tensor]) -> FloatArray:
    """How far the maps of (B, A) are from those of (A, B) swapped, (N,) shares of the largest."""
    img_a, img_b = as_images(pair)
    map_a, map_b = method.attribute(img_a, img_b)
    swapped_b, swapped_a = method.attribute(img_b, img_a)
    return _distance((map_a, map_b), (swapped_a, swapped_b))


def _distance(first: tuple[Tensor, ...], second: tuple[Tensor, ...]) -> FloatArray:
    """Largest difference of each pair's maps over their largest value; 0 if all of them are 0."""
    joined = (torch.cat([m.flatten(1) for m in maps], 1) for maps in (first, second))
    one, other = (values.cpu().double() for values in joined)
    scale = torch.maximum(one.abs().amax(1), other.abs().amax(1))
    error = (one - other).abs().amax(1) / torch.where(scale > 0, scale, 1)
    return error.numpy()
