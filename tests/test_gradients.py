"""Saliency and input times gradient of a pair against autograd."""

from __future__ import annotations

import pytest
import torch

from captum_fv.attr import PairInputXGradient, PairSaliency
from tests.support.nets import random_pair, small_siamese

FORMULAS = {
    PairSaliency: lambda image, gradient: gradient.abs(),
    PairInputXGradient: lambda image, gradient: image * gradient,
}
both = pytest.mark.parametrize(("kind", "formula"), FORMULAS.items())


@both
def test_is_its_formula(kind, formula):
    siamese, pair = small_siamese(), random_pair(3)
    leaves = tuple(image.clone().requires_grad_() for image in pair)
    gradients = torch.autograd.grad(siamese(*leaves).sum(), leaves)
    maps = kind(siamese).attribute(pair)
    for mapped, image, gradient in zip(maps, pair, gradients, strict=True):
        torch.testing.assert_close(mapped, formula(image, gradient))


@both
def test_any_forward_function_and_what_it_takes_besides(kind, formula):
    img_a, img_b = random_pair(2)
    weight = torch.tensor([2.0, -3.0])

    def score(a, b, scale):
        return scale * (a * b).sum((1, 2, 3))

    map_a, _ = kind(score).attribute((img_a, img_b), additional_forward_args=weight)
    gradient = weight.reshape(2, 1, 1, 1) * img_b
    torch.testing.assert_close(map_a, formula(img_a, gradient))


@both
def test_what_has_no_gradient_is_named(kind, formula):
    with pytest.raises(ValueError, match="no gradient of the score reaches the images"):
        kind(lambda a, b: (a * b).sum((1, 2, 3)).detach()).attribute(random_pair(1))
