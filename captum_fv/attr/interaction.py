"""Pair interactions: which part of A goes with which part of B."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, get_args

import numpy as np
import torch
from captum.attr import PerturbationAttribution
from captum.log import log_usage
from torch import Tensor
from tqdm import tqdm

from captum_fv.attr.alternative import AlternativeFill
from captum_fv.attr.effects import HELD_OUT, drawn_masks, fit_interactions
from captum_fv.attr.links import Interactions, Weights
from captum_fv.attr.pair import Pair, refuse_extras
from captum_fv.attr.regions import Regions, grid_regions
from captum_fv.attr.smoothing import smooth
from captum_fv.core.checks import as_number, check_choice, check_counts, check_seed, check_size
from captum_fv.core.vectors import cosine
from captum_fv.metrics.interactions import HiddenCells
from captum_fv.siamese.model import SiameseCosine

Fill = Literal["blur", "alternative"]

FILL_BLUR = 8 / 112
"""Standard deviation of the fill's blur as a share of the height: it takes a face's detail away."""


class PairInteraction(AlternativeFill, PerturbationAttribution):  # type: ignore[misc]
    r"""Pair interactions: what a region of A and a region of B add to the score together.

    Both faces are seen under N random masks, each of whose regions is kept with probability p. All
    N x N scores are fitted by least squares as

    .. math:: s(z, z') \approx \Phi_{00} + \sum_i \Phi_{i0} z_i + \sum_j \Phi_{0j} z'_j
                               + \sum_{ij} \Phi_{ij} z_i z'_j

    A cosine is linear in each embedding, so this needs no N x N system: with U and V the embeddings
    under the masks, X = [1 z] and W the masks' weights,

    .. math:: \Phi = (P U) (P V)^T, \qquad P = (X^T W X)^{-1} X^T W

    `explain` gives the effects, with R2 on masks not fitted beside that of the best two maps, which
    no pair of heatmaps exceeds. `attribute` gives the maps that they imply, :math:`\Phi_{i0} +
    c \sum_j \Phi_{ij}` shared out among the pixels of region i, the same in all channels; c is p
    for "banzhaf", which makes it the weighted Banzhaf value, and 1/2 for "adds_up".

    Both faces are hidden by the same masks, so that swapping the photos transposes the effects and
    an image's embeddings serve any partner. Costs 2 (masks + 34) forwards a pair, 580 by default.

    Args:
        siamese: The model.
        grid: Rows and columns of cells, where no regions are named.
        regions: Named regions of both aligned faces, or a tuple, those of A and those of B.
        keep: p, in (0, 1). The effects are those near faces of which so much is left: at 0.9 next
            to the photos themselves, where two maps miss least; at 0.5 halfway to the fill.
        weights: "banzhaf": all masks alike, the most faithful. "adds_up": the whole photo and the
            wholly hidden one weigh 10,000 times as much, so that all effects sum to the score
            within 1e-3 or so; on impostor pairs that may cost much of R2.
        masks: N.
        fill: What shows where a region is hidden: "blur", the photo with sigma 8 px of 112, or
            "alternative", what the face would be if the other decision were right (`Alternative`).
        seed: Of the masks.
        threshold: The decision threshold, a score or a (N,) tensor, for "alternative" alone.
        reference: Somebody else's face for "alternative", as `Alternative` takes it.

    Raises:
        TypeError: The model has no `.embed`, or regions that are none.
        ValueError: An option out of its range, too few masks, or regions of another size.

    Reference:
        The weighted Banzhaf interaction across two inputs: Marichal, Mathonet: Weighted Banzhaf
        power and interaction indexes, 2011; for encoders of images and texts FIxLIP, Baniecki et
        al., 2025. The closed form for a cosine, and faces, are our own.

    >>> import captum_fv as fv
    >>> siamese = fv.SiameseCosine(fv.load_backbone("demo"))
    >>> pair = fv.generated_pairs(2).tensors([0])
    >>> (found,) = PairInteraction(siamese, weights="adds_up", masks=64).explain(pair)
    >>> found.links.shape, bool(abs(found.effects.sum() - found.score) < 1e-3)
    ((16, 16), True)
    """

    reads_embeddings = True
    options = frozenset({"show_progress"})

    def __init__(
        self,
        siamese: SiameseCosine,
        grid: tuple[int, int] = (4, 4),
        *,
        regions: Regions | tuple[Regions, Regions] | None = None,
        keep: float = 0.9,
        weights: Weights = "banzhaf",
        masks: int = 256,
        fill: Fill = "blur",
        seed: int = 0,
        threshold: float | Tensor | None = None,
        reference: Tensor | None = None,
    ) -> None:
        super().__init__(siamese)
        check_size("grid", grid)
        check_choice("weights", weights, get_args(Weights))
        check_choice("fill", fill, get_args(Fill))
        check_counts(masks=masks)
        check_seed(seed)
        if not 0 < as_number("keep", keep) < 1:
            raise ValueError(f"keep: got {keep}; want a probability above 0 and below 1")
        self.grid, self.regions = grid, _both(regions)
        self.cells = grid if regions is None else None
        self.keep, self.weights, self.masks = float(keep), weights, int(masks)
        self.fill, self.seed = fill, int(seed)
        self._take_fill(fill == "alternative", threshold, reference)

    @log_usage(part_of_slo=True)  # type: ignore[untyped-decorator]
    def attribute(
        self,
        inputs: Tensor | Pair,
        img_b: Tensor | None = None,
        *,
        target: None = None,
        additional_forward_args: Any = None,
        threshold: float | Tensor | None = None,
        reference: Tensor | None = None,
        perturbations_per_eval: int = 32,
        show_progress: bool = False,
    ) -> Pair:
        """The maps that the interactions imply; as in `PairMethod.attribute`.

        Args:
            inputs, img_b, target, additional_forward_args: As there.
            threshold, reference, perturbations_per_eval, show_progress: As in `explain`.
        """
        refuse_extras(target, additional_forward_args)
        explained = self.explain(
            inputs,
            img_b,
            threshold=threshold,
            reference=reference,
            perturbations_per_eval=perturbations_per_eval,
            show_progress=show_progress,
        )
        image = inputs if isinstance(inputs, Tensor) else inputs[0]
        sides = zip(*(pair.maps() for pair in explained), strict=True)
        map_a, map_b = (torch.from_numpy(np.stack(maps)).to(image)[:, None] for maps in sides)
        return map_a.expand_as(image).clone(), map_b.expand_as(image).clone()

    def explain(
        self,
        inputs: Tensor | Pair,
        img_b: Tensor | None = None,
        *,
        threshold: float | Tensor | None = None,
        reference: Tensor | None = None,
        perturbations_per_eval: int = 32,
        show_progress: bool = False,
    ) -> list[Interactions]:
        """Base, main effects and interactions of each pair, with how much of the score they hold.

        Args:
            inputs, img_b: As in `PairMethod.attribute`.
            threshold, reference: For this call, in place of the constructor's.
            perturbations_per_eval: How many masked images go through the model at once.
            show_progress: Show a bar that counts down `num_forwards`, with the time left.
        """
        sides = self.hidden_cells(
            inputs,
            img_b,
            threshold=threshold,
            reference=reference,
            perturbations_per_eval=perturbations_per_eval,
            show_progress=show_progress,
        )
        image = inputs if isinstance(inputs, Tensor) else inputs[0]
        regions = self._regions_of(image)
        return [fit_interactions(pair, regions, self.keep, self.weights) for pair in sides]

    def hidden_cells(
        self,
        inputs: Tensor | Pair,
        img_b: Tensor | None = None,
        *,
        threshold: float | Tensor | None = None,
        reference: Tensor | None = None,
        perturbations_per_eval: int = 32,
        show_progress: bool = False,
    ) -> list[tuple[HiddenCells, HiddenCells]]:
        """What the model sees of A and of B under the masks: what `explain` fits.

        Args:
            inputs, img_b, threshold, reference, perturbations_per_eval, show_progress: As there.

        Returns:
            Of each pair, rows of masks: the photo whole, wholly hidden, `masks` that are fitted,
            and 32 that are held out.
        """
        pairs, level = self._checked(inputs, img_b, None, None, threshold)
        check_counts(perturbations_per_eval=perturbations_per_eval)
        regions = self._regions_of(pairs[0])
        decisions = self._decisions(pairs, level, reference)
        bar = tqdm(
            total=self.num_forwards(pairs[0]),
            desc=self.get_name(),
            unit="image",
            disable=not show_progress,
        )

        def embed(images: Tensor) -> Tensor:
            bar.update(len(images))
            return self.forward_func.embed_images(images)  # type: ignore[no-any-return]

        found = []
        # Not inference_mode: what a model keeps of such a call it could never differentiate.
        with torch.no_grad(), bar:
            for faces, decision in zip(torch.stack(pairs, 1), decisions, strict=True):
                whole = embed(faces)
                if decision is None:
                    fills = smooth(faces, FILL_BLUR * faces.shape[-2])
                else:
                    fills = decision.alternatives(faces, cosine(*whole[:, None]))
                sides = [
                    self._side(side, face, fill, clean, embed, int(perturbations_per_eval))
                    for side, face, fill, clean in zip(regions, faces, fills, whole, strict=True)
                ]
                found.append((sides[0], sides[1]))
        return found

    def num_forwards(self, img_a: Tensor) -> int:
        """How many images go through the model for images A (N, C, H, W)."""
        return len(img_a) * 2 * (self.masks + HELD_OUT + 2)

    def _regions_of(self, images: Tensor) -> tuple[Regions, Regions]:
        """The regions of A and of B, which must be as large as the images."""
        size = images.shape[-2], images.shape[-1]
        regions = self.regions
        if regions is None:
            cells = grid_regions(size, self.grid)
            regions = cells, cells
        for side in regions:
            if side.labels.shape != size:
                raise ValueError(
                    f"regions: labels are {side.labels.shape} for images {tuple(size)}; want "
                    "one for each pixel"
                )
            if self.masks <= len(side) + 1:
                raise ValueError(
                    f"masks: got {self.masks} for {len(side)} regions; want more than "
                    f"{len(side) + 1}, best several times as many"
                )
        return regions

    def _side(
        self,
        regions: Regions,
        face: Tensor,
        fill: Tensor,
        whole: Tensor,
        embed: Callable[[Tensor], Tensor],
        count: int,
    ) -> HiddenCells:
        """One face kept whole, wholly hidden, and under all masks, those not fitted last."""
        masks = drawn_masks(len(regions), self.masks, self.keep, self.seed).to(face.device)
        hidden = [embed(regions.hide(face, fill, part)) for part in torch.split(masks[1:], count)]
        return HiddenCells(masks, torch.cat([whole[None], *hidden]))


def _both(regions: Regions | tuple[Regions, Regions] | None) -> tuple[Regions, Regions] | None:
    """Regions of A and of B; None if there are none."""
    if regions is None:
        return None
    sides = (regions, regions) if isinstance(regions, Regions) else tuple(regions)
    if len(sides) != 2 or not all(isinstance(side, Regions) for side in sides):
        raise TypeError(
            f"regions: got {regions!r}; want Regions(labels, names), or a tuple of two, of A and B"
        )
    return sides[0], sides[1]
