"""Grad-CAM of a pair: what the channels of the backbone's last grid add to the score."""

from __future__ import annotations

import torch
from captum.attr import GradientAttribution
from torch import Tensor, nn
from torch.nn.functional import interpolate

from captum_fv.attr.contrast import contrast_scores
from captum_fv.attr.pair import Pair, PairMethod, input_gradients
from captum_fv.core.arithmetic import backward_arithmetic
from captum_fv.siamese.layers import seen_grids
from captum_fv.siamese.model import SiameseCosine
from captum_fv.siamese.scoring import check_differentiable, check_gradients


class PairGradCam(PairMethod, GradientAttribution):  # type: ignore[misc]
    r"""Grad-CAM of both images of a pair, with its sign.

    .. math:: map = \sum_k \alpha_k F_k, \qquad
              \alpha_k = \mathrm{mean}_p \frac{\partial s}{\partial F_{kp}}

    with F the grid of a layer for the image, of channels k and places p, enlarged bilinearly.
    Positive speaks for a match. The paper on classes keeps that part alone; `pair_grad_cam` with
    `relu=True` does. It says as little of where as the grid is coarse (7 by 7 cells as a rule, 3
    by 3 in EdgeFace-XXS), and each cell has seen most of the face. Costs one forward over both
    images and one backward. No threshold.

    Args:
        siamese: The model.
        layer: A module of the backbone that gives a grid, its name, or the name of a node of an
            exported program. None: the last grid of more than one cell.

    Raises:
        TypeError: The model has no `.embed`.
        ValueError: No such layer, none that gives a grid with one row for each image (a scripted
            program shows none), or one that the score does not depend on.

    Reference:
        Selvaraju et al.: Grad-CAM, ICCV 2017.

    >>> import captum_fv as fv
    >>> siamese = fv.SiameseCosine(fv.load_backbone("demo"))
    >>> pair = fv.generated_pairs(2).tensors([0])
    >>> PairGradCam(siamese).attribute(pair)[0].shape
    torch.Size([1, 3, 112, 112])
    """

    reads_embeddings = True
    options = frozenset({"against"})
    blurred = True

    def __init__(self, siamese: SiameseCosine, layer: nn.Module | str | None = None) -> None:
        super().__init__(siamese)
        self.layer = layer

    def _maps(self, pair: Pair, threshold: None, extra: None, others: Tensor | None = None) -> Pair:
        size = pair[0].shape[-2], pair[0].shape[-1]
        seen = seen_grids(self.forward_func.backbone, size, self.layer, coarse=True)
        with input_gradients(pair) as leaves:
            with seen as grids:
                if others is None:
                    scores = self.forward_func(*leaves)
                else:
                    scores = contrast_scores(self.forward_func, leaves, others).sum(1)
            grid = grids.grid
            if len(grid) != 2 * len(scores):
                raise ValueError(
                    f"layer: it gave {tuple(grid.shape)} for {len(scores)} pairs; want a grid "
                    "(2N, c, h, w): choose one that takes each image once"
                )
            enlarged = interpolate(_grad_cam(scores, grid), size, mode="bilinear")
            # Interleaved, a0 b0 a1 b1, and every channel alike.
            map_a, map_b = (enlarged[side::2].to(pair[0]).expand_as(pair[0]) for side in (0, 1))
        return map_a.clone(), map_b.clone()


def _grad_cam(scores: Tensor, grid: Tensor) -> Tensor:
    """The channels of a grid (M, c, h, w), weighted by their gradients, (M, 1, h, w)."""
    check_differentiable(scores)
    gradients = None
    if grid.requires_grad:
        with backward_arithmetic(grid.device):
            (gradients,) = torch.autograd.grad(scores.sum(), grid, allow_unused=True)
    if gradients is None:
        raise ValueError(
            "layer: no gradient of the score reaches its grid; want a layer that the backbone "
            "computes its embeddings with"
        )
    check_gradients(gradients)
    grid, gradients = (
        x.float() if x.itemsize < 4 else x for x in (grid.detach(), gradients.detach())
    )
    return (gradients.mean((2, 3), keepdim=True) * grid).sum(1, keepdim=True)
