"""CorrRISE: where what is seen goes together with the score."""

from __future__ import annotations

from typing import Any, Literal, get_args

import torch
from torch import Tensor

from captum_fv.attr.bank import (
    SCORE_NOISE,
    BankFill,
    OcclusionBank,
    as_partners,
    hidden_share,
)
from captum_fv.attr.bank_masks import rise_masks, square_masks
from captum_fv.attr.bank_method import BankMethod
from captum_fv.core.checks import check_choice, check_counts, check_generator

Correlation = Literal["spearman", "pearson"]
Masks = Literal["squares", "rise"]


class CorrelationRiseAttribution(BankMethod):
    r"""CorrRISE: correlation over random masks of the score with each pixel's being seen.

    .. math:: map(x) = \mathrm{corr}_k \big( M_k(x), \; \cos(u(A_k), v(B)) \big)

    with :math:`M_k` 1 where mask k shows the image and 0 where it hides it, and :math:`A_k` the
    masked image. In [-1, 1]: positive where the faces are more similar when the pixel is seen. 0
    where no mask hides anything, or where the score never changes. The defaults are the published
    method: 500 masks of three 30-px squares, black, Spearman. B's map masks B. Costs 2 + 500
    forwards for one map and 1,002 for both. How much of a map is the masks' own noise says
    `split_half_reliability`; what a stranger would show in its place says `z_map`.

    Args:
        siamese: The model.
        masks: "squares", `square_masks`; or "rise", `rise_masks`, 0.9 of 12 x 12 cells kept.
        num_masks: How many, the same for all images of a call.
        correlation: "spearman", of ranks, equal values sharing their mean rank; or "pearson".
        fill, threshold, reference: As `BankMethod` takes them.
        generator: Where masks come from; it moves on with every call. None: a new one for every
            call, seeded with 0, so that all calls have the same masks.

    Raises:
        TypeError: The model has no `.embed`, or a fill that is neither name nor number.
        ValueError: An unknown option, or "black" of unknown value.

    Reference:
        Lu, Xu, Ebrahimi: Towards Visual Saliency Explanations of Face Verification, WACV 2024.

    >>> from captum_fv.siamese import SiameseCosine
    >>> backbone = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(300, 4)).eval()
    >>> corrrise = CorrelationRiseAttribution(SiameseCosine(backbone), num_masks=20, fill=0.0)
    >>> map_a, map_b = corrrise.attribute(*torch.rand(2, 1, 3, 10, 10))
    >>> map_a.shape, corrrise.num_forwards(map_a)
    (torch.Size([1, 3, 10, 10]), 42)
    """

    random_masks = True

    def __init__(
        self,
        siamese: Any,
        masks: Masks = "squares",
        num_masks: int = 500,
        correlation: Correlation = "spearman",
        *,
        fill: BankFill | Literal["alternative"] | float = "black",
        generator: torch.Generator | None = None,
        threshold: float | Tensor | None = None,
        reference: Tensor | None = None,
    ) -> None:
        super().__init__(siamese, fill, threshold, reference)
        check_choice("masks", masks, get_args(Masks))
        check_choice("correlation", correlation, get_args(Correlation))
        check_counts(num_masks=num_masks)
        check_generator(generator)
        self.masks = masks
        self.num_masks = num_masks
        self.correlation = correlation
        self.generator = generator

    def _masks(self, size: tuple[int, int]) -> Tensor:
        make = square_masks if self.masks == "squares" else rise_masks
        return make(self.num_masks, size, self.generator)

    def _looks(self) -> int:
        return self.num_masks

    def map_of(self, bank: OcclusionBank, partners: Tensor) -> Tensor:
        """Correlations over the masks of any bank; as `BankReader.map_of`."""
        return correlation_map(bank, partners, self.correlation)

    def linear_map_of(self, bank: OcclusionBank, partners: Tensor) -> Tensor:
        """Covariances in place of correlations; as `BankReader.linear_map_of`."""
        return bank.covariance_map(partners)


def correlation_map(
    bank: OcclusionBank, partners: Tensor, correlation: Correlation = "spearman"
) -> Tensor:
    """Correlation over a bank's masks of the score with how far each pixel is seen.

    Args:
        bank: Of one image.
        partners: Vectors (d,) or (P, d), of any length.
        correlation: "spearman" or "pearson".

    Returns:
        (H, W) or (P, H, W), in [-1, 1]; 0 where no mask hides anything or the score never changes.
    """
    check_choice("correlation", correlation, get_args(Correlation))
    scores = bank.scores(partners)
    size = (*scores.shape[:-1], *bank.hidden.shape[1:])
    scores = scores.reshape(-1, len(bank))
    noise = SCORE_NOISE * as_partners(partners, bank.clean).reshape(len(scores), -1).norm(dim=1)
    # A correlation knows no size: of rounding errors alone it would be as large as any.
    still = (scores.amax(1) - scores.amin(1) <= noise)[:, None]
    seen = -hidden_share(bank.hidden.to(scores.device), scores.dtype).flatten(1)
    if correlation == "spearman":
        scores = _ranks(scores.T).T
        # Ranks of 0 and 1 are 0 and 1 in other units, and a correlation knows no units.
        seen = seen if bank.hidden.dtype == torch.bool else _ranks(seen)
    scores = scores - scores.mean(1, keepdim=True)
    seen -= seen.mean(0)
    length = seen.norm(dim=0)
    constant = length <= torch.finfo(length.dtype).eps * len(bank)
    values: Tensor = scores @ seen / (scores.norm(dim=1, keepdim=True) * length)
    return values.masked_fill(constant | still, 0).clamp(-1, 1).reshape(size)


def _ranks(values: Tensor) -> Tensor:
    """Ranks along the first dimension, scaled to (0, 1]; equal values share their mean rank."""
    from scipy.stats import rankdata

    return torch.from_numpy(rankdata(values.cpu().numpy(), axis=0)).to(values) / len(values)
