"""A map with what is not noise in it told apart: beside strangers' maps, and beside other masks."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from captum_fv.attr.bank_reader import BankReader
from captum_fv.attr.strangers import (
    SignificantShare,
    own_and_strangers,
    s_norm,
    share_above,
    split_half_reliability,
    standing,
)


@dataclass(frozen=True, eq=False)
class AmongStrangers:
    """One image's map, and where it shows more than a stranger's in the partner's place would.

    Args:
        mapped: The method's map, (H, W).
        z: How far it stands out of the strangers' maps, in their deviations, (H, W).
        level: From which on z is called significant.
        share: Of the significant pixels, beside the share expected by chance.
        s_norm: How far the pair's score stands out of scores with strangers, as `s_norm` says.
        reliability: Split-half reliability of the map over its masks, up to 1; None for masks that
            are not drawn.
    """

    mapped: Tensor
    z: Tensor
    level: float
    share: SignificantShare
    s_norm: float
    reliability: float | None

    @property
    def significant(self) -> Tensor:
        """Where the map shows more than a stranger's would, (H, W) bool."""
        return self.z.abs() > self.level


def among_strangers(
    method: BankReader,
    image: Tensor,
    partner: Tensor,
    cohort: Tensor,
    *,
    level: float = 2.0,
    fill: Tensor | None = None,
    perturbations_per_eval: int | None = None,
    show_progress: bool = False,
) -> AmongStrangers:
    """The map of one image, and how much of it a stranger in the partner's place would show.

    One bank of the image serves the map, its z and its reliability: the strangers cost no forward
    beyond their embeddings.

    Args:
        method: One that reads a bank: `CorrelationRiseAttribution`, `OcclusionPairAttribution` of
            variant 2, `MinPlusAttribution` of "s0-", "s0+" or "avg", `PairInteraction`.
        image: The photo, (C, H, W).
        partner: The other photo's embedding, (d,).
        cohort: Embeddings of people who are neither of the two, (n, d) with n of 3 or more; take a
            hundred.
        level: Of `|z|`, above 0.
        fill, perturbations_per_eval, show_progress: As `BankReader.bank` takes them.

    Raises:
        TypeError: A method that reads no bank, or a model that gives scores alone.
        ValueError: As `BankReader.bank` and `significant_share`.

    >>> import captum_fv as fv
    >>> siamese = fv.SiameseCosine(fv.load_backbone("demo"))
    >>> photos, others = fv.generated_pairs(40).tensors(range(20))
    >>> u = siamese.embed_images(others).detach()
    >>> method = fv.OcclusionPairAttribution(siamese, 2, patch_sizes=(28,), stride=14)
    >>> among_strangers(method, photos[0], u[0], cohort=u[1:]).significant.shape
    torch.Size([112, 112])
    """
    if not isinstance(method, BankReader):
        raise TypeError(
            f"method: {type(method).__name__} reads no bank; want CorrelationRiseAttribution, "
            "OcclusionPairAttribution, MinPlusAttribution or PairInteraction"
        )
    bank = method.bank(
        image,
        fill,
        perturbations_per_eval=perturbations_per_eval,
        show_progress=show_progress,
    )
    own, strangers = own_and_strangers(bank, partner, cohort, method.linear_map_of, least=3)
    reliability = None
    if method.random_masks:
        reliability = split_half_reliability(bank, partner, method.map_of)
    return AmongStrangers(
        mapped=method.map_of(bank, partner),
        z=standing(own, strangers).to(bank.clean),
        level=level,
        share=share_above(own, strangers, level),
        s_norm=s_norm(bank.clean, partner, cohort),
        reliability=reliability,
    )
