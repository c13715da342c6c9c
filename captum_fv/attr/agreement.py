"""Local agreement: where two faces are alike, by what an early layer of the model sees there."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from captum.attr import PerturbationAttribution
from torch import Tensor, nn

from captum_fv.attr.pair import Pair, PairMethod
from captum_fv.siamese.layers import seen_grids
from captum_fv.siamese.model import SiameseCosine


class LocalAgreement(PairMethod, PerturbationAttribution):  # type: ignore[misc]
    r"""Cosine of the two faces' features at each place of an early grid of the backbone.

    .. math:: l(p) = \cos(F^A_p - \bar F, \; F^B_p - \bar F)

    with :math:`F_p` the features at place p and :math:`\bar F` their mean over all places of both
    faces, since what every place has says nothing of this one. Enlarged bilinearly; both faces get
    the same map. Costs one forward over both images: the features come from the forward that gives
    the embeddings. No training, no gradient, no threshold.

    It says what is alike, and not whether that matters to the score. On Patch-LFW, whose patches of
    an impostor pair are copies of B, it finds nearly all of them (AUROC 0.89 on false matches) and
    is a weak order of repair (0.70 of chance's area): read it beside a decision map.

    Args:
        siamese: The model.
        layer: A module of the backbone that gives a grid, its name, or the name of a node of an
            exported program. None: the last grid with a cell for every 5 pixels or more; coarser
            ones say less.

    Raises:
        TypeError: The model has no `.embed`.
        ValueError: No such layer, or none that gives such a grid: a scripted program shows none.

    >>> import captum_fv as fv
    >>> siamese = fv.SiameseCosine(fv.load_backbone("demo"))
    >>> img_a, _ = fv.generated_pairs(2).tensors([0])
    >>> map_a, map_b = LocalAgreement(siamese).attribute((img_a, img_a))
    >>> map_a.shape, float(map_a.min()) > 0.999
    (torch.Size([1, 3, 112, 112]), True)
    """

    reads_embeddings = True
    blurred = True

    def __init__(self, siamese: SiameseCosine, layer: nn.Module | str | None = None) -> None:
        super().__init__(siamese)
        self.layer = layer

    def _maps(self, pair: Pair, threshold: None, extra: None) -> Pair:
        images = torch.stack(pair, 1).flatten(0, 1)
        with torch.no_grad():
            _, alike = embed_and_compare(self.forward_func, images, self.layer)
        maps = alike.to(images).expand_as(pair[0])
        return maps.clone(), maps.clone()


def embed_and_compare(
    siamese: SiameseCosine, images: Tensor, layer: nn.Module | str | None
) -> tuple[Tensor, Tensor]:
    """Embeddings (2N, d) of interleaved images a0 b0 a1 b1 ..., and how alike each place is.

    Returns:
        The embeddings, and l in [-1, 1], (N, 1, H, W).
    """
    height, width = images.shape[-2:]
    with seen_grids(siamese.backbone, (height, width), layer) as grids:
        embeddings = siamese.embed_images(images)
    grid = grids.grid.float()
    features = grid.reshape(-1, 2, *grid.shape[1:])
    features = features - features.mean((1, 3, 4), keepdim=True)
    alike = F.cosine_similarity(features[:, 0], features[:, 1], dim=1)[:, None]
    return embeddings, F.interpolate(alike, (height, width), mode="bilinear", align_corners=False)
