"""FAME: what changes in a face when small steps along the gradient take its score down, or up."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from captum.attr import GradientAttribution
from torch import Tensor

from captum_fv.attr.pair import Pair, PairMethod
from captum_fv.attr.smoothing import gaussian_blur
from captum_fv.core.checks import as_number, check_choice, check_counts
from captum_fv.core.vectors import cosine
from captum_fv.siamese.batch_size import images_at_once
from captum_fv.siamese.model import SiameseCosine
from captum_fv.siamese.scoring import embed_images, image_gradients

Polarity = Literal["both", "similarity", "dissimilarity"]

LUMA = (0.2989, 0.587, 0.114)
"""How bright red, green and blue are in gray."""

TOP = 1e-6
"""By how much a score of 1 may miss it."""


class AdversarialPathMap(PairMethod, GradientAttribution):  # type: ignore[misc]
    r"""FAME: the pixels that an adversarial path changes.

    From :math:`x_0 = A` it goes down the gradient of a loss L, by a step :math:`\eta` at the pixel
    that matters most and by less elsewhere,

    .. math:: x_{t+1} = x_t - \eta \frac{g}{\max |g|}, \qquad g = \nabla_x L(x_t), \qquad
              L_+ = s(x, B), \quad L_- = 1 - s(x, B)

    for T steps or until L is below :math:`\epsilon` (below 0, where A begins below
    :math:`\epsilon`: a score below 0 has no similarity to take away, and its map is zero; so are
    those of a face and itself, at which there is no gradient). Then

    .. math:: map_\pm = \mathrm{blur} \left| gray(x_T) - gray(A) \right| / \max, \qquad
              map = map_+ - map_-

    of which the signed one is ours: the published two are the polarities. `steps=100` and
    `step_size=1/255` are published; the width of the blur is ours, as in xSSAB's pictures.

    Both paths begin in opposite directions, and as long as the score is straight they mirror each
    other and cancel in the signed map: what it shows is where the score bends on the way. On two
    pairs of real faces (EdgeFace-XXS) the maps of the two signs correlated by 0.73 and 0.74, and
    the rank correlation of map+ with the plain gradient was 0.81 and 0.88.

    The path is that of an adversarial attack, so the map shows where the network is easily fooled,
    which need not be what it compares. It knows no threshold: the stronger sign at a pixel is no
    decision. The map of B is the same with the roles swapped.

    Costs one forward over both images and, for each step, sign and image, one forward and one
    backward: 400 of each for a pair, fewer where paths stop early.

    Args:
        siamese: Gives the embeddings, and takes images in [0, 1] (it has `mean` and `std`).
        polarity: "both" (default), or only "similarity" (map+) or "dissimilarity" (map-), which
            are never negative and cost half.
        steps: T, the most steps of a path.
        step_size: :math:`\eta`, where black is 0 and white is 1. Nothing is clamped.
        stop_below: :math:`\epsilon`.
        batch_size: Images in a forward, which bounds the memory. None: 16, and on CUDA
            what a trial finds to be fastest.

    Returns:
        Of `attribute`: maps in [-1, 1], all channels alike.

    Raises:
        TypeError: The model has no `.embed`.
        ValueError: The model does not say that it takes images in [0, 1], an unknown polarity, a
            number out of range, images that are no pair.

    Reference:
        Zhang, Günther: FAME: Feature Activation Map Explanation on Image Classification and Face
            Recognition, arXiv 2605.12017, 2026.

    >>> backbone = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(75, 4)).eval()
    >>> fame = AdversarialPathMap(SiameseCosine(backbone, mean=0.5, std=0.5), steps=2)
    >>> map_a, map_b = fame.attribute(*torch.rand(2, 1, 3, 5, 5))
    >>> map_a.shape
    torch.Size([1, 3, 5, 5])
    """

    reads_embeddings = True
    blurred = True

    def __init__(
        self,
        siamese: SiameseCosine,
        polarity: Polarity = "both",
        *,
        steps: int = 100,
        step_size: float = 1 / 255,
        stop_below: float = 0.01,
        batch_size: int | None = None,
    ) -> None:
        super().__init__(siamese)
        if getattr(siamese, "black", None) is None:
            raise ValueError(
                "FAME steps by grey levels, and this model does not say that its images are in "
                "[0, 1]; write SiameseCosine(backbone, mean=0.5, std=0.5), with what the backbone "
                "was trained with"
            )
        check_choice("polarity", polarity, get_args(Polarity))
        check_counts(steps=steps)
        if batch_size is not None:
            check_counts(batch_size=batch_size)
        if as_number("step_size", step_size) <= 0:
            raise ValueError(f"step_size: got {step_size}; want a number above 0, as 1 / 255")
        if as_number("stop_below", stop_below) < 0:
            raise ValueError(f"stop_below: got {stop_below}; want a number of 0 or more")
        self.polarity = polarity
        self.steps = int(steps)
        self.step_size = float(step_size)
        self.stop_below = float(stop_below)
        self.batch_size = batch_size

    def _maps(self, pair: Pair, threshold: None, extra: None) -> Pair:
        with torch.inference_mode(False):
            images = torch.stack(pair, 1).flatten(0, 1)
            at_once = images_at_once(
                self.forward_func, images, gradients=True, batch_size=self.batch_size
            )
            chunks = torch.split(torch.arange(len(images)), at_once)
            with torch.no_grad():
                embed = self.forward_func.embed_images
                embeddings = torch.cat([embed(images[rows]) for rows in chunks])
            # Interleaved, a0 b0 a1 b1: the partner is the other one of the two rows.
            partners = embeddings.reshape(len(pair[0]), 2, -1).flip(1).flatten(0, 1)
            maps = torch.cat([self._signed(images[rows], partners[rows]) for rows in chunks])
            maps = maps.to(images).expand_as(images)
        return maps[0::2].clone(), maps[1::2].clone()

    def _signed(self, images: Tensor, partners: Tensor) -> Tensor:
        """What the polarity asks for, (N, 1, H, W)."""
        if self.polarity == "similarity":
            return self._changed(images, partners, falling=True)
        if self.polarity == "dissimilarity":
            return self._changed(images, partners, falling=False)
        falls = self._changed(images, partners, falling=True)
        return falls - self._changed(images, partners, falling=False)

    def _changed(self, images: Tensor, partners: Tensor, falling: bool) -> Tensor:
        """Where the path of a falling or rising score changed the images, in [0, 1]."""
        # Half precision would round such steps away.
        start = images.float() if images.itemsize < 4 else images
        points, walking, floor = start.clone(), torch.arange(len(images)), None
        for _ in range(self.steps):
            loss, gradients = self._loss(points[walking].to(images), partners[walking], falling)
            if floor is None:
                floor = torch.where(loss < self.stop_below, 0.0, self.stop_below)
            # At a score of 1 the gradient is nothing but rounding, which a division by its largest
            # value would make steps of.
            at_top = (1 - loss if falling else loss) < TOP
            goes_on = ((loss >= floor[walking]) & ~at_top).cpu()
            walking, gradients = walking[goes_on], gradients[goes_on].to(points)
            if not len(walking):
                break
            largest = gradients.abs().amax((1, 2, 3), keepdim=True)
            points[walking] -= self.step_size * gradients / largest.masked_fill(largest == 0, 1)
        changes = gaussian_blur((_gray(points) - _gray(start)).abs())
        most = changes.amax((1, 2, 3), keepdim=True)
        return changes / most.masked_fill(most == 0, 1)

    @torch.enable_grad()
    def _loss(self, points: Tensor, partners: Tensor, falling: bool) -> tuple[Tensor, Tensor]:
        """L (N,), and its gradients to the points."""
        leaves = points.detach().requires_grad_()
        scores = cosine(embed_images(self.forward_func, leaves), partners)
        loss = scores if falling else 1 - scores
        (gradients,) = image_gradients(loss, (leaves,))
        return loss.detach(), gradients


def _gray(images: Tensor) -> Tensor:
    """(N, 1, H, W) of photos; of other numbers of channels than three the mean."""
    if images.shape[1] != len(LUMA):
        return images.mean(1, keepdim=True)
    return (images * images.new_tensor(LUMA)[:, None, None]).sum(1, keepdim=True)
