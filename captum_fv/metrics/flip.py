"""How much of a perturbation must go back before the decision flips, by Captum's search."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from captum.robust import MinParamPerturbation
from torch import Tensor

from captum_fv.core.checks import as_number, check_counts
from captum_fv.metrics.positions import as_images, position_values, warn_of_constant_maps
from captum_fv.metrics.replacement import ForwardFunc, replacement_steps
from captum_fv.siamese.batch_size import images_at_once
from captum_fv.siamese.scoring import ask_scores


@dataclass(frozen=True)
class LeastReplacement:
    """The first image on the way back at which the decision is another.

    Args:
        share: Of the image's positions that have gone back, in [0, 1].
        patch_share: Of the positions that the perturbation changed, in [0, 1].
        pair: Image A as it is then, and image B, each (1, C, H, W).
    """

    share: float
    patch_share: float
    pair: tuple[Tensor, Tensor]


def least_replacement(
    forward_func: ForwardFunc,
    pair: tuple[Tensor, Tensor],
    original_a: Tensor,
    attributions: Tensor,
    threshold: float,
    steps: int = 20,
    batch_size: int | None = None,
) -> LeastReplacement | None:
    """How little must go back, in the map's order, before the decision on one pair flips?

    The positions go back as in `decision_patch_replacement`, equal values in one fixed random
    order, and `MinParamPerturbation` of captum.robust looks for the first step with another
    decision than on the perturbed pair. The better the map, the smaller the share; a constant map,
    which ranks nothing, gives a warning.

    Args:
        forward_func: (img_a, img_b) -> scores (N,).
        pair: The perturbed image A and image B, each (1, C, H, W).
        original_a: Image A before the perturbation, (1, C, H, W).
        attributions: Map of perturbed A given B, (1, C or 1, H, W); channels are averaged.
        threshold: A pair matches iff score >= threshold.
        steps: In how many equal steps the positions go back.
        batch_size: Images per forward. It bounds the memory. None: 16, and on CUDA what a trial
            finds to be fastest.

    Returns:
        The first flip, or None if there is none even with the original.

    Raises:
        ValueError: More than one pair, or what does not fit.

    >>> a, b = torch.ones(2, 1, 1, 2, 2)
    >>> flip = least_replacement(lambda a, b: (a * b).mean((1, 2, 3)), (a, b), 0 * a, a, 0.6, 4)
    >>> flip.share, flip.pair[0].flatten().tolist()
    (0.5, [0.0, 0.0, 1.0, 1.0])
    """
    patched_a, img_b = as_images(pair, original_a=original_a)
    if len(patched_a) != 1:
        raise ValueError(f"got {len(patched_a)} pairs; want one: pass slices, as img_a[k : k + 1]")
    check_counts(steps=steps)
    at_once = images_at_once(forward_func, patched_a, batch_size=batch_size)
    threshold = as_number("threshold", threshold)
    values = position_values(attributions, patched_a)
    warn_of_constant_maps(values)
    with torch.no_grad():
        match = ask_scores(forward_func, patched_a, img_b).cpu().double() >= threshold
        step_of = replacement_steps(values, match, steps).to(patched_a.device)

        def give_back(inputs: tuple[Tensor, Tensor], step: int) -> tuple[Tensor, Tensor]:
            return torch.where(step_of[:, None] <= step, original_a, inputs[0]), inputs[1]

        flipped, step = MinParamPerturbation(
            lambda inputs: ask_scores(forward_func, *inputs),
            attack=give_back,
            arg_name="step",
            arg_min=1,
            arg_max=max(steps + 1, 3),  # it wants two steps at least
            arg_step=1,
            correct_fn=lambda score: bool((score.cpu().double() >= threshold) == match),
        ).evaluate((patched_a, img_b), perturbations_per_eval=at_once)
    if flipped is None:
        return None
    changed, back = (patched_a != original_a).any(1), step_of <= step
    return LeastReplacement(
        share=float(back.float().mean()),
        patch_share=float((changed & back).sum() / changed.sum()),
        pair=flipped,
    )
