"""MinPlus: what the score loses when a place is erased, and gains when it alone appears."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from captum_fv.attr.bank import SCORE_NOISE, BankFill, OcclusionBank, hidden_share, spread
from captum_fv.attr.bank_masks import gaussian_masks
from captum_fv.attr.bank_method import BankMethod, MaskedFace
from captum_fv.attr.bank_reader import check_own_masks
from captum_fv.attr.smoothing import check_sigma
from captum_fv.core.checks import check_choice, check_counts

Output = Literal["s0-", "s0+", "s1-", "s1+", "avg", "minplus"]

Score = Callable[[Tensor], Tensor]
"""What is hidden, (M, H, W) -> scores (M,) of the image under it."""

_PARTS: dict[str, tuple[str, ...]] = {
    "avg": ("s0-", "s0+"),
    "minplus": ("s0-", "s0+", "s1-", "s1+"),
}


class MinPlusAttribution(BankMethod):
    r"""MinPlus and its parts: Gaussian erasers and Gaussian windows, at once and step by step.

    With :math:`g_c` a Gaussian centred at c, a point of a grid, and s the cosine with the partner,

    - "s0-": :math:`H(c) = s(A) - s(A (1 - g_c))`, what erasing c costs;
    - "s0+": :math:`H(c) = s(A g_c) - s(0)`, what c alone is worth;
    - "s1-": erase greedily. At every step :math:`c_t` costs most, :math:`H(c_t)` is that fall, and
      :math:`c_t` stays erased; the end is when nothing falls any more (by 1e-6), or after `steps`;
    - "s1+": show greedily, from nothing. What shows is the largest of the windows at each pixel,
      :math:`c_t` gives most, :math:`H(c_t)` is that rise;

    where a point that is chosen twice counts twice, and :math:`map = \sum_c H(c) g_c`, scaled to
    [0, 1]. "avg" is the mean of "s0-" and "s0+", "minplus" that of all four. It speaks of
    similarity alone, so a non-match gets no argument against; `signed=True` keeps signs: positive
    where erasing makes the faces less similar.

    Costs for one map, with P = `points` squared: P forwards for "s0-", P + 1 for "s0+", at most
    P * `steps` for "s1-" and P * `steps` + 1 for "s1+": 10,754 for "minplus" and 256 for "s0-".

    Args:
        siamese: The model.
        output: Which of the six.
        signed: Divide each part's map by its largest magnitude, into [-1, 1], in place of scaling
            it from its least to its largest value into [0, 1].
        points: Points of the grid each way; 16 of 112 pixels are 7 pixels apart.
        sigma: Standard deviation of the Gaussian as a share of the height.
        steps: Of the greedy parts.
        fill, threshold, reference: As `BankMethod` takes them; the publication's is black, the 0 in
            the formulas. The paper's grid, sigma and steps were not to be had: these are ours.

    Raises:
        TypeError: The model has no `.embed`, or a fill that is neither name nor number.
        ValueError: An unknown output, or "black" of unknown value.

    Reference:
        Mery, Morris: On Black-Box Explanation for Face Verification, WACV 2022.

    >>> from captum_fv.siamese import SiameseCosine
    >>> backbone = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(300, 4)).eval()
    >>> minplus = MinPlusAttribution(SiameseCosine(backbone), "avg", points=3, fill=0.0)
    >>> map_a, map_b = minplus.attribute(*torch.rand(2, 1, 3, 10, 10))
    >>> map_a.shape, bool(map_a.min() >= 0), minplus.num_forwards(map_a)
    (torch.Size([1, 3, 10, 10]), True, 40)
    """

    blurred = True

    def __init__(
        self,
        siamese: Any,
        output: Output = "minplus",
        *,
        signed: bool = False,
        points: int = 16,
        sigma: float = 10 / 112,
        steps: int = 20,
        fill: BankFill | Literal["alternative"] | float = "black",
        threshold: float | Tensor | None = None,
        reference: Tensor | None = None,
    ) -> None:
        super().__init__(siamese, fill, threshold, reference)
        check_choice("output", output, get_args(Output))
        check_counts(points=points, steps=steps)
        check_sigma(sigma)
        self.output = output
        self.signed = signed
        self.points = points
        self.sigma = sigma
        self.steps = steps

    @property
    def _parts(self) -> tuple[str, ...]:
        return _PARTS.get(self.output, (self.output,))

    def map_of(self, bank: OcclusionBank, partners: Tensor) -> Tensor:
        """The maps of "s0-", "s0+" or "avg"; as `BankReader.map_of`."""
        maps = self._maps_of_bank(bank, partners)
        return torch.stack([self._scaled(mapped) for mapped in maps]).mean(0)

    def linear_map_of(self, bank: OcclusionBank, partners: Tensor) -> Tensor:
        """The same, not scaled; as `BankReader.linear_map_of`."""
        return torch.stack(self._maps_of_bank(bank, partners)).mean(0)

    def _bank(
        self, image: Tensor, fill: Tensor | None, count: int, show_progress: bool
    ) -> OcclusionBank:
        self._refuse_greedy()
        return super()._bank(image, fill, count, show_progress)

    def _masks(self, size: tuple[int, int]) -> Tensor:
        """What "s0-" hides, and what "s0+" does: all but a window, and all."""
        windows = gaussian_masks(size, self.points, self.sigma)
        masks = {"s0-": [windows], "s0+": [255 - windows, torch.full_like(windows[:1], 255)]}
        return torch.cat([m for part in self._parts for m in masks.get(part, [windows[:0]])])

    def _looks(self) -> int:
        count = self.points**2
        looks = {"s0-": count, "s0+": count + 1}
        looks |= {"s1-": count * self.steps, "s1+": count * self.steps + 1}
        return sum(looks[part] for part in self._parts)

    def _map(self, face: MaskedFace) -> Tensor:
        windows = gaussian_masks(_size(face.masks), self.points, self.sigma)

        def score(hidden: Tensor) -> Tensor:
            return face.embed(hidden) @ face.partner

        maps = []
        if len(face.masks):
            maps += self._at_once(face.bank(), face.partner)
        if "s1-" in self._parts:
            maps.append(_spread(self._erased(windows, face.clean @ face.partner, score), windows))
        if "s1+" in self._parts:
            maps.append(_spread(self._shown(windows, score), windows))
        return torch.stack([self._scaled(mapped) for mapped in maps]).mean(0)

    def _maps_of_bank(self, bank: OcclusionBank, partners: Tensor) -> list[Tensor]:
        self._refuse_greedy()
        check_own_masks(bank, self._masks(_size(bank.hidden)))
        return self._at_once(bank, partners)

    def _at_once(self, bank: OcclusionBank, partners: Tensor) -> list[Tensor]:
        """The maps of "s0-" and "s0+", as far as they are asked for, before they are scaled."""
        windows = gaussian_masks(_size(bank.hidden), self.points, self.sigma)
        scores = bank.scores(partners)
        maps = []
        if "s0-" in self._parts:
            whole = bank.clean_scores(partners)
            maps.append(_spread(whole.unsqueeze(-1) - scores[..., : len(windows)], windows))
        if "s0+" in self._parts:
            shown, nothing = scores[..., -1 - len(windows) : -1], scores[..., -1:]
            maps.append(_spread(shown - nothing, windows))
        return maps

    def _refuse_greedy(self) -> None:
        """Raise for parts whose masks depend on the partner."""
        if {"s1-", "s1+"} & set(self._parts):
            raise ValueError(
                f"output {self.output!r}: its greedy parts look at the partner before they choose "
                "a mask, so no bank holds them; take 's0-', 's0+' or 'avg'"
            )

    def _erased(self, masks: Tensor, whole: Tensor, score: Score) -> Tensor:
        """S1-: the falls H(c), (P,), of erasing greedily."""
        falls = torch.zeros(len(masks)).to(whole)
        windows = hidden_share(masks, whole.dtype).to(whole.device)
        shown = torch.ones_like(windows[0])
        for _ in range(self.steps):
            scores = score(1 - shown * (1 - windows))
            best = int(scores.argmin())
            if whole - scores[best] <= SCORE_NOISE:
                break
            falls[best] += whole - scores[best]
            shown, whole = shown * (1 - windows[best]), scores[best]
        return falls

    def _shown(self, masks: Tensor, score: Score) -> Tensor:
        """S1+: the rises H(c), (P,), of showing greedily."""
        shown = torch.zeros_like(masks[0])
        (so_far,) = score(255 - shown[None])
        rises = torch.zeros(len(masks)).to(so_far)
        for _ in range(self.steps):
            scores = score(255 - torch.maximum(shown, masks))
            best = int(scores.argmax())
            if scores[best] - so_far <= SCORE_NOISE:
                break
            rises[best] += scores[best] - so_far
            shown, so_far = torch.maximum(shown, masks[best]), scores[best]
        return rises

    def _scaled(self, values: Tensor) -> Tensor:
        """Into [0, 1] or, signed, into [-1, 1]; a map that is the same everywhere is 0."""
        size = (-2, -1)
        if not self.signed:
            values = values - values.amin(size, keepdim=True)
        reach = values.abs().amax(size, keepdim=True)
        return values / reach.masked_fill(reach == 0, 1)


def _spread(weights: Tensor, windows: Tensor) -> Tensor:
    """The sum of weights (..., P) times windows, (..., H, W)."""
    rows = weights.reshape(-1, len(windows))
    # Scaled, rounding errors alone would look like any other map.
    rows = rows * (rows.abs().amax(1, keepdim=True) > SCORE_NOISE)
    return spread(rows, windows).reshape(*weights.shape[:-1], *windows.shape[1:])


def _size(masks: Tensor) -> tuple[int, int]:
    return masks.shape[-2], masks.shape[-1]
