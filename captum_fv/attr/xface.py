"""xFace: how much the score falls when a patch of a face is covered."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, get_args

import torch
from captum.attr import PerturbationAttribution
from captum.log import log_usage
from torch import Tensor

from captum_fv.attr.bank import OcclusionBank, num_forwards
from captum_fv.attr.bank_reader import BankReader, check_own_masks
from captum_fv.attr.contrast import as_others
from captum_fv.attr.fills import PatchFill, draw_noise, resolve_fill
from captum_fv.attr.pair import SIDES, Explain, Pair, refuse_extras
from captum_fv.attr.xface_patches import PatchPlan, Shape, maps_of_falls, masks_of
from captum_fv.attr.xface_sweep import Sweep, Variant
from captum_fv.core.checks import check_choice, check_values, require_finite
from captum_fv.core.waiting import step
from captum_fv.siamese.batch_size import images_at_once
from captum_fv.siamese.scoring import embed_images, gives_embeddings


class OcclusionPairAttribution(BankReader, PerturbationAttribution):  # type: ignore[misc]
    r"""xFace: systematic occlusion of both faces, with patches of several sizes.

    With :math:`d = 1 - score`, :math:`d_0 = d(A, B)`, and :math:`A_k` the image A with patch
    :math:`O_k` filled, the patches of A weigh

    - variant 1, all pairs: :math:`a_k = \mathrm{mean}_l\, d(A_k, B_l)`
    - variant 2, one side: :math:`a_k = d(A_k, B)`
    - variant 3, same place: :math:`a_k = d(A_k, B_k)`

    and those of B likewise. The map is the mean over patch sizes p, with n patches each, of

    .. math:: M^p = \mathrm{blur}_{5 \times 5,\, \sigma 5}
                    \Big( \frac{1}{n} \sum_k O_k \frac{a_k - d_0}{p^2} \Big)

    Positive where covering the face made the faces less similar. The defaults are the published
    method, in which patches of p cover p + 1 pixels each way, the last rows and columns may never
    be covered, and the middle is covered most.

    Args:
        forward_func: A SiameseCosine; for variant 2 also any (img_a, img_b) -> scores (N,).
        variant: Which one `attribute` computes; `attribute_variants` gives several for one price.
        patch_sizes: The sizes p, each below the image's height and width.
        stride: Pixels from patch to patch: one number, or one for each patch size.
        shape: "square", or "circle" for discs of diameter p + 1.
        cover_edges: Add patches that touch the last row and column where the stride misses them.
        fill: What covers the face: "black" (the model must know its value: see
            `SiameseCosine.black`), "mean" of each channel, "blur" with sigma p / 2, "noise",
            "partner" for the other face's pixels at that place, "alternative" for what the face
            would be if the other decision were right (`Alternative`), or a number.
        generator: For "noise": draws one field a call, used for all images, uniform between each
            channel's darkest and brightest pixel.
        normalise_coverage: Divide by the number of patches that cover a pixel, in place of n.
        remove_offset: In variant 1, measure from :math:`\mathrm{mean}_l\, d(A, B_l)` in place of
            :math:`d_0`, so that covering B alone does not lift the whole map of A.
        threshold: The decision threshold, a score or a (N,) tensor, for "alternative" alone.
        reference: Somebody else's face for "alternative", as `Alternative` takes it.

    Raises:
        TypeError: Variants 1 and 3 without embeddings, a fill that is neither name nor number.
        ValueError: An unknown option, "black" of unknown value, patches that do not fit.

    Reference:
        Knoche, Teepe, Hörmann, Rigoll: Explainable Model-Agnostic Similarity and Confidence in Face
            Verification, WACV Workshops 2023.

    >>> from captum_fv.siamese import SiameseCosine
    >>> backbone = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(300, 4)).eval()
    >>> xface = OcclusionPairAttribution(SiameseCosine(backbone), patch_sizes=(3, 5), fill=0.0)
    >>> map_a, map_b = xface.attribute(*torch.rand(2, 1, 3, 10, 10))
    >>> map_a.shape
    torch.Size([1, 3, 10, 10])
    """

    options = frozenset({"explain", "show_progress", "against"})
    blurred = True

    def __init__(
        self,
        forward_func: Any,
        variant: Variant = 1,
        patch_sizes: Sequence[int] = (7, 14, 28),
        stride: int | Sequence[int] = 5,
        *,
        shape: Shape = "square",
        cover_edges: bool = False,
        fill: PatchFill | float = "black",
        generator: torch.Generator | None = None,
        normalise_coverage: bool = False,
        remove_offset: bool = False,
        threshold: float | Tensor | None = None,
        reference: Tensor | None = None,
    ) -> None:
        super().__init__(forward_func)
        self._check_variants([variant])
        self.variant = variant
        self.patches = PatchPlan(patch_sizes, stride, shape, cover_edges)
        self.fill = resolve_fill(fill, getattr(forward_func, "black", None), generator)
        self.generator = generator
        self.normalise_coverage = normalise_coverage
        self.remove_offset = remove_offset
        self._take_fill(self.fill == "alternative", threshold, reference)
        if variant != 2:
            self.options = self.options - {"against"}

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
        explain: Explain = "both",
        perturbations_per_eval: int | None = None,
        show_progress: bool = False,
    ) -> Pair:
        """Explain a batch of pairs by the constructor's variant; as in `PairMethod.attribute`.

        Args:
            inputs, img_b, target, threshold, against: As there; a threshold for "alternative"
                alone, and `against` with variant 2, for the others cover the partner, too.
            reference: For this call, in place of the constructor's.
            additional_forward_args: Leave it None: the forward function gets two images.
            explain: "a" or "b" for the map of one image; the other map is zero. In variant 2 this
                halves the work; the others cover both images all the same.
            perturbations_per_eval: How many covered images go through the model at once. None: 16,
                which a processor's cache holds, and on CUDA what a trial finds to be fastest.
            show_progress: Show a bar that counts down `num_forwards`, with the time left.
        """
        refuse_extras(target, additional_forward_args)
        maps = self.attribute_variants(
            inputs,
            img_b,
            variants=(self.variant,),
            threshold=threshold,
            reference=reference,
            against=against,
            explain=explain,
            perturbations_per_eval=perturbations_per_eval,
            show_progress=show_progress,
        )
        return maps[self.variant]

    @step()
    def attribute_variants(
        self,
        inputs: Tensor | Pair,
        img_b: Tensor | None = None,
        *,
        variants: Sequence[Variant] = (1, 2, 3),
        threshold: float | Tensor | None = None,
        reference: Tensor | None = None,
        against: Tensor | None = None,
        explain: Explain = "both",
        perturbations_per_eval: int | None = None,
        show_progress: bool = False,
    ) -> dict[Variant, Pair]:
        """Several variants' maps from one sweep over the patches; the rest is as in `attribute`."""
        pairs, level = self._checked(inputs, img_b, None, None, threshold, against)
        self._check_variants(variants)
        others: Any = [None] * len(pairs[0])
        if against is not None:
            self._want_variant_two(variants, "against")
            others = as_others(against, len(pairs[0]))[:, None]
        forwards = self.num_forwards(pairs[0], variants=variants, explain=explain)
        count = images_at_once(
            self.forward_func, pairs[0], perturbations_per_eval=perturbations_per_eval
        )
        wanted = [(variant, side) for variant in variants for side in SIDES[explain]]
        maps = {v: (torch.zeros_like(pairs[0]), torch.zeros_like(pairs[1])) for v in variants}
        noise = draw_noise(self.generator, pairs[0]) if self.fill == "noise" else None
        decisions = self._decisions(pairs, level, reference)
        bar = self._bar(forwards, show_progress)
        # Not inference_mode: what a model keeps of such a call it could never differentiate.
        with torch.no_grad(), bar:
            rows = zip(decisions, others, *pairs, strict=True)
            for i, (decision, other, *faces) in enumerate(rows):
                sweep = Sweep(
                    self.forward_func,
                    (faces[0], faces[1]),
                    self.fill,
                    noise,
                    count,
                    bar.update,
                    decision,
                    other,
                )
                swept = self._maps_of(sweep, wanted)
                for (variant, side), values in zip(wanted, swept, strict=True):
                    maps[variant][side][i] = values
        return maps

    def map_of(self, bank: OcclusionBank, partners: Tensor) -> Tensor:
        """The maps of variant 2; as `BankReader.map_of`."""
        self._want_variant_two([self.variant], "bank")
        grids = self.patches.grids(bank.hidden)
        check_own_masks(bank, masks_of(grids))
        falls = bank.clean_scores(partners)[..., None] - bank.scores(partners)
        parts = torch.split(falls.reshape(-1, len(bank)), [len(grid) for grid in grids], dim=1)
        maps = maps_of_falls(grids, parts, self.normalise_coverage)
        return maps.reshape(*falls.shape[:-1], *bank.hidden.shape[1:])

    def num_forwards(
        self,
        img_a: Tensor,
        *,
        variants: Sequence[Variant] | None = None,
        explain: Explain = "both",
    ) -> int:
        """How many images go through the model, or how many scores a plain function is asked for.

        Args:
            img_a: Images A, (N, C, H, W); only the shape counts.
            variants: As in `attribute_variants`; None: the constructor's.
            explain: As in `attribute`.
        """
        variants = (self.variant,) if variants is None else variants
        self._check_variants(variants)
        check_choice("explain", explain, tuple(SIDES))
        if getattr(img_a, "ndim", 0) != 4:
            raise ValueError(f"img_a: got {type(img_a).__name__}; want images (N, C, H, W)")
        patches = sum(len(grid) for grid in self.patches.grids(img_a))
        sides = _covered_sides(variants, SIDES[explain])
        return len(img_a) * (len(sides) * patches + (2 if self._embeds else 1))

    def shares_sweep(self, other: object) -> bool:
        """Whether another method differs in the variant alone, so that one sweep serves both.

        A subclass may do more than sweep, and shares none.
        """
        if not type(self) is type(other) is OcclusionPairAttribution:
            return False
        alike = {"variant": None, "options": None}  # which options there are goes by the variant
        mine, theirs = (vars(method) | alike for method in (self, other))
        return mine.pop("reference") is theirs.pop("reference") and mine == theirs

    def _bank(
        self, image: Tensor, fill: Tensor | None, count: int, show_progress: bool
    ) -> OcclusionBank:
        self._want_variant_two([self.variant], "bank")
        grids = self.patches.grids(image)
        masks = masks_of(grids)
        noise = draw_noise(self.generator, image[None]) if self.fill == "noise" else None
        bar = self._bar(num_forwards(masks), show_progress)
        filling = self.fill if fill is None else fill
        sweep = Sweep(self.forward_func, (image, image), filling, noise, count, bar.update)
        with torch.no_grad(), bar:
            clean = embed_images(self.forward_func, image[None])[0]
            bar.update(1)
            seen = torch.cat([sweep.covered(0, grid) for grid in grids])
        check_values("embeddings under the masks", seen)
        return OcclusionBank(masks, seen, clean)

    def _check_contrast(self, threshold: float | Tensor | None) -> None:
        self._want_variant_two([self.variant], "against")
        super()._check_contrast(threshold)

    def _want_variant_two(self, variants: Sequence[Variant], name: str) -> None:
        """Raise for variants that cover the partner too."""
        if any(variant != 2 for variant in variants):
            raise ValueError(
                f"{name}: variants 1 and 3 cover the partner too, whose photo it has not; take "
                "variant=2"
            )

    @property
    def _embeds(self) -> bool:
        return gives_embeddings(self.forward_func)

    def _check_variants(self, variants: Sequence[Any]) -> None:
        if not isinstance(variants, Sequence) or not variants:
            came = "none" if isinstance(variants, Sequence) else repr(variants)
            raise ValueError(f"variants: got {came}; want some of {get_args(Variant)}")
        for variant in variants:
            check_choice("variant", variant, get_args(Variant))
            if variant != 2 and not self._embeds:
                raise TypeError(
                    f"variant {variant} reads the embeddings of both images, which "
                    f"{type(self.forward_func).__name__} does not give; write "
                    "OcclusionPairAttribution(SiameseCosine(backbone)), or take variant=2"
                )

    def _maps_of(self, sweep: Sweep, wanted: Sequence[tuple[Variant, int]]) -> Tensor:
        """One map (H, W) for each wanted variant and side."""
        sides = _covered_sides([variant for variant, _ in wanted], {side for _, side in wanted})
        grids, falls = self.patches.grids(sweep.faces[0]), []
        for grid in grids:
            seen = {side: sweep.covered(side, grid) for side in sides}
            falls.append(
                torch.stack([sweep.falls(v, side, seen, self.remove_offset) for v, side in wanted])
            )
            require_finite("the model gave embeddings that are NaN or infinite", falls[-1])
        return maps_of_falls(grids, falls, self.normalise_coverage)


def _covered_sides(variants: Sequence[Variant], explained: Collection[int]) -> tuple[int, ...]:
    """The sides to cover: variants 1 and 3 read both whichever is explained."""
    return tuple(explained) if all(variant == 2 for variant in variants) else (0, 1)
