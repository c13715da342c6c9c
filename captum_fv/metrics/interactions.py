"""How much of a score two maps can explain at all, beside which part goes with which."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from captum_fv.core.checks import check_tensor, check_values

RIDGE = 1e-9
"""Times the number of masks: keeps the fit defined where a cell was never hidden."""


@dataclass(frozen=True, eq=False)
class HiddenCells:
    """One image with some of its cells hidden, as a model sees it.

    Args:
        masks: Which cells are kept, (n, K): True or 1 where kept, else 0.
        embeddings: Of the image under each mask, (n, d). Scores are their inner products.

    Raises:
        TypeError: No tensors, or embeddings that are not floating point.
        ValueError: Not one embedding for each mask, or NaN.
    """

    masks: Tensor
    embeddings: Tensor

    def __post_init__(self) -> None:
        for name, values in (("masks", self.masks), ("embeddings", self.embeddings)):
            check_tensor(name, values, "a tensor, a row for each mask")
        check_values("embeddings", self.embeddings)
        shapes = tuple(self.masks.shape), tuple(self.embeddings.shape)
        if self.masks.ndim != 2 or self.embeddings.ndim != 2 or shapes[0][0] != shapes[1][0]:
            raise ValueError(
                f"masks are {shapes[0]} and embeddings {shapes[1]}; want (n, cells) and (n, d)"
            )

    def __getitem__(self, rows: slice) -> HiddenCells:
        """Some of the masks."""
        return HiddenCells(self.masks[rows], self.embeddings[rows])

    @property
    def design(self) -> Tensor:
        """[1 masks], (n, K + 1) float64, on the CPU."""
        masks = self.masks.cpu().double()
        return torch.cat([torch.ones_like(masks[:, :1]), masks], 1)

    @property
    def seen(self) -> Tensor:
        """The embeddings in double precision, on the CPU."""
        return self.embeddings.cpu().double()

    def fit(self, targets: Tensor, weights: Tensor | None = None) -> Tensor:
        """Weighted least squares of targets (n, m) on [1 masks]: (K + 1, m)."""
        fitted: Tensor = torch.linalg.solve(*self._normal(targets, weights))
        return fitted

    def effects(self, weights: Tensor | None = None, met: HiddenCells | None = None) -> Tensor:
        """What each cell adds to the embedding, (K + 1, d); row 0 is what is there without any.

        Their sum over the cells that a mask keeps is the embedding under it as nearly as least
        squares can.

        Args:
            weights: Of the masks, (n,).
            met: Masks under which the sums shall be these very embeddings.
        """
        normal, wanted = self._normal(self.seen, weights)
        if met is not None:
            # Lagrange's conditions, with a multiplier for each embedding that is to be met.
            rows = met.design
            corner = rows.new_zeros(len(rows), len(rows))
            normal = torch.cat([torch.cat([normal, rows.T], 1), torch.cat([rows, corner], 1)])
            wanted = torch.cat([wanted, met.seen])
        solved: Tensor = torch.linalg.solve(normal, wanted)
        return solved[: self.masks.shape[1] + 1]

    def _normal(self, targets: Tensor, weights: Tensor | None) -> tuple[Tensor, Tensor]:
        """The normal equations of least squares: X'WX, and X'W times the targets."""
        design = self.design
        weighted = design if weights is None else design * weights.cpu().double()[:, None]
        ridge = RIDGE * len(design) * torch.eye(design.shape[1]).to(design)
        return weighted.T @ design + ridge, weighted.T @ targets


class InteractionShare(NamedTuple):
    """Shares of a score's variance under masks that were not fitted: 1 is all, 0 none.

    NaN where the score does not vary. Below 0 is worse than the score's mean.
    """

    interactions: float
    """Explained by cells of A, cells of B, and pairs of both."""
    additive: float
    """Explained by the best two maps there are: no method's two maps explain more, chance apart."""
    maps: float | None = None
    """Explained by the two maps that were given."""


def interaction_share(
    fitted: tuple[HiddenCells, HiddenCells],
    held_out: tuple[HiddenCells, HiddenCells],
    maps: tuple[Tensor, Tensor] | None = None,
    effects: Tensor | None = None,
) -> InteractionShare:
    r"""How much of a score any two maps explain, against interactions of cells across the faces.

    With z and z' the cells that are kept of A and of B, all N x M scores :math:`u_z \cdot v_{z'}`
    are fitted by least squares as

    - interactions: :math:`\Phi_{00} + \sum_i \Phi_{i0} z_i + \sum_j \Phi_{0j} z'_j + \sum_{ij}
      \Phi_{ij} z_i z'_j`
    - additive: the same without the last sum, which is what two maps can say
    - maps: :math:`\alpha + \beta (\sum_i a_i z_i + \sum_j b_j z'_j)`, with a and b given

    and each is asked for the scores of the masks that were held out. No N x M system is solved: a
    score is linear in each embedding. Costs no forward.

    Args:
        fitted, held_out: A and B under masks to fit and under others. Cells of A and of B may
            differ in number.
        maps: What two maps give to each cell, summed over its pixels, (K_A,) and (K_B,).
        effects: Phi, (K_A + 1, K_B + 1), where it is known. None: the best.

    Raises:
        ValueError: Maps, masks or embeddings that do not fit each other.

    >>> masks = torch.tensor([[0, 0], [0, 1], [1, 0], [1, 1]])
    >>> image = HiddenCells(masks, masks.float())
    >>> share = interaction_share((image, image), (image, image))
    >>> round(share.interactions, 3), round(share.additive, 3)
    (1.0, 0.667)
    """
    _check_alike(fitted, held_out)
    (a, b), (held_a, held_b) = fitted, held_out
    scores = held_a.seen @ held_b.seen.T
    effects = a.effects() @ b.effects().T if effects is None else effects
    by_cells = held_a.design @ effects @ held_b.design.T
    # Over all N x M pairs of masks what depends on z and what depends on z' are orthogonal once
    # centred, so either is fitted to the scores' mean over the other side.
    over_b, over_a = a.seen @ b.seen.mean(0), b.seen @ a.seen.mean(0)
    part_a = held_a.design @ a.fit(over_b[:, None])
    part_b = held_b.design @ b.fit(over_a[:, None])
    shares = (r_squared(scores, by_cells), r_squared(scores, part_a + part_b.T - over_b.mean()))
    if maps is None:
        return InteractionShare(*shares)
    return InteractionShare(*shares, r_squared(scores, _by_maps(maps, fitted, held_out)))


def r_squared(values: Tensor, predicted: Tensor) -> float:
    """Share of the variance of values that is predicted; NaN if there is none."""
    variance = (values - values.mean()).square().sum()
    # What rounding leaves of equal values is no variance.
    if variance <= 1e-20 * values.numel():
        return float("nan")
    return float(1 - (values - predicted).square().sum() / variance)


def _by_maps(
    maps: tuple[Tensor, Tensor],
    fitted: tuple[HiddenCells, HiddenCells],
    held_out: tuple[HiddenCells, HiddenCells],
) -> Tensor:
    """What two maps make of the scores held out, with the slope and the offset that fit best."""
    (a, b), (map_a, map_b) = fitted, maps
    of_a, of_b = _said(map_a, a), _said(map_b, b)
    over_b, over_a = a.seen @ b.seen.mean(0), b.seen @ a.seen.mean(0)
    variance = of_a.var(correction=0) + of_b.var(correction=0)
    common = ((of_a - of_a.mean()) * over_b).mean() + ((of_b - of_b.mean()) * over_a).mean()
    slope = common / variance if variance > 0 else torch.zeros_like(variance)
    offset = over_b.mean() - slope * (of_a.mean() + of_b.mean())
    unseen_a, unseen_b = _said(map_a, held_out[0]), _said(map_b, held_out[1])
    return offset + slope * (unseen_a[:, None] + unseen_b)


def _said(mapped: Tensor, side: HiddenCells) -> Tensor:
    """What a map says of an image under each mask, (n,): the sum over the cells that are kept."""
    check_tensor("maps", mapped, "two tensors, (cells of A,) and (cells of B,)")
    cells = side.masks.shape[1]
    if mapped.shape != (cells,):
        raise ValueError(
            f"maps: got {tuple(mapped.shape)}; want a number for each of {cells} cells"
        )
    return side.masks.cpu().double() @ mapped.detach().cpu().double()


def _check_alike(
    fitted: tuple[HiddenCells, HiddenCells], held_out: tuple[HiddenCells, HiddenCells]
) -> None:
    sides = [*fitted, *held_out]
    lengths = {side.embeddings.shape[1] for side in sides}
    cells = [side.masks.shape[1] for side in sides]
    if len(lengths) > 1 or cells[:2] != cells[2:]:
        raise ValueError(
            f"embeddings of {sorted(lengths)} numbers and masks of {cells[:2]} cells to fit, "
            f"{cells[2:]} held out; want one length, and the same cells in both"
        )
