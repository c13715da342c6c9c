"""What is known of a pair once it is asked which part of A goes with which part of B."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from captum_fv.attr.regions import Regions
from captum_fv.core.arrays import FloatArray

Weights = Literal["banzhaf", "adds_up"]


class Link(NamedTuple):
    """How a region of A goes with a region of B.

    Args:
        of_a, of_b: Numbers of the regions.
        name_a, name_b: Their names.
        effect: What both together add to the score beyond what each adds alone.
    """

    of_a: int
    of_b: int
    name_a: str
    name_b: str
    effect: float


@dataclass(frozen=True, eq=False)
class Interactions:
    """Which part of A goes with which part of B, for one pair.

    Args:
        effects: Phi, (K_A + 1, K_B + 1): [0, 0] the base, [i, 0] and [0, j] the main effects, [i,
            j] the interaction of region i of A with region j of B, counted from 1.
        score: The cosine of the pair.
        r2: Share of the variance of scores under masks not fitted that the effects explain.
        r2_additive: Share that the best two maps explain.
        regions: Of A and of B.
        keep: The probability with which a region was kept: the effects are claimed there.
        weights: "banzhaf" or "adds_up".
    """

    effects: FloatArray
    score: float
    r2: float
    r2_additive: float
    regions: tuple[Regions, Regions]
    keep: float
    weights: Weights

    @property
    def base(self) -> float:
        """The score that is left with all regions hidden, as far as the fit says."""
        return float(self.effects[0, 0])

    @property
    def main_a(self) -> FloatArray:
        """What each region of A adds against a B that is hidden, (K_A,)."""
        return self.effects[1:, 0]

    @property
    def main_b(self) -> FloatArray:
        """The same of B, (K_B,)."""
        return self.effects[0, 1:]

    @property
    def links(self) -> FloatArray:
        """The interactions, (K_A, K_B): row i is what region i of A sees in B."""
        return self.effects[1:, 1:]

    def strongest(self, count: int = 10) -> list[Link]:
        """The links with the largest effects of either sign, the largest first."""
        order = np.argsort(-np.abs(self.links), axis=None, kind="stable")[:count]
        a, b = self.regions
        return [
            Link(i, j, a.names[i], b.names[j], float(self.links[i, j]))
            for i, j in (divmod(int(k), len(b)) for k in order)
        ]

    def values(self) -> tuple[FloatArray, FloatArray]:
        """What each region of A and each of B is worth, (K_A,) and (K_B,).

        Its main effect and a share of its links: under "banzhaf" p of them, which is what it adds
        while a share p of the other face is kept, and the best that two maps can say; under
        "adds_up" half, so that all values and the base sum to the score.
        """
        share = self.keep if self.weights == "banzhaf" else 0.5
        value_a = self.main_a + share * self.links.sum(1)
        value_b = self.main_b + share * self.links.sum(0)
        return value_a, value_b

    def maps(self) -> tuple[FloatArray, FloatArray]:
        """The maps of A and of B that these imply, (H, W).

        A region's value is shared out among its pixels, so a map's sum is that of its values.
        """
        (a, b), (value_a, value_b) = self.regions, self.values()
        return a.spread(value_a), b.spread(value_b)

    def __str__(self) -> str:
        return (
            f"cosine {self.score:.3f}; effects of regions kept with p = {self.keep:g} "
            f"({self.weights}): R2 {self.r2:.2f} held out, two maps alone {self.r2_additive:.2f}"
        )
