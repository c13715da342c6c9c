"""Why B and not C: the partner's embedding less that of somebody else."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from captum_fv.core.checks import check_tensor, check_values

TOLERANCE = 1e-2
"""By how much a length may miss 1: half precision keeps two decimals."""


def less_others(partners: Tensor, against: Any) -> Tensor:
    r"""The partner vector :math:`v_B - v_C` of each pair, or v_B less the mean of a cohort.

    A cosine is linear in the partner, so what reads :math:`\langle u, v_B \rangle` answers with
    this vector, which is not brought back to unit length, why A goes with B rather than with C:
    :math:`\langle u, v_B - v_C \rangle = s(A, B) - s(A, C)`.

    Args:
        partners: Unit embeddings v_B, (N, 2, d): of each pair the partner of A and that of B.
        against: Unit embeddings, as `SiameseCosine.embed_images` gives: (d,) of one person for all
            pairs, (N, d) of one for each pair, (1, n, d) of a cohort for all pairs, or (N, n, d)
            of one for each pair.

    Returns:
        (N, 2, d), for A and for B, whose partner is A.

    Raises:
        TypeError: No tensor of floating point.
        ValueError: Another shape, or embeddings not of unit length.

    Reference:
        Williford, May, Byrne: Explainable Face Recognition, ECCV 2020 (its triplets).

    >>> import torch
    >>> partners = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    >>> less_others(partners, torch.tensor([0.0, 1.0])).tolist()
    [[[1.0, -1.0], [0.0, 0.0]]]
    """
    count, _, width = partners.shape
    want = f"({width},), ({count}, {width}), or a cohort (1 or {count}, n, {width})"
    check_tensor("against", against, f"embeddings {want}")
    check_values("against", against)
    shape = tuple(against.shape)
    fits = shape in ((width,), (count, width)) or (
        len(shape) == 3 and shape[0] in (1, count) and shape[1] > 0 and shape[2] == width
    )
    if not fits:
        raise ValueError(
            f"against: got {shape} for {count} pairs; want {want}: for many people against all "
            "pairs write against[None]"
        )
    others: Tensor = against.detach().to(partners)
    lengths = others.norm(dim=-1)
    if ((lengths - 1).abs() > TOLERANCE).any():
        raise ValueError(
            f"against: got embeddings of lengths {float(lengths.min()):.3g} to "
            f"{float(lengths.max()):.3g}; want 1, as siamese.embed_images(photos) gives. The mean "
            "of a cohort is taken here, of (1, n, d)"
        )
    if others.ndim == 3:
        others = others.mean(1)
    return partners - others.expand(count, width)[:, None]
