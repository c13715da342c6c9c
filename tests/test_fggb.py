"""FGGB against a naive loop over dimensions, and by hand where the embedding is linear."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from captum_fv.attr import FeatureGuidedGradient
from captum_fv.siamese import SiameseCosine
from tests.support.nets import THRESHOLD, random_pair, small_siamese


def naive_map(siamese, image, partner, threshold, dimensions):
    """Each dimension's gradient by itself, (H, W)."""
    partner = siamese.embed_images(partner[None])[0].detach()
    image = image.clone().requires_grad_()
    embedding = siamese.embed_images(image[None])[0]
    weights = (embedding.detach() * partner - threshold / len(partner)).tolist()
    chosen = sorted(range(len(weights)), key=lambda k: -abs(weights[k]))[:dimensions]
    total = 0
    for k in chosen:
        (gradient,) = torch.autograd.grad(embedding[k], image, retain_graph=True)
        size = gradient.abs().mean(0)
        total = total + weights[k] * size / (size**2).sum().sqrt()
    return total


@pytest.mark.parametrize("batch_size", [1, 6, 64])
@pytest.mark.parametrize("dimensions", [None, 1, 5, 600])
@pytest.mark.parametrize("threshold", [-0.9, THRESHOLD])
def test_equals_the_naive_loop(threshold, dimensions, batch_size):
    siamese = small_siamese().double()
    pair = tuple(image.double() for image in random_pair(2))
    method = FeatureGuidedGradient(siamese, threshold, dimensions, batch_size=batch_size)
    maps = method.attribute(pair)
    for k in range(2):
        for side in (0, 1):
            naive = naive_map(siamese, pair[side][k], pair[1 - side][k], threshold, dimensions)
            torch.testing.assert_close(maps[side][k], naive.expand(3, -1, -1))


def test_by_hand():
    """The embedding is the image (3, 4): d u / d x = (I - u u') / |x|, u = (.6, .8), v = (1, 0)."""
    siamese = SiameseCosine(nn.Flatten().eval())
    img_a, img_b = torch.tensor([[[[3.0, 4.0]]]]), torch.tensor([[[[1.0, 0.0]]]])
    map_a, map_b = FeatureGuidedGradient(siamese, threshold=0.2).attribute((img_a, img_b))
    # Rows of I - u u' are (.64, -.48) and (-.48, .36), of lengths .8 and .6; w = (.6, 0) - .1.
    expected = 0.5 * torch.tensor([0.8, 0.6]) - 0.1 * torch.tensor([0.8, 0.6])
    torch.testing.assert_close(map_a.flatten(), expected)
    # At B the first dimension answers to nothing, and the second to the second pixel alone.
    torch.testing.assert_close(map_b.flatten(), torch.tensor([0.0, -0.1]))


class OnePixelAtATime(torch.autograd.Function):
    """An own function whose backward looks at values, which batched gradients hide."""

    @staticmethod
    def forward(ctx, images):
        return 2 * images

    @staticmethod
    def backward(ctx, gradients):
        return 2 * gradients if float(gradients.abs().sum()) >= 0 else gradients


class Own(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, images):
        return self.net(OnePixelAtATime.apply(images) / 2)


@pytest.mark.parametrize("kind", ["scripted", "exported", "own function"])
def test_programs_that_cannot_be_batched_give_the_same(kind):
    plain, pair = small_siamese(), random_pair(2)
    net = plain.backbone
    example = torch.rand(2, 3, 20, 18)
    count = torch.export.Dim("count", min=1, max=64)
    backbone = {
        "scripted": lambda: torch.jit.trace(net, example),
        "exported": lambda: torch.export.export(net, (example,), dynamic_shapes=({0: count},)),
        "own function": lambda: Own(net).eval(),
    }[kind]()
    maps = FeatureGuidedGradient(SiameseCosine(backbone, 0.5, 0.5), THRESHOLD).attribute(pair)
    expected = FeatureGuidedGradient(plain, THRESHOLD).attribute(pair)
    torch.testing.assert_close(maps, expected)


def test_costs_one_forward_and_a_backward_for_each_dimension():
    siamese, pair = small_siamese(), random_pair(1)
    siamese(*pair)  # the first call asks the backbone more often
    forwards = []
    siamese.backbone.register_forward_hook(lambda _, images, __: forwards.append(len(images[0])))
    FeatureGuidedGradient(siamese, THRESHOLD).attribute(pair)
    assert forwards == [2]


def test_what_has_no_gradient_is_named():
    siamese = small_siamese()
    siamese.backbone.register_forward_hook(lambda _, __, out: out.detach())
    with pytest.raises(ValueError, match="no gradient"):
        FeatureGuidedGradient(siamese, THRESHOLD).attribute(random_pair(1))


@pytest.mark.parametrize("settings", [{"dimensions": 0}, {"batch_size": 0}, {"dimensions": 1.5}])
def test_bad_settings_are_named(settings):
    (name,) = settings
    with pytest.raises(ValueError, match=f"{name}: got"):
        FeatureGuidedGradient(small_siamese(), THRESHOLD, **settings)
