"""Grad-CAM of a pair against Captum's own, and the layers that it takes."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from captum_fv.attr import PairGradCam, pair_grad_cam
from captum_fv.models import IResNet, load_backbone
from captum_fv.siamese import SiameseCosine
from captum_fv.siamese.layers import seen_grids
from tests.support.nets import random_pair, small_siamese
from tests.support.shared import SHARED, needs_shared


def hooks(model):
    return [len(module._forward_hooks) for module in model.modules()]


@pytest.mark.parametrize("layer", [None, "layers.4", "module"])
def test_equals_captums_on_a_layer_found_by_name_or_by_module(layer):
    """The last grid is that of 5 by 5, after its activation."""
    siamese, pair = small_siamese(), random_pair(3)
    expected = pair_grad_cam(siamese, siamese.backbone.layers[4], *pair)
    before = hooks(siamese)
    wanted = siamese.backbone.layers[4] if layer == "module" else layer
    maps = PairGradCam(siamese, wanted).attribute(pair)
    assert hooks(siamese) == before
    assert expected[0].min() < 0 < expected[0].max()
    for mapped, theirs in zip(maps, expected, strict=True):
        torch.testing.assert_close(mapped, theirs.expand_as(mapped))


def test_equals_a_loop_over_channels():
    siamese, pair = small_siamese(), random_pair(1)
    layers = siamese.backbone.layers
    grid = layers[:2]((pair[0] - 0.5) / 0.5).detach().requires_grad_()
    u = nn.functional.normalize(layers[2:](grid))
    (gradient,) = torch.autograd.grad((u * siamese.embed_images(pair[1]).detach()).sum(), grid)
    cam = torch.zeros(10, 9)
    for k in range(8):
        cam += float(gradient[0, k].sum()) / 90 * grid[0, k].detach()
    expected = nn.functional.interpolate(cam[None, None], (20, 18), mode="bilinear")
    map_a, _ = PairGradCam(siamese, "layers.1").attribute(pair)
    torch.testing.assert_close(map_a, expected.expand_as(map_a))


@pytest.mark.parametrize("weights_need_gradients", [False, True])
def test_an_exported_program_gives_the_same(weights_need_gradients):
    siamese, pair = small_siamese(), random_pair(2)
    siamese.requires_grad_(weights_need_gradients)
    count = torch.export.Dim("count", min=1, max=64)
    example = (torch.rand(2, 3, 20, 18),)
    program = torch.export.export(siamese.backbone, example, dynamic_shapes=({0: count},))
    maps = PairGradCam(SiameseCosine(program, mean=0.5, std=0.5)).attribute(pair)
    torch.testing.assert_close(maps, PairGradCam(siamese).attribute(pair))


@pytest.mark.parametrize("layer", ["no", "layers.6", nn.ReLU()], ids=["no", "flat", "foreign"])
def test_a_layer_that_gives_no_grid_is_named_and_hooks_are_gone(layer):
    siamese = small_siamese()
    before = hooks(siamese)
    with pytest.raises(ValueError, match="layer"):
        PairGradCam(siamese, layer).attribute(random_pair(1))
    assert hooks(siamese) == before


class Flipped(nn.Module):
    """Adds the embedding of the mirrored image, from one call, as some test protocols do."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, images):
        return sum(self.net(torch.cat([images, images.flip(-1)])).chunk(2))


class Aside(nn.Module):
    """Computes a grid that its embedding does not come from."""

    def __init__(self, net):
        super().__init__()
        self.net = net
        self.aside = nn.Conv2d(3, 2, 3)

    def forward(self, images):
        self.aside(images)
        return self.net(images)


@pytest.mark.parametrize(
    ("kind", "layer", "says"),
    [(Flipped, None, "takes each image once"), (Aside, "aside", "no gradient of the score")],
)
def test_a_layer_of_other_images_or_without_a_gradient_is_named(kind, layer, says):
    siamese = SiameseCosine(kind(small_siamese().backbone).eval(), mean=0.5, std=0.5)
    with pytest.raises(ValueError, match=says):
        PairGradCam(siamese, layer).attribute(random_pair(2))


def test_a_scripted_program_shows_no_layers():
    scripted = torch.jit.trace(small_siamese().backbone, random_pair(1)[0])
    with pytest.raises(ValueError, match="scripted program"):
        PairGradCam(SiameseCosine(scripted, 0.5, 0.5)).attribute(random_pair(1))


@pytest.mark.parametrize(
    "build", [lambda: load_backbone("demo"), lambda: IResNet((1, 1, 1, 1)).eval()]
)
def test_the_last_grid_of_recognisers(build):
    backbone = build()
    with torch.no_grad(), seen_grids(backbone, (112, 112), coarse=True) as grids:
        backbone(torch.rand(2, 3, 112, 112))
    assert grids.grid.shape[2:] == (7, 7)


@needs_shared
def test_the_last_grid_of_a_transformer_is_no_attention():
    program = torch.export.load(SHARED / "models/edgeface_xxs.pt2").module()
    with torch.no_grad(), seen_grids(program, (112, 112), coarse=True) as grids:
        program(torch.rand(2, 3, 112, 112))
    assert grids.grid.shape == (2, 168, 3, 3)
