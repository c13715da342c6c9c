"""What each region of a face adds to the score of one pair, and what hiding it does."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from captum_fv.attr.atlas import face_regions
from captum_fv.attr.bank import SCORE_NOISE
from captum_fv.attr.effects import ENDS, HELD_OUT, effect_vectors, fit_interactions
from captum_fv.attr.interaction import FILL_BLUR, PairInteraction
from captum_fv.attr.links import Interactions, Weights
from captum_fv.attr.pair import Pair, as_pair
from captum_fv.attr.region_rows import RegionReport, RegionRow
from captum_fv.attr.regions import Regions
from captum_fv.attr.smoothing import smooth
from captum_fv.attr.strangers import stranger_score
from captum_fv.core.arrays import FloatArray
from captum_fv.core.checks import as_number
from captum_fv.core.vectors import cosine
from captum_fv.metrics.bootstrap import percentile_interval, resampled_shares
from captum_fv.metrics.interactions import HiddenCells
from captum_fv.siamese.model import SiameseCosine

Sides = tuple[HiddenCells, HiddenCells]

RESAMPLES = 400
"""Bootstrap draws of the masks."""


def region_report(
    siamese: SiameseCosine,
    pair: Pair,
    threshold: float,
    regions: Regions | tuple[Regions, Regions] | None = None,
    cohort: Tensor | None = None,
    *,
    masks: int = 256,
    weights: Weights = "banzhaf",
    keep: float = 0.9,
    seed: int = 0,
    show_progress: bool = False,
) -> RegionReport:
    r"""What each region of a face adds to the score of one pair, as figures and as sentences.

    A region's contribution is what `PairInteraction` gives it in A and in B,

    .. math:: c_g = \Phi_{g0} + \Phi_{0g} + p \sum_j (\Phi_{gj} + \Phi_{jg})

    so what the cosine gains when the region is seen, in A and in B, while each other region is kept
    with probability p. Such values need not sum to the score. With weights "adds_up" a half takes
    the place of p: contributions and the base, the score with all regions hidden, then sum to the
    score exactly, but they describe it less well near the photos (see R2), and what is gained on
    the way from two blurred faces, which are alike to many models, may be negative everywhere.

    z holds what the region adds against the whole other photo beside what it adds against
    strangers. It is the mean of A's side and of B's, as in `s_norm`; from -2 to 2 it is no more
    than a stranger's photo would show.

    Costs 2 (masks + 34) forwards, and two for each region: 602 by default.

    Args:
        siamese: The model.
        pair: A and B, (1, 3, H, W) each.
        threshold: The cosine from which a pair matches.
        regions: Of both photos, or a tuple, those of A and those of B, under the same names. None:
            `face_regions`, for photos that are aligned to the ArcFace template.
        cohort: Embeddings (n, d) of people who are neither of the two, for z; take a hundred.
        masks, weights, keep, seed: As `PairInteraction` takes them.
        show_progress: Show a bar.

    Raises:
        TypeError: A model without `.embed`, no images, or a threshold that is no number.
        ValueError: Not one pair, regions of other names or sizes, a cohort that does not fit.

    >>> import captum_fv as fv
    >>> siamese = fv.SiameseCosine(fv.load_backbone("demo"))
    >>> report = region_report(siamese, fv.generated_pairs(2).tensors([0]), 0.3, masks=64)
    >>> nose = report.rows[6]
    >>> nose.name, bool(nose.interval[0] <= nose.contribution <= nose.interval[1])
    ('nose', True)
    """
    threshold = as_number("threshold", threshold)
    img_a, img_b = as_pair(pair)
    if len(img_a) != 1:
        raise ValueError(f"pair: got {len(img_a)} pairs; want one, (1, 3, H, W) each")
    if regions is None:
        regions = face_regions((img_a.shape[-2], img_a.shape[-1]))
    method = PairInteraction(
        siamese, regions=regions, keep=keep, weights=weights, masks=masks, seed=seed
    )
    both = _under_one_name(regions)
    (sides,) = method.hidden_cells(img_a, img_b, show_progress=show_progress)
    found = fit_interactions(sides, both, method.keep, weights)
    worth, drawn = _contributions(found), _redrawn(sides, found)
    z = None if cohort is None else _against_strangers(sides, weights, cohort)
    hidden = scores_hidden(siamese, (img_a[0], img_b[0]), both)
    rows = []
    for k, name in enumerate(both[0].names):
        interval = percentile_interval(float(worth[k]), drawn[:, k])
        row = RegionRow(
            name=name,
            area=float(np.mean([np.mean(side.labels == k) for side in both])),
            contribution=interval.value,
            interval=(interval.low, interval.high),
            z=None if z is None else z[k],
            same_place=float(found.links[k, k]),
            score_hidden=hidden[k],
            flips=(hidden[k] >= threshold) != (found.score >= threshold),
        )
        rows.append(row.in_words(found.score, threshold))
    return RegionReport(tuple(rows), found, threshold, 0 if cohort is None else len(cohort))


def _under_one_name(regions: Regions | tuple[Regions, Regions]) -> tuple[Regions, Regions]:
    """The regions of A and of B, if they have the same names."""
    a, b = (regions, regions) if isinstance(regions, Regions) else regions
    if a.names != b.names:
        raise ValueError(
            f"regions: A has {', '.join(a.names)} and B has {', '.join(b.names)}; want the same "
            "names in the same order"
        )
    return a, b


def _contributions(found: Interactions) -> FloatArray:
    """What each region adds in A and in B, (K,)."""
    value_a, value_b = found.values()
    return value_a + value_b


def _redrawn(sides: Sides, found: Interactions) -> FloatArray:
    """The regions' contributions under masks drawn anew from those there are, (resamples, K)."""
    drawn = len(sides[0].masks) - ENDS - HELD_OUT
    redrawn = []
    for share in torch.from_numpy(resampled_shares(drawn, RESAMPLES)):
        a, b = (effect_vectors(side, found.weights, drawn * share) for side in sides)
        redrawn.append(_contributions(replace(found, effects=(a @ b.T).cpu().numpy())))
    return np.stack(redrawn)


def _against_strangers(sides: Sides, weights: Weights, cohort: Tensor) -> list[float]:
    """How far what each region adds stands out of what it adds against strangers."""
    of_a, of_b = (effect_vectors(side, weights)[1:] for side in sides)
    img_a, img_b = (side.seen[0] for side in sides)

    def standing(effect: Tensor, partner: Tensor) -> float:
        # What moves no score stands out of nothing: its deviations are rounding errors alone.
        return stranger_score(effect, partner, cohort) if effect.norm() > SCORE_NOISE else 0.0

    pairs = zip(of_a, of_b, strict=True)
    return [(standing(a, img_b) + standing(b, img_a)) / 2 for a, b in pairs]


def scores_hidden(
    siamese: SiameseCosine, faces: Pair, regions: tuple[Regions, Regions]
) -> list[float]:
    """The score with each region hidden in both photos, under the blur of `PairInteraction`."""
    seen = []
    for face, side in zip(faces, regions, strict=True):
        fill = smooth(face[None], FILL_BLUR * face.shape[-2])[0]
        all_but_one = ~torch.eye(len(side), dtype=torch.bool, device=face.device)
        with torch.no_grad():
            seen.append(siamese.embed_images(side.hide(face, fill, all_but_one)))
    return cosine(*seen).tolist()
