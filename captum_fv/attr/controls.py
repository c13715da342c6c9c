"""Five maps that explain nothing: chance, the centre, the pixels, sensitivity, true patches.

What a method is worth is how far it leaves them behind. None reads embeddings, so any forward
function will do; chance and the pixels never call it.
"""

from __future__ import annotations

from typing import Any

import torch
from captum.attr import GradientAttribution, PerturbationAttribution
from captum.log import log_usage
from torch import Tensor

from captum_fv.attr.contrast import contrast_scores
from captum_fv.attr.pair import (
    Pair,
    PairMethod,
    decision_sign,
    input_gradients,
    score_pairs,
    zeros_at_maximum,
)
from captum_fv.attr.smoothing import check_sigma
from captum_fv.core.checks import as_number, check_generator
from captum_fv.core.waiting import step
from captum_fv.siamese.scoring import check_maps, image_gradients


class RandomPairBaseline(PairMethod, PerturbationAttribution):  # type: ignore[misc]
    """RND: independent uniform maps in [-1, 1), one value per pixel.

    Pairs are drawn one after the other, so that a batch gives the maps its pairs would have had
    alone.

    Args:
        forward_func: The model, for the family's common signature; it is never called.
        generator: Where the numbers come from; it moves on with every call. None: a new one, seeded
            with 0.
        shared_order: One map, hence one pixel order, for all images of all calls, as the published
            code does.

    Reference:
        Huber et al., WACV 2024, Sec. 4.4.

    >>> img_a, img_b = torch.rand(2, 2, 3, 4, 4)
    >>> map_a, map_b = RandomPairBaseline(None).attribute(img_a, img_b)
    >>> bool((map_a[:, 0] == map_a[:, 1]).all()), bool((map_a[0] == map_a[1]).any())
    (True, False)
    """

    generator: torch.Generator

    def __init__(
        self,
        forward_func: Any,
        generator: torch.Generator | None = None,
        shared_order: bool = False,
    ) -> None:
        super().__init__(forward_func)
        check_generator(generator)
        self.generator = torch.Generator().manual_seed(0) if generator is None else generator
        self.shared_order = shared_order
        self._order_seed = self.generator.initial_seed()

    def _maps(self, pair: Pair, threshold: None, extra: Any) -> Pair:
        if self.shared_order:
            generator = torch.Generator(self.generator.device).manual_seed(self._order_seed)
            order = _draw(pair[0], generator)
            return order.clone(), order.clone()
        draws = [_draw(face, self.generator) for faces in zip(*pair, strict=True) for face in faces]
        return torch.stack(draws[0::2]), torch.stack(draws[1::2])


def _draw(images: Tensor, generator: torch.Generator) -> Tensor:
    """One map of values in [-1, 1) for all of the images, (..., H, W)."""
    # Of one type whatever the default is: another draws other numbers.
    size, device = images.shape[-2:], generator.device
    values = torch.rand(size, generator=generator, device=device, dtype=torch.float32) * 2 - 1
    return values.to(images).expand_as(images)


class CentrePrior(PairMethod, PerturbationAttribution):  # type: ignore[misc]
    r"""A fixed Gaussian bump on the centre of an aligned face, with the sign of the decision.

    .. math:: map(y, x) = \pm \exp(-((y - cy)^2 + (x - cx)^2) / 2 \sigma^2)

    It sees neither image: a benchmark that it wins rewards looking at the centre. The forward
    function is asked for the score alone. Its values lie in [-1, 1].

    Args:
        forward_func: (img_a, img_b) -> scores (N,).
        threshold: The decision threshold: a score, or a (N,) tensor with one for each pair.
        centre: (row, column) of the bump as shares of height and width; the default is the centre
            of the face under the ArcFace template, row 62 and column 56 of 112.
        sigma: Its width as a share of the height.

    >>> control = CentrePrior(lambda a, b: torch.ones(len(a)), threshold=0.3)
    >>> map_a, _ = control.attribute(torch.zeros(1, 3, 112, 112), torch.zeros(1, 3, 112, 112))
    >>> divmod(int(map_a[0, 0].argmax()), 112)
    (62, 56)
    """

    def __init__(
        self,
        forward_func: Any,
        threshold: float | Tensor,
        centre: tuple[float, float] = (62 / 112, 56 / 112),
        sigma: float = 0.25,
    ) -> None:
        super().__init__(forward_func)
        if not isinstance(centre, tuple | list) or len(centre) != 2:
            raise ValueError(f"centre: got {centre!r}; want (row, column) as shares")
        check_sigma(sigma)
        self.threshold = threshold
        self.centre = as_number("centre", centre[0]), as_number("centre", centre[1])
        self.sigma = sigma

    def _maps(self, pair: Pair, threshold: float | Tensor, extra: Any) -> Pair:
        image = pair[0]
        sign = _decision(self.forward_func, pair, threshold, extra)
        height, width = image.shape[-2:]
        rows = torch.arange(height, device=image.device) - self.centre[0] * height
        columns = torch.arange(width, device=image.device) - self.centre[1] * width
        distance = (rows[:, None] ** 2 + columns**2) / (self.sigma * height) ** 2
        bump = (sign * torch.exp(-distance / 2)).to(image).expand_as(image)
        return bump.clone(), bump.clone()


class PixelDifference(PairMethod, PerturbationAttribution):  # type: ignore[misc]
    """Negative absolute difference, `-|A - B|`: what a method must know more than.

    Args:
        forward_func: The model, for the family's common signature; it is never called.

    >>> img_a, img_b = torch.ones(1, 1, 1, 2), torch.zeros(1, 1, 1, 2)
    >>> PixelDifference(None).attribute(img_a, img_b)[0].tolist()
    [[[[-1.0, -1.0]]]]
    """

    def _maps(self, pair: Pair, threshold: None, extra: Any) -> Pair:
        difference = -(pair[0] - pair[1]).abs()
        return difference, difference.clone()


class SensitivityControl(PairMethod, GradientAttribution):  # type: ignore[misc]
    r"""Plain gradient magnitude with the sign of the decision.

    .. math:: map = sign(s - th) \cdot |\partial s / \partial A|

    It says where the score is sensitive and nothing about what is similar. A method that does not
    beat it gains nothing from its polarity. Where the score is a cosine, the maps of one photo with
    itself are zero, with a warning: it is at its maximum.

    Args:
        forward_func: (img_a, img_b) -> scores (N,), differentiable.
        threshold: The decision threshold: a score, or a (N,) tensor with one for each pair.

    >>> control = SensitivityControl(lambda a, b: (a * b).mean((1, 2, 3)), threshold=0.3)
    >>> map_a, _ = control.attribute(torch.zeros(1, 3, 2, 2), torch.ones(1, 3, 2, 2))
    >>> map_a[0, 0, 0].tolist()
    [-0.0833333358168602, -0.0833333358168602]
    """

    options = frozenset({"against"})

    def __init__(self, forward_func: Any, threshold: float | Tensor) -> None:
        super().__init__(forward_func)
        self.threshold = threshold

    def _maps(
        self, pair: Pair, threshold: float | Tensor, extra: Any, others: Tensor | None = None
    ) -> Pair:
        with input_gradients(pair) as leaves:
            if others is None:
                scores = score_pairs(self.forward_func, leaves, extra)[:, None].expand(-1, 2)
                gradients = image_gradients(scores[:, 0], leaves, look=False)
            else:
                scores = contrast_scores(self.forward_func, leaves, others)
                gradients = image_gradients(scores.sum(1), leaves, look=False)
        map_a, map_b = (
            decision_sign(own, threshold).to(gradient) * gradient.abs()
            for own, gradient in zip(scores.detach().unbind(1), gradients, strict=True)
        )
        check_maps(torch.stack([map_a, map_b], 1))
        if others is None and hasattr(self.forward_func, "embed"):
            return zeros_at_maximum(pair, (map_a, map_b))
        return map_a, map_b


class PatchOracle(PairMethod, PerturbationAttribution):  # type: ignore[misc]
    """The true patch mask with the sign of the decision; zero on image B, which has no patches.

    It is no upper bound for DPR: pixels inside the patches differ in weight, and it does not know
    how. Its values lie in [-1, 1].

    Args:
        forward_func: (img_a, img_b) -> scores (N,).
        threshold: The decision threshold: a score, or a (N,) tensor with one for each pair.
        generator: Given, the pixels of the patches are ranked by chance, with values in (0.5, 1];
            else all are 1 and whoever ranks them breaks the ties.

    >>> control = PatchOracle(lambda a, b: torch.zeros(len(a)), threshold=0.3)
    >>> mask = torch.tensor([[[[True, False]]]])
    >>> img_a, img_b = torch.rand(2, 1, 3, 1, 2)
    >>> control.attribute(img_a, img_b, patch_mask=mask)[0][0, 0].tolist()
    [[-1.0, -0.0]]
    """

    options = frozenset({"patch_mask", "scores"})

    def __init__(
        self,
        forward_func: Any,
        threshold: float | Tensor,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(forward_func)
        check_generator(generator)
        self.threshold = threshold
        self.generator = generator

    @log_usage(part_of_slo=True)  # type: ignore[untyped-decorator]
    @step()
    def attribute(
        self,
        inputs: Tensor | Pair,
        img_b: Tensor | None = None,
        *,
        patch_mask: Tensor,
        scores: Tensor | None = None,
        target: None = None,
        additional_forward_args: Any = None,
        threshold: float | Tensor | None = None,
    ) -> Pair:
        """Point at the patches of a batch of pairs; all else as in `PairMethod.attribute`.

        Args:
            inputs, img_b, target, additional_forward_args, threshold: As there.
            patch_mask: Where image A was patched, bool, (N, 1, H, W), or (1, 1, H, W) for all
                pairs.
            scores: The pairs' scores (N,) where they are known, so that the model is not asked.
        """
        pair, level = self._checked(inputs, img_b, target, additional_forward_args, threshold)
        count, _, *size = pair[0].shape
        if not isinstance(patch_mask, Tensor):
            raise TypeError(f"patch_mask: got {type(patch_mask).__name__}; want a tensor")
        fits = patch_mask.shape in ((count, 1, *size), (1, 1, *size))
        if patch_mask.dtype != torch.bool or not fits:
            raise ValueError(
                f"patch_mask: got {patch_mask.dtype} {tuple(patch_mask.shape)}; want torch.bool "
                f"{(count, 1, *size)}"
            )
        if scores is None:
            sign = _decision(self.forward_func, pair, level, additional_forward_args)
        elif scores.shape == (count,):
            sign = decision_sign(scores, level).to(pair[0])
        else:
            raise ValueError(
                f"scores: got {tuple(scores.shape)}; want one for each pair, ({count},)"
            )
        ranks = patch_mask.to(sign)
        if self.generator is not None:
            chance = torch.rand(ranks.shape, generator=self.generator, device=self.generator.device)
            ranks = ranks * (1 - chance.to(ranks) / 2)
        return (sign * ranks).to(pair[0]).expand_as(pair[0]).clone(), torch.zeros_like(pair[1])


@torch.no_grad()
def _decision(forward_func: Any, pair: Pair, threshold: float | Tensor, extra: Any) -> Tensor:
    """+1 for pairs that match and -1 for the others, (N, 1, 1, 1)."""
    return decision_sign(score_pairs(forward_func, pair, extra), threshold)
