"""Embeddings as directions: unit length, and the cosine of two of them."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.linalg import vector_norm


def unit_length(vectors: Tensor) -> Tensor:
    """Vectors along dimension 1, each divided by its length.

    No square overflows or vanishes on the way. Zeros have no direction: they stay zeros, and no
    gradient passes them.

    >>> unit_length(torch.tensor([[3e30, 4e30], [0.0, 0.0]])).mul(10).round().tolist()
    [[6.0, 8.0], [0.0, 0.0]]
    """
    largest = vectors.detach().abs().amax(1, keepdim=True)
    scaled = vectors / largest.masked_fill(largest == 0, torch.inf)
    lengths: Tensor = vector_norm(scaled, dim=1, keepdim=True)
    return scaled / lengths.clamp_min(0.5)  # the largest number is 1, or all are 0


def cosine(embed_a: Tensor, embed_b: Tensor) -> Tensor:
    """Cosine (N,) of embeddings (N, d) that already have unit length."""
    return (embed_a * embed_b).sum(1)
