"""What Captum's methods need from a pair: masks, baselines and maps of layers."""

from __future__ import annotations

import torch
from captum.attr import LayerAttribution, LayerGradCam
from torch import Tensor, nn

from captum_fv.attr.pair import Pair, as_pair, require_embed
from captum_fv.core.checks import check_values, describe
from captum_fv.siamese.model import SiameseCosine


def pair_feature_masks(mask_a: Tensor, mask_b: Tensor | None = None) -> Pair:
    """Feature masks of both images in which no feature belongs to both.

    Captum perturbs features of equal number together, in whichever image they lie.

    Args:
        mask_a: Number of each pixel's feature in A, integers that broadcast to the images, as
            (1, 1, H, W).
        mask_b: The same for B; None: as A.

    Returns:
        The masks, with B's numbers after A's.

    >>> halves = torch.tensor([[[[0, 0], [1, 1]]]])
    >>> pair_feature_masks(halves)[1].tolist()
    [[[[2, 2], [3, 3]]]]
    """
    mask_b = mask_a if mask_b is None else mask_b
    for name, mask in (("mask_a", mask_a), ("mask_b", mask_b)):
        if not isinstance(mask, Tensor):
            raise TypeError(f"{name}: got {type(mask).__name__}; want a tensor of integers")
        if mask.is_floating_point() or mask.is_complex() or mask.numel() == 0:
            raise ValueError(
                f"{name}: got {mask.dtype} of shape {tuple(mask.shape)}; want each pixel's feature "
                "as an integer"
            )
    mask_a, mask_b = mask_a.long().contiguous(), mask_b.long().contiguous()
    return mask_a, mask_b - mask_b.min() + mask_a.max() + 1


def one_sided_baselines(
    img_a: Tensor, img_b: Tensor, value: float | Tensor = 0.0
) -> tuple[Pair, Pair]:
    """Baselines that explain one image of a pair while the other stays as it is.

    The same baseline on both sides would score 1, more than any pair.

    Args:
        img_a, img_b: Images (N, C, H, W).
        value: What an image without information holds: a number, or a tensor that broadcasts to
            the images (a blurred photo, a mean face).

    Returns:
        (baseline, img_b), for A's map, and (img_a, baseline), for B's. Each call of Captum gives
            two maps; the map of the image that stays is zero.

    >>> base_a, base_b = one_sided_baselines(torch.ones(1, 3, 2, 2), torch.ones(1, 3, 2, 2))
    >>> [float(base.mean()) for base in (*base_a, *base_b)]
    [0.0, 1.0, 1.0, 0.0]
    """
    as_pair(img_a, img_b)
    try:
        level = torch.as_tensor(value)
        if level.is_complex():
            raise TypeError("a complex number")
        blank_a, blank_b = (level.to(image).expand_as(image).clone() for image in (img_a, img_b))
    except (TypeError, RuntimeError) as error:
        came = tuple(value.shape) if isinstance(value, Tensor) else repr(value)
        raise ValueError(
            f"value: got {came}; want real numbers that broadcast to {tuple(img_a.shape)}"
        ) from error
    check_values("value", blank_a)
    return (blank_a, img_b), (img_a, blank_b)


def split_layer_maps(maps: Tensor) -> Pair:
    """The maps of A and of B, (N, ...) each, from a layer's (2N, ...) of a SiameseCosine.

    Raises:
        ValueError: An odd number of rows, which cannot be two for each pair.

    >>> a, b = split_layer_maps(torch.tensor([[1.0], [2.0], [3.0], [4.0]]))
    >>> a.tolist(), b.tolist()
    ([[1.0], [3.0]], [[2.0], [4.0]])
    """
    if not isinstance(maps, Tensor):
        raise TypeError(
            f"maps: got {describe(maps)}; want a tensor, as layer methods of Captum give for a "
            "layer with one output"
        )
    if maps.ndim == 0 or len(maps) % 2:
        raise ValueError(
            f"maps: got shape {tuple(maps.shape)}; want (2N, ...), as layer methods of Captum give "
            "for a SiameseCosine"
        )
    return maps[0::2], maps[1::2]


def pair_grad_cam(
    siamese: SiameseCosine,
    layer: nn.Module,
    img_a: Tensor,
    img_b: Tensor,
    *,
    relu: bool = False,
) -> Pair:
    r"""Grad-CAM of both images, enlarged to their size.

    :math:`\sum_k \alpha_k F_k` with :math:`\alpha_k` the mean over positions of the score's
    gradient to channel k of the layer's grid F of the image.

    Args:
        siamese: The model.
        layer: A module of the backbone that gives a grid (2N, K, h, w), the last one as a rule.
        img_a, img_b: Images (N, C, H, W).
        relu: Keep only what speaks for a match, as in the paper on classes.

    Returns:
        Maps of A and of B, (N, 1, H, W).

    Reference:
        Selvaraju et al.: Grad-CAM, ICCV 2017.
    """
    require_embed("pair_grad_cam", siamese)
    if not isinstance(layer, nn.Module) or layer not in list(siamese.backbone.modules()):
        raise TypeError(f"layer: got {type(layer).__name__}; want a module of the backbone")
    pair = as_pair(img_a, img_b)
    try:
        maps = LayerGradCam(siamese, layer).attribute(pair, relu_attributions=relu)
    except (AssertionError, RuntimeError) as error:
        raise ValueError(
            f"layer: no gradient of the score reaches this {type(layer).__name__} ({error}); want "
            "a module that the backbone computes its embeddings with"
        ) from error
    if maps.ndim != 4 or len(maps) != 2 * len(pair[0]):
        raise ValueError(
            f"layer: {type(layer).__name__} gives maps of shape {tuple(maps.shape)} for "
            f"{len(pair[0])} pairs; want a grid (2N, 1, h, w): choose a module that takes each "
            "image once, before it is flattened"
        )
    enlarged = LayerAttribution.interpolate(maps.detach(), pair[0].shape[-2:], "bilinear")
    return split_layer_maps(enlarged)
