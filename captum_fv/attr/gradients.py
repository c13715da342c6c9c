"""Captum's plain gradients as methods of the family, so that tables can show them."""

from __future__ import annotations

from typing import Any

from captum.attr import GradientAttribution, InputXGradient, Saliency
from torch import Tensor

from captum_fv.attr.contrast import contrast_scores
from captum_fv.attr.pair import Pair, PairMethod, input_gradients, score_pairs
from captum_fv.siamese.scoring import check_differentiable, check_gradients


class PairSaliency(PairMethod, GradientAttribution):  # type: ignore[misc]
    r"""Captum's Saliency of the score, :math:`|\partial s / \partial A|`: where it is sensitive.

    Never negative, so it takes no side; `SensitivityControl` gives it the sign of the decision.
    Costs one forward over both images and one backward.

    Args:
        forward_func: (img_a, img_b) -> scores (N,), differentiable.

    Raises:
        ValueError: Images that are no pair, or a score without a gradient.

    Reference:
        Simonyan, Vedaldi, Zisserman: Deep Inside Convolutional Networks, ICLR Workshop 2014.

    >>> import torch
    >>> saliency = PairSaliency(lambda a, b: -(a * b).sum((1, 2, 3)))
    >>> map_a, _ = saliency.attribute(torch.zeros(1, 1, 1, 2), torch.ones(1, 1, 1, 2))
    >>> map_a.flatten().tolist()
    [1.0, 1.0]
    """

    options = frozenset({"against"})

    def _maps(self, pair: Pair, threshold: None, extra: Any, others: Tensor | None = None) -> Pair:
        return _captums(Saliency, self.forward_func, pair, extra, others)


class PairInputXGradient(PairMethod, GradientAttribution):  # type: ignore[misc]
    r"""Captum's InputXGradient of the score, :math:`A \cdot \partial s / \partial A`.

    Of any sign; a black pixel gets 0 whatever it does. Costs one forward over both images and one
    backward.

    Args:
        forward_func: (img_a, img_b) -> scores (N,), differentiable.

    Raises:
        ValueError: Images that are no pair, or a score without a gradient.

    Reference:
        Shrikumar, Greenside, Shcherbina, Kundaje: Not Just a Black Box, arXiv 1605.01713, 2016.

    >>> import torch
    >>> method = PairInputXGradient(lambda a, b: -(a * b).sum((1, 2, 3)))
    >>> map_a, _ = method.attribute(torch.tensor([[[[0.0, 2.0]]]]), torch.ones(1, 1, 1, 2))
    >>> map_a.flatten().tolist()
    [-0.0, -2.0]
    """

    options = frozenset({"against"})

    def _maps(self, pair: Pair, threshold: None, extra: Any, others: Tensor | None = None) -> Pair:
        return _captums(InputXGradient, self.forward_func, pair, extra, others)


def _captums(kind: Any, forward_func: Any, pair: Pair, extra: Any, others: Tensor | None) -> Pair:
    """Both maps by a method of Captum, whose errors would speak of autograd."""
    with input_gradients(pair) as leaves:
        # Asked here and not by Captum, so that the backbone is held to one image, one embedding.
        if others is None:
            scores = score_pairs(forward_func, leaves, extra)
        else:
            scores = contrast_scores(forward_func, leaves, others).sum(1)
        check_differentiable(scores)
        map_a, map_b = kind(lambda *_: scores).attribute(leaves)
    check_gradients(map_a, map_b)
    return map_a.detach(), map_b.detach()
