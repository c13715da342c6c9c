"""Five maps that explain nothing: chance, the middle, the pixels, sensitivity, true patches."""

from __future__ import annotations

from typing import Any

import torch
from captum.attr import GradientAttribution, PerturbationAttribution
from captum.log import log_usage
from torch import Tensor

from captum_fv.attr.pair import (
    Pair,
    as_pair,
    decision_sign,
    input_gradients,
    refuse_extras,
    score_pairs,
)
from captum_fv.core.checks import as_number, check_generator
from captum_fv.siamese.scoring import image_gradients


class CentrePrior(PerturbationAttribution):  # type: ignore[misc]
    r"""A fixed Gaussian bump on the centre of an aligned face, with the sign of the decision.

    .. math:: map(y, x) = \pm \exp(-((y - cy)^2 + (x - cx)^2) / 2 \sigma^2)

    It sees neither image and explains nothing: a benchmark that it wins rewards looking at the
    centre. The forward function is asked for the score alone.

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
        centre = as_number("centre", centre[0]), as_number("centre", centre[1])
        if not 0.001 <= as_number("sigma", sigma) <= 1000:
            raise ValueError(f"sigma: got {sigma}; want a share of the height, 0.001 to 1000")
        self.threshold = threshold
        self.centre = centre
        self.sigma = sigma

    @log_usage(part_of_slo=True)  # type: ignore[untyped-decorator]
    def attribute(
        self,
        inputs: Tensor | Pair,
        img_b: Tensor | None = None,
        *,
        target: None = None,
        additional_forward_args: Any = None,
        threshold: float | Tensor | None = None,
    ) -> Pair:
        """Maps in [-1, 1] for a batch of pairs; arguments and result as all methods have them."""
        img_a, img_b = as_pair(inputs, img_b)
        refuse_extras(target)
        with torch.no_grad():
            scores = score_pairs(self.forward_func, (img_a, img_b), additional_forward_args)
        sign = decision_sign(scores, self.threshold if threshold is None else threshold)
        height, width = img_a.shape[-2:]
        rows = torch.arange(height, device=img_a.device) - self.centre[0] * height
        columns = torch.arange(width, device=img_a.device) - self.centre[1] * width
        distance = (rows[:, None] ** 2 + columns**2) / (self.sigma * height) ** 2
        bump = (sign * torch.exp(-distance / 2)).to(img_a).expand_as(img_a)
        return bump.clone(), bump.clone()


class PixelDifference(PerturbationAttribution):  # type: ignore[misc]
    """Negative absolute difference, -|A - B|: a method that loses to it explains nothing.

    Args:
        forward_func: The model, for the family's common signature; it is never called.

    >>> import torch
    >>> img_a, img_b = torch.ones(1, 1, 1, 2), torch.zeros(1, 1, 1, 2)
    >>> PixelDifference(None).attribute(img_a, img_b)[0].tolist()
    [[[[-1.0, -1.0]]]]
    """

    def __init__(self, forward_func: Any) -> None:
        super().__init__(forward_func)

    @log_usage(part_of_slo=True)  # type: ignore[untyped-decorator]
    def attribute(
        self,
        inputs: Tensor | Pair,
        img_b: Tensor | None = None,
        *,
        target: None = None,
        additional_forward_args: Any = None,
    ) -> Pair:
        """Maps <= 0 for a batch of pairs; arguments and result as all methods have them."""
        img_a, img_b = as_pair(inputs, img_b)
        refuse_extras(target)
        difference = -(img_a - img_b).abs()
        return difference, difference.clone()


class RandomPairBaseline(PerturbationAttribution):  # type: ignore[misc]
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

    @log_usage(part_of_slo=True)  # type: ignore[untyped-decorator]
    def attribute(
        self,
        inputs: Tensor | Pair,
        img_b: Tensor | None = None,
        *,
        target: None = None,
        additional_forward_args: Any = None,
    ) -> Pair:
        """Draw maps for a batch of pairs; arguments and result as all methods have them."""
        img_a, img_b = as_pair(inputs, img_b)
        refuse_extras(target)
        if self.shared_order:
            generator = torch.Generator(self.generator.device)
            generator.manual_seed(self._order_seed)
            order = _draw(img_a[:1], generator)
            return order.expand_as(img_a).clone(), order.expand_as(img_b).clone()
        draws = [
            (_draw(a[None], self.generator), _draw(b[None], self.generator))
            for a, b in zip(img_a, img_b, strict=True)
        ]
        map_a, map_b = (torch.cat(side) for side in zip(*draws, strict=True))
        return map_a, map_b


def _draw(image: Tensor, generator: torch.Generator) -> Tensor:
    height, width = image.shape[-2:]
    values = torch.rand(1, 1, height, width, generator=generator, device=generator.device) * 2 - 1
    return values.to(image).expand_as(image)


class SensitivityControl(GradientAttribution):  # type: ignore[misc]
    r"""Plain gradient magnitude with the sign of the decision.

    .. math:: map = sign(s - th) \cdot |\partial s / \partial A|

    It says where the score is sensitive and nothing about what is similar. A method that does not
    beat it gains nothing from its polarity.

    Args:
        forward_func: (img_a, img_b) -> scores (N,), differentiable.
        threshold: The decision threshold: a score, or a (N,) tensor with one for each pair.

    >>> import torch
    >>> control = SensitivityControl(lambda a, b: (a * b).mean((1, 2, 3)), threshold=0.3)
    >>> map_a, _ = control.attribute(torch.zeros(1, 3, 2, 2), torch.ones(1, 3, 2, 2))
    >>> map_a[0, 0, 0].tolist()
    [-0.0833333358168602, -0.0833333358168602]
    """

    def __init__(self, forward_func: Any, threshold: float | Tensor) -> None:
        super().__init__(forward_func)
        self.threshold = threshold

    @log_usage(part_of_slo=True)  # type: ignore[untyped-decorator]
    def attribute(
        self,
        inputs: Tensor | Pair,
        img_b: Tensor | None = None,
        *,
        target: None = None,
        additional_forward_args: Any = None,
        threshold: float | Tensor | None = None,
    ) -> Pair:
        """Maps for a batch of pairs; arguments and result as all methods have them."""
        pair = as_pair(inputs, img_b)
        refuse_extras(target)
        with input_gradients(pair) as leaves:
            scores = score_pairs(self.forward_func, leaves, additional_forward_args)
            grad_a, grad_b = image_gradients(scores, leaves)
        sign = decision_sign(scores.detach(), self.threshold if threshold is None else threshold)
        sign = sign.to(grad_a)
        return sign * grad_a.abs(), sign * grad_b.abs()


class PatchOracle(PerturbationAttribution):  # type: ignore[misc]
    """The true patch mask with the sign of the decision; zero on image B, which has no patches.

    It is no upper bound for DPR: pixels inside the patches differ in weight, and it does not know
    how.

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
    def attribute(
        self,
        inputs: Tensor | Pair,
        img_b: Tensor | None = None,
        *,
        patch_mask: Tensor,
        target: None = None,
        additional_forward_args: Any = None,
        threshold: float | Tensor | None = None,
    ) -> Pair:
        """Maps in [-1, 1] for a batch of pairs; arguments and result as all methods have them.

        Args:
            patch_mask: Where image A was patched, bool, (N, 1, H, W), or (1, 1, H, W) for all
                pairs.
        """
        img_a, img_b = as_pair(inputs, img_b)
        refuse_extras(target)
        size = img_a.shape[-2:]
        if not isinstance(patch_mask, Tensor):
            raise TypeError(f"patch_mask: got {type(patch_mask).__name__}; want a tensor")
        if patch_mask.dtype != torch.bool or patch_mask.shape not in (
            (len(img_a), 1, *size),
            (1, 1, *size),
        ):
            raise ValueError(
                f"patch_mask: got {patch_mask.dtype} {tuple(patch_mask.shape)}; want torch.bool "
                f"{(len(img_a), 1, *size)}"
            )
        with torch.no_grad():
            scores = score_pairs(self.forward_func, (img_a, img_b), additional_forward_args)
        sign = decision_sign(scores, self.threshold if threshold is None else threshold)
        ranks = patch_mask.to(sign)
        if self.generator is not None:
            chance = torch.rand(ranks.shape, generator=self.generator, device=self.generator.device)
            ranks = ranks * (1 - chance.to(ranks) / 2)
        return (sign * ranks).to(img_a).expand_as(img_a).clone(), torch.zeros_like(img_b)
