"""Why B and not C: the partner's embedding less that of somebody else."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from captum_fv.core.checks import check_tensor, check_values
from captum_fv.siamese.model import SiameseCosine

TOLERANCE = 1e-2
"""By how much a length may miss 1: half precision keeps two decimals."""


def as_others(against: Any, count: int) -> Tensor:
    """The others of each pair, (N, d): one embedding each, or the mean of a cohort's.

    Args:
        against: Unit embeddings, as `SiameseCosine.embed_images` gives: (d,) of one person for all
            pairs, (N, d) of one for each pair, (1, n, d) of a cohort for all pairs, or (N, n, d)
            of one for each pair.
        count: N.

    Raises:
        TypeError: No tensor of floating point.
        ValueError: Another shape, or embeddings not of unit length.
    """
    cohorts = 1 if count == 1 else f"1 or {count}"
    want = f"embeddings (d,), ({count}, d), or a cohort ({cohorts}, n, d)"
    check_tensor("against", against, want)
    check_values("against", against)
    shape = tuple(against.shape)
    fits = len(shape) == 1 or (len(shape) == 2 and shape[0] == count)
    fits = fits or (len(shape) == 3 and shape[0] in (1, count))
    if not fits or 0 in shape:
        raise ValueError(
            f"against: got {shape} for {count} pairs; want {want}: for many people against all "
            "pairs write against[None]"
        )
    others: Tensor = against.detach()
    lengths = others.norm(dim=-1)
    if ((lengths - 1).abs() > TOLERANCE).any():
        raise ValueError(
            f"against: got embeddings of lengths {float(lengths.min()):.3g} to "
            f"{float(lengths.max()):.3g}; want 1, as siamese.embed_images(photos) gives. The mean "
            "of a cohort is taken here, of (1, n, d)"
        )
    if others.ndim == 3:
        others = others.mean(1)
    return others.expand(count, shape[-1])


def partner_vectors(embeddings: Tensor, others: Tensor | None = None) -> Tensor:
    r"""What both images of each pair are compared with: the partner's embedding, or less others'.

    A cosine is linear in the partner, so what reads :math:`\langle u, v_B \rangle` answers with the
    vector :math:`v_B - v_C`, which is not brought back to unit length, why A goes with B rather
    than with C: :math:`\langle u, v_B - v_C \rangle = s(A, B) - s(A, C)`.

    Args:
        embeddings: Of A and of B, unit, (N, 2, d).
        others: v_C of each pair, (N, d), as `as_others` gives; None: nobody.

    Returns:
        (N, 2, d), for A and for B, whose partner is A. No gradient passes.

    Raises:
        ValueError: Others of another length.

    Reference:
        Williford, May, Byrne: Explainable Face Recognition, ECCV 2020 (its triplets).

    >>> embeddings = torch.tensor([[[0.0, 1.0], [1.0, 0.0]]])
    >>> partner_vectors(embeddings, torch.tensor([[0.0, 1.0]])).tolist()
    [[[1.0, -1.0], [0.0, 0.0]]]
    """
    partners = embeddings.detach().flip(1)
    if others is None:
        return partners
    if others.shape[-1] != partners.shape[-1]:
        raise ValueError(
            f"against: got embeddings of {others.shape[-1]} numbers; this model gives "
            f"{partners.shape[-1]}"
        )
    return partners - others.to(partners)[:, None]


def contrast_scores(
    siamese: SiameseCosine, images: tuple[Tensor, Tensor], others: Tensor
) -> Tensor:
    """s(A, B) - s(A, C) and s(A, B) - s(B, C), (N, 2).

    In each the partner is fixed, so that the sum of both has for either image the gradient of its
    own.
    """
    embeddings = torch.stack(siamese.embed(*images), 1)
    return (embeddings * partner_vectors(embeddings, others)).sum(2)
