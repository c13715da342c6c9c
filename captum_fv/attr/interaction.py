"""Pair interactions: which part of A goes with which part of B."""

from __future__ import annotations

from typing import Any, Literal, get_args

import torch
from captum.log import log_usage
from torch import Tensor

from captum_fv.attr.bank import OcclusionBank
from captum_fv.attr.bank_method import BankMethod
from captum_fv.attr.bank_reader import check_own_masks
from captum_fv.attr.contrast import as_others
from captum_fv.attr.effects import (
    HELD_OUT,
    drawn_masks,
    effect_vectors,
    fit_interactions,
    main_effects,
)
from captum_fv.attr.links import Interactions, Weights
from captum_fv.attr.pair import Pair, refuse_extras
from captum_fv.attr.regions import Regions, of_both, regions_for
from captum_fv.attr.smoothing import smooth
from captum_fv.core.checks import as_number, check_choice, check_counts, check_seed, check_size
from captum_fv.core.waiting import step
from captum_fv.metrics.interactions import HiddenCells
from captum_fv.siamese.model import SiameseCosine

Fill = Literal["blur", "alternative"]

FILL_BLUR = 8 / 112
"""Standard deviation of the fill's blur as a share of the height: it takes a face's detail away."""


class PairInteraction(BankMethod):
    r"""Pair interactions: what a region of A and a region of B add to the score together.

    Both faces are seen under N random masks, each of whose regions is kept with probability p. All
    N x N scores are fitted by least squares as

    .. math:: s(z, z') \approx \Phi_{00} + \sum_i \Phi_{i0} z_i + \sum_j \Phi_{0j} z'_j
                               + \sum_{ij} \Phi_{ij} z_i z'_j

    A cosine is linear in each embedding, so this needs no N x N system: with U and V the embeddings
    under the masks and X = [1 z],

    .. math:: \Phi = (P U) (P V)^T, \qquad P = (X^T X)^{-1} X^T

    `explain` gives the effects, with R2 on masks not fitted beside that of the best two maps, which
    no pair of heatmaps exceeds. `attribute` gives the maps that they imply, :math:`\Phi_{i0} +
    c \sum_j \Phi_{ij}` shared out among the pixels of region i, the same in all channels; c is p
    for "banzhaf", which makes it the weighted Banzhaf value, and 1/2 for "adds_up".

    Both faces are hidden by the same masks, so that swapping the photos transposes the effects and
    an image's embeddings serve any partner: `explain_banks` explains two images of which there are
    banks without a forward. Costs 2 (masks + 34) forwards a pair, 580 by default.

    Args:
        siamese: The model.
        grid: Rows and columns of cells, where no regions are named.
        regions: Named regions of both aligned faces, or a tuple, those of A and those of B.
        keep: p, in (0, 1). The effects are those near faces of which so much is left: at 0.9 next
            to the photos themselves, where two maps miss least; at 0.5 halfway to the fill.
        weights: "banzhaf": the best fit, the most faithful. "adds_up": the best of those that are
            exact for the whole photos and for the wholly hidden ones, so that all effects sum to
            the score; that costs R2, most of all at p = 0.5 and on impostor pairs.
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
    >>> found.links.shape, bool(abs(found.effects.sum() - found.score) < 1e-9)
    ((16, 16), True)
    """

    options = frozenset({"show_progress", "against"})
    random_masks = True

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
        check_choice("fill", fill, get_args(Fill))
        super().__init__(siamese, fill, threshold, reference)
        check_size("grid", grid)
        check_choice("weights", weights, get_args(Weights))
        check_counts(masks=masks)
        check_seed(seed)
        if not 0 < as_number("keep", keep) < 1:
            raise ValueError(f"keep: got {keep}; want a probability above 0 and below 1")
        self.grid, self.regions = grid, of_both(regions)
        self.cells = grid if regions is None else None
        self.keep, self.weights, self.masks = float(keep), weights, int(masks)
        self.seed = int(seed)

    @log_usage(part_of_slo=True)  # type: ignore[untyped-decorator]
    @step()
    def attribute(
        self,
        inputs: Tensor | Pair,
        img_b: Tensor | None = None,
        *,
        target: None = None,
        additional_forward_args: Any = None,
        threshold: float | Tensor | None = None,
        reference: Tensor | None = None,
        against: Tensor | None = None,
        perturbations_per_eval: int | None = None,
        show_progress: bool = False,
    ) -> Pair:
        """The maps that the interactions imply; as in `PairMethod.attribute`.

        Args:
            inputs, img_b, target, additional_forward_args: As there.
            threshold, reference, perturbations_per_eval, show_progress: As in `explain`.
            against: As there. C is seen whole: from what a region adds against B goes its effect
                against C.
        """
        refuse_extras(target, additional_forward_args)
        found = self.hidden_cells(
            inputs,
            img_b,
            threshold=threshold,
            reference=reference,
            against=against,
            perturbations_per_eval=perturbations_per_eval,
            show_progress=show_progress,
        )
        image = inputs if isinstance(inputs, Tensor) else inputs[0]
        others = None if against is None else as_others(against, len(found))
        maps = torch.zeros_like(image), torch.zeros_like(image)
        for i, sides in enumerate(found):
            explained = self._fitted(sides, image)
            values = explained.values()
            for regions, side, value, mapped in zip(
                explained.regions, sides, values, maps, strict=True
            ):
                if others is not None:
                    effects = effect_vectors(side, self.weights)[1:]
                    value = value - (effects @ others[i].to(effects)).cpu().numpy()
                mapped[i] = torch.from_numpy(regions.spread(value))
        return maps

    def explain(
        self,
        inputs: Tensor | Pair,
        img_b: Tensor | None = None,
        *,
        threshold: float | Tensor | None = None,
        reference: Tensor | None = None,
        perturbations_per_eval: int | None = None,
        show_progress: bool = False,
    ) -> list[Interactions]:
        """Base, main effects and interactions of each pair, with how much of the score they hold.

        Args:
            inputs, img_b: As in `PairMethod.attribute`.
            threshold, reference: For this call, in place of the constructor's.
            perturbations_per_eval: How many masked images go through the model at once. None: 16,
                and on CUDA what a trial finds to be fastest.
            show_progress: Show a bar that counts down `num_forwards`, with the time left.
        """
        found = self.hidden_cells(
            inputs,
            img_b,
            threshold=threshold,
            reference=reference,
            perturbations_per_eval=perturbations_per_eval,
            show_progress=show_progress,
        )
        image = inputs if isinstance(inputs, Tensor) else inputs[0]
        return [self._fitted(sides, image) for sides in found]

    def hidden_cells(
        self,
        inputs: Tensor | Pair,
        img_b: Tensor | None = None,
        *,
        threshold: float | Tensor | None = None,
        reference: Tensor | None = None,
        against: Tensor | None = None,
        perturbations_per_eval: int | None = None,
        show_progress: bool = False,
    ) -> list[tuple[HiddenCells, HiddenCells]]:
        """What the model sees of A and of B under the masks: what `explain` fits.

        Args:
            inputs, img_b, threshold, reference, perturbations_per_eval, show_progress: As there.
            against: As in `attribute`; it matters here only to the alternative as fill.

        Returns:
            Of each pair, rows of masks: the photo whole, wholly hidden, `masks` that are fitted,
            and 32 that are held out.
        """
        pairs, level = self._checked(inputs, img_b, None, None, threshold, against)
        regions = self._regions_of(pairs[0])
        decisions = self._decisions(pairs, level, reference)
        bar = self._bar(self.num_forwards(pairs[0]), show_progress)
        faces = self._faces(pairs, decisions, against, perturbations_per_eval, bar)
        # Not inference_mode: what a model keeps of such a call it could never differentiate.
        with torch.no_grad(), bar:
            return [
                (self._cells(a.bank(), regions[0]), self._cells(b.bank(), regions[1]))
                for a, b in faces
            ]

    def explain_banks(self, bank_a: OcclusionBank, bank_b: OcclusionBank) -> Interactions:
        """As `explain`, of two images whose banks were made by `bank`: no forward.

        Raises:
            ValueError: Banks that this method did not make.
        """
        a, b = self._regions_of(bank_a.hidden)
        return self._fitted((self._cells(bank_a, a), self._cells(bank_b, b)), bank_a.hidden)

    def map_of(self, bank: OcclusionBank, partners: Tensor) -> Tensor:
        """What each region adds beside partners who are seen whole: the main effects.

        `attribute` gives other maps: in them the partner is hidden, too, and links count. Fits all
        masks of the bank; linear in the partner.

        Args, returns, errors: As `BankReader.map_of`.
        """
        return main_effects(bank, self._regions_of(bank.hidden)[0], partners)

    def _fitted(self, sides: tuple[HiddenCells, HiddenCells], image: Tensor) -> Interactions:
        return fit_interactions(sides, self._regions_of(image), self.keep, self.weights)

    def _cells(self, bank: OcclusionBank, regions: Regions) -> HiddenCells:
        """The photo whole, and under the masks of its bank."""
        kept = drawn_masks(len(regions), self.masks, self.keep, self.seed).to(bank.hidden.device)
        check_own_masks(bank, regions.hidden(kept[1:]))
        return HiddenCells(kept, torch.cat([bank.clean[None], bank.embeddings]))

    def _masks(self, size: tuple[int, int]) -> Tensor:
        mine, theirs = self._masks_of_sides(size)
        if not torch.equal(mine, theirs):
            raise ValueError(
                "regions: A and B have regions of their own, and a bank is of one image; make "
                "PairInteraction(siamese, regions=...) with those of that image"
            )
        return mine

    def _masks_of_sides(self, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        a, b = (
            side.hidden(drawn_masks(len(side), self.masks, self.keep, self.seed)[1:])
            for side in self._regions_of(torch.empty(size))
        )
        return a, b

    def _own_fill(self, image: Tensor) -> Tensor:
        return smooth(image, FILL_BLUR * image.shape[-2])

    def _looks(self) -> int:
        return 1 + self.masks + HELD_OUT

    def _regions_of(self, images: Tensor) -> tuple[Regions, Regions]:
        """The regions of A and of B, which must be as large as the images."""
        regions = regions_for((images.shape[-2], images.shape[-1]), self.grid, self.regions)
        most = max(map(len, regions))
        if self.masks <= most + 1:
            raise ValueError(
                f"masks: got {self.masks} for {most} regions; want more than {most + 1}, best "
                "several times as many"
            )
        return regions
