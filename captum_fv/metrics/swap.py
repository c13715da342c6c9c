"""The swap game: does a map of a face find the one part that its twin has from somebody else?

Williford's inpainting game, with twins whose changed pixels are known exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from captum_fv.core.arrays import BoolArray, FloatArray, IntArray
from captum_fv.core.checks import check_counts, check_tensor, check_values
from captum_fv.core.waiting import sent, step
from captum_fv.metrics.bootstrap import Interval, percentile_interval, resampled_means
from captum_fv.metrics.localisation import patch_localisation
from captum_fv.metrics.positions import as_images, position_values
from captum_fv.metrics.replacement import differing, replacing
from captum_fv.siamese.batch_size import images_at_once
from captum_fv.siamese.model import SiameseCosine, check_siamese

SWAP_STEPS = 50
"""Mass quantiles: 0, 2, ... 100 % of a map's positive mass."""


@dataclass(frozen=True)
class SwapGameResult:
    """How N probes turn into their twins, each with one part changed.

    Args:
        as_twin: (T + 1, N) bool; row t with the pixels that hold t / T of the map's mass taken from
            the twin: whether the probe is nearer to the twin's other photo than to its own.
        false_alarms: (T + 1, N); the share of the pixels outside the changed part that were taken.
        auroc: (N,); of the changed part by the map.
        first: (N,); 1 if the map's mean is higher in the changed part than in any other part of the
            face, 1 / n if n parts share the highest, else 0.
        chance: (N,); what a map that says nothing has of `first`: one over the number of parts.
        parts: (N,); which part was changed.
        faces: (N,); the number of the face. Intervals are over faces.
    """

    as_twin: BoolArray
    false_alarms: FloatArray
    auroc: FloatArray
    first: FloatArray
    chance: FloatArray
    parts: npt.NDArray[np.str_]
    faces: IntArray

    def curve(self, rates: FloatArray) -> FloatArray:
        """The share of probes that pass as the twin at these rates of false alarms, like `rates`.

        Each probe's own curve is read between its two nearest steps, the last one on from there;
        the mean has an equal weight for each part.
        """
        return np.array([self.weights @ self._at(rate) for rate in np.ravel(rates)])

    def at(self, rate: float, confidence: float = 0.95) -> Interval:
        """The point of the curve at a rate of false alarms, with an interval over faces."""
        return self._mean(self._at(rate), confidence)

    def mean_auroc(self, confidence: float = 0.95) -> Interval:
        """The mean AUROC, each part with an equal weight; 0.5 is chance."""
        return self._mean(self.auroc, confidence)

    def recall(self, confidence: float = 0.95) -> Interval:
        """How often the changed part ranks first, likewise; `chance` says how often by chance."""
        return self._mean(self.first, confidence)

    def chance_recall(self) -> float:
        """The recall of a map that says nothing."""
        return float(self.weights @ self.chance)

    @property
    def weights(self) -> FloatArray:
        """Each probe's weight, (N,): equal for all parts, and within each."""
        _, part, counts = np.unique(self.parts, return_inverse=True, return_counts=True)
        return np.asarray(1 / counts[part] / len(counts))

    def _at(self, rate: float) -> FloatArray:
        found = np.empty(self.as_twin.shape[1])
        for k, (alarms, passes) in enumerate(zip(self.false_alarms.T, self.as_twin.T, strict=True)):
            # Of steps with one rate of false alarms the last counts: the others took less there.
            last = np.append(np.diff(alarms) > 0, True)
            found[k] = np.interp(rate, alarms[last], passes[last].astype(np.float64))
        return found

    def _mean(self, values: FloatArray, confidence: float) -> Interval:
        # Of drawn faces the weights may sum to more than 1 or less: a mean is a ratio of two sums.
        face = np.unique(self.faces, return_inverse=True)[1]
        sums = [np.bincount(face, self.weights * value) for value in (values, np.ones_like(values))]
        drawn = resampled_means(np.array(sums))
        return percentile_interval(
            float(self.weights @ values), drawn[:, 0] / drawn[:, 1], confidence
        )


def can_be_told(
    probe: Tensor,
    twin: Tensor,
    mate: Tensor,
    mate_twin: Tensor,
    threshold: float,
    no_match: bool = False,
) -> BoolArray:
    """Which triplets a model can play: it tells the twins apart, and knows both again, (N,).

    Both photos of a face match, and so do both of its twin, and each photo is nearer to its own
    other one than to the twin's.

    Args:
        probe, twin, mate, mate_twin: Embeddings of unit length, (N, d).
        threshold: A pair matches iff its cosine is >= threshold.
        no_match: Ask too, as Williford does, that the twin is no match for the mate. One part alone
            seldom turns a decision, so few triplets stay.

    >>> u = torch.eye(2)
    >>> can_be_told(u[:1], u[1:], u[:1], u[1:], 0.5), can_be_told(u[:1], u[:1], u[:1], u[:1], 0.5)
    (array([ True]), array([False]))
    """
    own, twins = (probe * mate).sum(1), (twin * mate_twin).sum(1)
    across = (twin * mate).sum(1)
    told = (own > (probe * mate_twin).sum(1)) & (twins > across)
    told &= (own >= threshold) & (twins >= threshold)
    if no_match:
        told &= across < threshold
    return told.cpu().numpy()


@step()
@torch.no_grad()
def swap_game(
    siamese: SiameseCosine,
    probe: Tensor,
    twin: Tensor,
    towards: Tensor,
    attributions: Tensor,
    parts: Sequence[str],
    masks: BoolArray,
    faces: Sequence[int] | None = None,
    steps: int = SWAP_STEPS,
    batch_size: int | None = None,
) -> SwapGameResult:
    r"""Replaces what a map names by the twin's pixels until the probe passes as the twin.

    Positions are taken from the highest value of the map down; those that are not positive never
    are. At step t the fewest that hold the share t / T of the positive mass have gone, and the
    probe passes as the twin if

    .. math:: \langle u, v_{twin} - v_{mate} \rangle > 0,

    where v are the embeddings of the other photo. A map that names the changed part alone passes
    without a false alarm.

    Args:
        siamese: The recogniser.
        probe, twin: (N, C, H, W); they differ in one part.
        towards: :math:`v_{twin} - v_{mate}`, (N, d): of one photo of each, or of the normalised
            means of several.
        attributions: What speaks for the mate and not for its twin, (N or 1, C or 1, H, W); as the
            map of the probe with the mate minus that with the mate's twin.
        parts: Name of the part that was changed, N of them.
        masks: Where each part of each face would change it, (N, K, H, W), the changed one first;
            a mask without pixels is not counted.
        faces: Number of the face that each triplet is of, N of them; None: each of another.
        steps: How many shares of the mass.
        batch_size: Images per forward; None as in `decision_patch_replacement`.

    Raises:
        TypeError: No SiameseCosine, or directions that are no tensor.
        ValueError: Shapes that do not fit, NaN, or a changed part that covers nothing or all.

    Reference:
        Williford, May, Byrne: Explainable Face Recognition, ECCV 2020, Sec. 4.
    """
    check_counts(steps=steps)
    check_siamese(siamese)
    as_images((probe, twin))
    check_tensor("towards", towards, "directions (N, d)")
    check_values("towards", towards)
    at_once = images_at_once(siamese, probe, batch_size=batch_size)
    values = position_values(attributions, probe)
    masks = np.asarray(masks)
    fits = masks.ndim == 4 and (len(masks), *masks.shape[2:]) == tuple(values.shape)
    if not fits or masks.dtype != np.bool_ or not len(parts) == len(towards) == len(values):
        raise ValueError(
            f"got masks {masks.dtype} {masks.shape}, {len(parts)} parts and towards "
            f"{tuple(towards.shape)} for {len(values)} probes; want bool (N, K, H, W), a part and "
            "a direction (N, d) for each"
        )
    changed = torch.from_numpy(masks[:, :1])
    auroc, _ = patch_localisation(values[:, None], changed, [True] * len(probe))
    step_of = mass_steps(values, steps)

    def score(images: Tensor, rows: Tensor) -> Tensor:
        there, embeddings = towards[sent(rows, towards.device)], siamese.embed_images(images)
        if there.shape != embeddings.shape:
            raise ValueError(
                f"towards: got {tuple(towards.shape)} for embeddings of {embeddings.shape[1]}; "
                "want a direction (N, d) for each probe"
            )
        return (embeddings * there).sum(1)

    every = torch.split(torch.arange(len(probe)), at_once)
    first = torch.cat([score(probe[some.to(probe.device)], some) for some in every]).cpu().double()
    differs = differing(probe, twin)
    margins = replacing(score, first, probe, twin, differs, step_of, steps, at_once)()
    outside, turns = ~masks[:, 0], step_of.numpy()
    taken = [((turns > 0) & (turns <= t) & outside).sum((1, 2)) for t in range(steps + 1)]
    density = _densities(values.numpy(), masks)
    leads = density[:, 0] == density.max(1)
    return SwapGameResult(
        margins.numpy() > 0,
        np.array(taken) / outside.sum((1, 2)),
        auroc,
        leads / (density == density[:, :1]).sum(1),
        1 / masks.any((2, 3)).sum(1),
        np.asarray(parts),
        np.arange(len(probe)) if faces is None else np.asarray(faces),
    )


def mass_steps(values: Tensor, steps: int) -> Tensor:
    """The step at which each position is taken, (N, H, W) in [1, steps]; 0 for never.

    Position i is taken at the first t for which t / T exceeds the share of the positive mass that
    ranks before it; equal values rank in one random order, the same for all maps.

    >>> mass_steps(torch.tensor([[[1.0, 2.0], [-3.0, 1.0]]]), steps=4).tolist()
    [[[3, 1], [0, 4]]]
    """
    mass = values.flatten(1).clamp(min=0)
    scattered = torch.randperm(mass.shape[1], generator=torch.Generator().manual_seed(0))
    order = scattered[(-mass[:, scattered]).argsort(dim=1, stable=True)]
    ranked = mass.gather(1, order)
    before = ranked.cumsum(1) - ranked
    total = ranked.sum(1, keepdim=True)
    step = (before / total.clamp(min=torch.finfo(total.dtype).tiny) * steps).long() + 1
    step = step.clamp(max=steps).where(ranked > 0, torch.zeros_like(step))
    return torch.empty_like(step).scatter_(1, order, step).reshape(values.shape)


def _densities(values: FloatArray, masks: BoolArray) -> FloatArray:
    """Mean of each map (N, H, W) in each of its masks (N, K, H, W); -inf in an empty one."""
    sizes = masks.sum((2, 3))
    sums = np.einsum("nhw,nkhw->nk", values, masks.astype(np.float64))
    return np.where(sizes > 0, sums / np.maximum(sizes, 1), -np.inf)
