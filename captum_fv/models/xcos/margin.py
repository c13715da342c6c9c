"""The loss that face recognisers are trained with."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def margin_loss(
    embeddings: Tensor, centres: Tensor, labels: Tensor, margin: float, scale: float = 24.0
) -> Tensor:
    """CosFace (Wang et al., CVPR 2018, eq. 4): cross entropy of scale * (cos - margin).

    Args:
        embeddings: (N, d), of any length.
        centres: One for each person, (people, d).
        labels: Whose embedding each is, (N,).
        margin: How much closer than the others the person's own centre has to be.
        scale: Of the logits.

    Returns:
        The mean over the batch, a scalar.

    >>> import torch
    >>> far = margin_loss(torch.eye(2), torch.eye(2), torch.tensor([0, 1]), margin=0.0)
    >>> near = margin_loss(torch.eye(2), torch.eye(2), torch.tensor([0, 1]), margin=0.9)
    >>> bool(far < near)
    True
    """
    cosines = F.normalize(embeddings) @ F.normalize(centres).T
    return F.cross_entropy(scale * (cosines - margin * F.one_hot(labels, len(centres))), labels)
