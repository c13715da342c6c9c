"""What a stranger would show: how far a map, or a score, stands out of a cohort of other people."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

from captum_fv.attr.bank import OcclusionBank, as_partners
from captum_fv.core.checks import as_number, check_tensor

MapOf = Callable[[OcclusionBank, Tensor], Tensor]
"""A bank and partners' vectors, (d,) or (P, d) -> maps, (H, W) or (P, H, W)."""

ROUNDING = 1e-12
"""Deviations up to this share of the largest value are equal values' rounding errors in float64."""


class SignificantShare(NamedTuple):
    """The share of pixels that stand out, and the share that would by chance.

    Args:
        found: Of the partner's z-map.
        chance: Of a stranger's z-map among the other strangers, on average over the cohort.
    """

    found: float
    chance: float


def z_map(
    bank: OcclusionBank,
    partner: Tensor,
    cohort: Tensor,
    map_of: MapOf = OcclusionBank.covariance_map,
) -> Tensor:
    r"""How much more a partner's map shows at each pixel than strangers' maps do.

    .. math:: z(x) = \frac{map_B(x) - \mathrm{mean}_c \, map_c(x)}{\mathrm{sd}_c \, map_c(x)}

    with :math:`map_B` the map for B and :math:`map_c` that for a stranger. What the draw of the
    masks adds is in all of them, so it counts in the spread. The slope of a regression on what is
    seen, pixel by pixel, would give the same z as the covariance: it differs by a factor that is
    the pixel's own. The cohort costs no forward beyond its embeddings.

    Args:
        bank: Of the image that is explained.
        partner: The other photo's embedding, (d,).
        cohort: Embeddings of people who are neither of the two, (n, d) with n of 2 or more; a
            hundred give the spread to 7 %.
        map_of: What makes maps of a bank, not scaled each to itself: the bank's `covariance_map`,
            or the `linear_map_of` of the method that made the bank.

    Returns:
        (H, W): positive where more speaks for "same person" than a stranger would show; within -2
        to 2 is no more than strangers show. 0 where no mask hides anything.

    Raises:
        ValueError: Embeddings of another size than the bank's, or a cohort of one.

    >>> import torch
    >>> hidden = torch.tensor([[[True, False]], [[False, True]]])
    >>> bank = OcclusionBank(hidden, torch.eye(2), torch.tensor([0.6, 0.8]))
    >>> cohort = torch.tensor([[0.1, 0.0], [-0.1, 0.0]])
    >>> z_map(bank, torch.tensor([0.3, 0.0]), cohort).mul(100).round().tolist()
    [[-212.0, 212.0]]
    """
    own, strangers = own_and_strangers(bank, partner, cohort, map_of, least=2)
    return standing(own, strangers).to(bank.clean)


def significant_share(
    bank: OcclusionBank,
    partner: Tensor,
    cohort: Tensor,
    level: float = 2.0,
    map_of: MapOf = OcclusionBank.covariance_map,
) -> SignificantShare:
    """The share of pixels with `|z|` above a level, beside the share expected by chance.

    Chance is measured and not looked up: each stranger of the cohort is held against the others.
    For Gaussian maps it is .046 at level 2. The pixels of a map go together, so a single
    stranger's share is often twice that or nothing.

    On LFW with EdgeFace-XXS, 500 black masks of three squares and 100 strangers, .043 of the pixels
    stand out in 30 impostor pairs and .34 in 20 genuine ones, where .050 would by chance.

    Args:
        bank, partner, map_of: As in `z_map`.
        cohort: As there, with 3 people or more.
        level: Above 0.

    Raises:
        ValueError: As `z_map`, or a cohort of two, or a level that is not above 0.
    """
    own, strangers = own_and_strangers(bank, partner, cohort, map_of, least=3)
    return share_above(own, strangers, level)


def stranger_score(embedding: Tensor, partner: Tensor, cohort: Tensor) -> float:
    r"""How far a score stands out of the scores of strangers with this image, in their deviations.

    .. math:: z = \frac{s(A, B) - \mathrm{mean}_c \, s(A, c)}{\mathrm{sd}_c \, s(A, c)}

    Args:
        embedding: Of A, (d,), as `OcclusionBank.clean`.
        partner: Of B, (d,).
        cohort: Of others, (n, d), with n of 2 or more.

    Raises:
        ValueError: Embeddings that do not fit each other, or a cohort of one.
    """
    cohort = _as_cohort(cohort, embedding)
    scores = cohort.cpu().double() @ embedding.cpu().double()
    own = _as_partner(partner, embedding).cpu().double() @ embedding.cpu().double()
    return float(standing(own, scores))


def s_norm(embedding: Tensor, partner: Tensor, cohort: Tensor) -> float:
    """The S-norm of speaker recognition: the mean of `stranger_score` from A's side and from B's.

    Args, errors: As there.

    Reference:
        Shum, Dehak, Dehak, Glass: Unsupervised Speaker Adaptation based on the Cosine Similarity
            for Text-Independent Speaker Verification, Odyssey 2010.

    >>> import torch
    >>> same, other = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    >>> round(s_norm(same, same, torch.tensor([[0.6, 0.8], [0.0, 1.0], [-0.6, 0.8]])), 3)
    1.667
    >>> round(s_norm(same, other, torch.tensor([[0.6, 0.8], [0.0, 1.0], [-0.6, 0.8]])), 3)
    -3.753
    """
    sides = ((embedding, partner), (partner, embedding))
    return sum(stranger_score(*side, cohort) for side in sides) / 2


def split_half_reliability(
    bank: OcclusionBank, partner: Tensor, map_of: MapOf = OcclusionBank.covariance_map
) -> float:
    r"""How well a map would agree with that of another draw of as many masks.

    .. math:: \frac{2 r}{1 + |r|}

    with r the correlation over the pixels of the maps of every other mask and of the rest
    (Spearman-Brown). For random masks.

    Args:
        bank: Of the image that is explained, with 4 masks or more.
        partner: The other photo's embedding, (d,).
        map_of: What makes a map of a bank, as `correlation_map`, which is CorrRISE's.

    Returns:
        Up to 1, where the masks leave no noise; 0 where all is noise, or a map is the same
        everywhere.

    Raises:
        ValueError: Fewer than 4 masks, or a partner that does not fit.

    >>> import torch
    >>> from captum_fv.attr.bank_masks import square_masks
    >>> masks = square_masks(400, (16, 16), side=0.2)
    >>> seen = 1 - masks[:, 5, 5].float()[:, None]
    >>> split_half_reliability(OcclusionBank(masks, seen, torch.ones(1)), torch.ones(1)) > 0.9
    True
    """
    if len(bank) < 4:
        raise ValueError(f"bank: got {len(bank)} masks; want 4 or more, to split them")
    partner = _as_partner(partner, bank.clean)
    one, two = (map_of(bank.half(which), partner).cpu().double().flatten() for which in (0, 1))
    one, two = one - one.mean(), two - two.mean()
    length = float(one.norm() * two.norm())
    agreement = float(one @ two) / length if length > 0 else 0.0
    return 2 * agreement / (1 + abs(agreement))


def own_and_strangers(
    bank: OcclusionBank, partner: Tensor, cohort: Tensor, map_of: MapOf, least: int
) -> tuple[Tensor, Tensor]:
    """The partner's map (H, W) and those of the cohort (n, H, W), of `least` people or more."""
    cohort = _as_cohort(cohort, bank.clean, least)
    own = map_of(bank, _as_partner(partner, bank.clean))
    return own.cpu().double(), map_of(bank, cohort).cpu().double()


def share_above(own: Tensor, strangers: Tensor, level: float) -> SignificantShare:
    """`significant_share` of maps that are there already."""
    if not as_number("level", level) > 0:
        raise ValueError(f"level: got {level}; want a number above 0")
    found = (standing(own, strangers).abs() > level).double().mean()
    chance = (_standing_among_others(strangers).abs() > level).double().mean()
    return SignificantShare(float(found), float(chance))


def standing(own: Tensor, strangers: Tensor) -> Tensor:
    """(own - mean) / sd of the strangers, who are along the first dimension; 0 where sd is 0."""
    deviation = strangers.std(0)
    alike = deviation <= ROUNDING * strangers.abs().amax(0)
    return ((own - strangers.mean(0)) / deviation).masked_fill(alike, 0)


def _standing_among_others(strangers: Tensor) -> Tensor:
    """Each stranger's standing among the others, without making n cohorts of n - 1."""
    count = len(strangers)
    centred = strangers - strangers.mean(0)
    # Of values that sum to 0, the others' mean is -x / (n - 1), and their sum of squares is all but
    # x^2. So x lies n / (n - 1) x above the others' mean.
    others = centred.square().sum(0) - centred.square() * count / (count - 1)
    deviation = (others / (count - 2)).clamp(min=0).sqrt()
    return (centred * count / (count - 1) / deviation).masked_fill(deviation == 0, 0)


def _as_partner(partner: Tensor, clean: Tensor) -> Tensor:
    check_tensor("partner", partner, "an embedding (d,)")
    if partner.ndim != 1:
        raise ValueError(f"partner: got {tuple(partner.shape)}; want one embedding (d,)")
    return as_partners(partner, clean)


def _as_cohort(cohort: Tensor, clean: Tensor, least: int = 2) -> Tensor:
    check_tensor("cohort", cohort, "embeddings (n, d)")
    if cohort.ndim != 2 or len(cohort) < least:
        raise ValueError(
            f"cohort: got {tuple(cohort.shape)}; want embeddings (n, d) of {least} strangers or "
            "more"
        )
    return as_partners(cohort, clean)
