"""Which places of two last grids make a cosine: exact, where the backbone's head is affine."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from captum_fv.attr.pair import Pair, as_pair, require_embed
from captum_fv.siamese.model import SiameseCosine


@torch.no_grad()
def spatial_decomposition(
    siamese: SiameseCosine, inputs: Tensor | Pair, img_b: Tensor | None = None
) -> Tensor:
    r"""The exact share of a cosine that each place of A's last grid has with each place of B's.

    An affine head maps a grid f to :math:`e = c + \sum_i W_i f_i`: flatten and a linear layer,
    average pooling and a linear layer, a global depthwise convolution, each with batch norms. So

    .. math:: R_{ij} = \frac{\langle W_i f_i, W_j f'_j \rangle}{|e| |e'|}, \qquad
              \sum_{i, j \ge 0} R_{ij} = s

    with the bias, c, as place 0. A place of the last grid sees much more of the photo than the
    pixels above it. Costs one forward over both images, and the head once for each place.

    Args:
        siamese: A model whose backbone has `features`, images to grids (N, c, h, w), and `head`,
            grids to embeddings, as `DemoBackbone`, `IResNet`, `IRNet` and `MobileFaceNet` have.
        inputs: Images A, (N, C, H, W), or the tuple (images A, images B).
        img_b: Images B, if not in the tuple.

    Returns:
        R, (N, 1 + h w, 1 + h w) float64, places row-major; row and column 0 are the bias.

    Raises:
        TypeError: The backbone has no `features` or no `head`.
        ValueError: The parts do not sum to the cosine within 1e-4: the head is not affine, or the
            backbone does more than `head(features(images))`.

    Reference:
        Stylianou, Souvenir, Pless: Visualizing Deep Similarity Networks, WACV 2019 (average
        pooling); Zhu, Yang, Chen: Visual Explanation for Deep Metric Learning, IEEE TIP 2021
        (fully connected heads), there without the bias.

    >>> import captum_fv as fv
    >>> siamese = fv.SiameseCosine(fv.load_backbone("demo"))
    >>> pair = fv.generated_pairs(2).tensors([0])
    >>> parts = spatial_decomposition(siamese, pair)
    >>> parts.shape, bool((parts.sum() - siamese(*pair)).abs() < 1e-5)
    (torch.Size([1, 50, 50]), True)
    """
    require_embed("spatial_decomposition", siamese)
    pair = as_pair(inputs, img_b)
    head = getattr(siamese.backbone, "head", None)
    if not callable(head):
        raise TypeError(
            f"{type(siamese.backbone).__name__} has no head; want a backbone with features(images) "
            "-> grids and head(grids) -> embeddings, as fv.load_backbone('demo') has"
        )
    parts_a, parts_b = (_parts(head, siamese.grids(images)) for images in pair)
    lengths = [parts.sum(1).norm(dim=1)[:, None, None] for parts in (parts_a, parts_b)]
    shares: Tensor = parts_a @ parts_b.transpose(1, 2) / (lengths[0] * lengths[1])
    gap = float((shares.sum((1, 2)) - siamese(*pair).cpu()).abs().max())
    if not gap <= 1e-4:
        raise ValueError(
            f"the parts miss the cosine by {gap:.2g}: the head of "
            f"{type(siamese.backbone).__name__} is not affine, or its forward does more than "
            "head(features(images)); PairInteraction asks any model"
        )
    return shares


def _parts(head: Any, grids: Tensor) -> Tensor:
    """What the bias and each place of the grids add to the embeddings, (N, 1 + h w, d).

    In float64, on the CPU.
    """
    count, _, height, width = grids.shape
    bias = head(torch.zeros_like(grids[:1])).cpu().double()
    parts = [bias.expand(count, -1)]
    for place in range(height * width):
        alone = torch.zeros_like(grids)
        row, column = divmod(place, width)
        alone[:, :, row, column] = grids[:, :, row, column]
        parts.append(head(alone).cpu().double() - bias)
    return torch.stack(parts, 1)
