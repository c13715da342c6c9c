"""Methods whose maps come from an occlusion bank: one for any partners, at the price of one."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from captum_fv.attr.alternative import AlternativeFill
from captum_fv.attr.bank import OcclusionBank, bank_fill, check_photo, require_images
from captum_fv.siamese.batch_size import images_at_once


class BankReader(AlternativeFill):
    r"""A method of which one bank of an image serves all that the image is compared with.

    `bank` makes it, with all the forwards that there are; `map_of` gives the maps that `attribute`
    would give beside any partners, and costs products alone.

    >>> import captum_fv as fv
    >>> siamese = fv.SiameseCosine(fv.load_backbone("demo"))
    >>> probe, candidates = fv.generated_pairs(10).tensors(range(5))
    >>> corrrise = fv.CorrelationRiseAttribution(siamese, num_masks=50)
    >>> bank = corrrise.bank(probe[0])
    >>> corrrise.map_of(bank, siamese.embed_images(candidates)).shape
    torch.Size([5, 112, 112])
    """

    fill: Any
    """What shows where an image is hidden."""

    random_masks: bool = False
    """Whether masks are drawn, so that `split_half_reliability` says how much noise they leave."""

    def bank(
        self,
        image: Tensor,
        fill: Tensor | None = None,
        *,
        perturbations_per_eval: int | None = None,
        show_progress: bool = False,
    ) -> OcclusionBank:
        """The bank of one image under this method's masks.

        Args:
            image: The photo, (C, H, W).
            fill: What shows where it is hidden, (C, H, W), in place of the method's own. Fills that
                depend on the partner must be given so.
            perturbations_per_eval: How many masked images go through the model at once; no more
                ever exist. None: 16, and on CUDA what a trial finds to be fastest.
            show_progress: Show a bar that counts down the forwards, one for each mask and one.

        Raises:
            TypeError: A model that gives scores alone.
            ValueError: No photo, or what no bank holds: masks or a fill that depend on the partner.
        """
        require_images(self.forward_func)
        check_photo(image)
        count = images_at_once(
            self.forward_func, image[None], perturbations_per_eval=perturbations_per_eval
        )
        if fill is not None:
            fill = bank_fill(fill, image, None)
        elif self.fill in ("partner", "alternative"):
            raise ValueError(
                f"fill={self.fill!r} depends on the partner, which a bank does not know; hand over "
                "the picture, as in bank(image, fill=Alternative().images(img_a, img_b, match)[0])"
            )
        return self._bank(image, fill, count, show_progress)

    def map_of(self, bank: OcclusionBank, partners: Tensor) -> Tensor:
        """The maps of the bank's image beside any partners, as `attribute` gives its map of A.

        Args:
            bank: Of this method, by `bank`.
            partners: Embeddings (d,) or (P, d): a list of candidates, a cohort; or v_B - v_C, for
                why B and not C. They need no unit length.

        Returns:
            (H, W), or (P, H, W).

        Raises:
            ValueError: A bank of other masks, or partners that do not fit it.
        """
        raise NotImplementedError

    def linear_map_of(self, bank: OcclusionBank, partners: Tensor) -> Tensor:
        """The same before it is ranked or scaled: linear in the partner.

        Args, returns, errors: As `map_of`.
        """
        return self.map_of(bank, partners)

    def _bar(self, forwards: int, show_progress: bool) -> Any:
        """A bar that counts images down, with the time left."""
        name = self.get_name()  # type: ignore[attr-defined]  # of Captum
        return tqdm(total=forwards, desc=name, unit="image", disable=not show_progress)

    def _bank(
        self, image: Tensor, fill: Tensor | None, count: int, show_progress: bool
    ) -> OcclusionBank:
        """`bank` of what was checked, with `count` images at once."""
        raise NotImplementedError


def check_own_masks(bank: OcclusionBank, masks: Tensor) -> None:
    """Raise a ValueError unless the bank was made with these masks."""
    if bank.hidden.shape != masks.shape or not torch.equal(bank.hidden, masks.to(bank.hidden)):
        raise ValueError(
            f"bank: got one of {len(bank)} masks that are not this method's {len(masks)}; make it "
            "by the method's own bank(image)"
        )
