"""What Captum's methods need from a pair, and PReLU as two ReLUs."""

import captum.attr as captum
import pytest
import torch
from torch import nn

from captum_fv.attr.captum_tools import (
    one_sided_baselines,
    pair_feature_masks,
    pair_grad_cam,
    split_layer_maps,
)
from captum_fv.siamese import PartnerView, SiameseCosine
from captum_fv.siamese.prelu import unfold_prelu
from tests.support.nets import random_pair, small_siamese


@pytest.fixture
def pair():
    return random_pair(3)


@pytest.fixture
def siamese():
    return small_siamese()


QUARTERS = (torch.arange(20)[:, None] // 10 * 2 + torch.arange(18) // 9)[None, None]


def test_a_feature_is_ablated_in_one_image_alone(siamese, pair):
    masks = pair_feature_masks(QUARTERS)
    maps = captum.FeatureAblation(siamese).attribute(pair, feature_mask=masks)
    for side in (0, 1):
        for feature in range(4):
            where = QUARTERS[0, 0] == feature
            ablated = [image.clone() for image in pair]
            ablated[side][:, :, where] = 0
            drop = (siamese(*pair) - siamese(*ablated)).detach()
            expected = drop[:, None, None].expand(-1, 3, int(where.sum()))
            torch.testing.assert_close(maps[side][:, :, where], expected)


def test_masks_of_two_kinds(pair):
    halves = torch.arange(20).reshape(1, 1, 20, 1) // 10
    mask_a, mask_b = pair_feature_masks(halves + 3, QUARTERS.int() + 7)
    assert mask_a.unique().tolist() == [3, 4]
    assert mask_b.unique().tolist() == [5, 6, 7, 8]
    with pytest.raises(ValueError, match="as an integer"):
        pair_feature_masks(halves.float())


def test_one_sided_baselines_explain_the_score_that_one_image_adds(siamese, pair):
    base_a, base_b = one_sided_baselines(*pair, value=0.4)
    ig = captum.IntegratedGradients(siamese)
    map_a, still_b = ig.attribute(pair, baselines=base_a, n_steps=100)
    still_a, map_b = ig.attribute(pair, baselines=base_b, n_steps=100)
    assert not still_a.any()
    assert not still_b.any()
    grey = torch.full_like(pair[0], 0.4)
    for mapped, without in ((map_a, siamese(grey, pair[1])), (map_b, siamese(pair[0], grey))):
        added = (siamese(*pair) - without).detach()
        torch.testing.assert_close(mapped.sum((1, 2, 3)), added, atol=3e-3, rtol=0)
    view = captum.IntegratedGradients(PartnerView(siamese)).attribute(
        pair[0],
        baselines=grey,
        additional_forward_args=siamese.embed_images(pair[1]),
        n_steps=100,
    )
    torch.testing.assert_close(view, map_a)


def test_a_baseline_may_be_a_photo_and_is_never_the_callers_tensor(pair):
    mean_face = pair[0].mean(0, keepdim=True)
    (base_a, held_b), (held_a, base_b) = one_sided_baselines(*pair, value=mean_face)
    assert torch.equal(base_a[2], mean_face[0])
    assert torch.equal(held_a, pair[0])
    assert torch.equal(held_b, pair[1])
    base_b.zero_()
    assert mean_face.any()


def test_layer_maps_are_split_by_image(siamese, pair):
    layer = siamese.backbone.layers[3]
    map_a, map_b = split_layer_maps(captum.LayerActivation(siamese, layer).attribute(pair))
    for mapped, image in zip((map_a, map_b), pair, strict=True):
        torch.testing.assert_close(mapped, siamese.backbone.layers[:4]((image - 0.5) / 0.5))
    with pytest.raises(ValueError, match=r"want \(2N, \.\.\.\)"):
        split_layer_maps(torch.zeros(3, 4))


@pytest.mark.parametrize("relu", [False, True])
def test_grad_cam_is_its_formula(siamese, pair, relu):
    layers = siamese.backbone.layers
    maps = pair_grad_cam(siamese, layers[3], *pair, relu=relu)
    grids = [layers[:4]((image - 0.5) / 0.5).detach().requires_grad_() for image in pair]
    u, v = (nn.functional.normalize(layers[4:](grid)) for grid in grids)
    gradients = torch.autograd.grad((u * v).sum(), grids)
    for mapped, grid, gradient, image in zip(maps, grids, gradients, pair, strict=True):
        expected = (gradient.mean((2, 3), keepdim=True) * grid).sum(1, keepdim=True).detach()
        expected = expected.relu() if relu else expected
        expected = nn.functional.interpolate(expected, size=image.shape[2:], mode="bilinear")
        torch.testing.assert_close(mapped, expected)


def test_grad_cam_wants_a_grid(siamese, pair):
    with pytest.raises(ValueError, match="want a grid"):
        pair_grad_cam(siamese, siamese.backbone.layers[-1], *pair)


class Flipped(nn.Module):
    """Adds the embedding of the mirrored image, from one call, as some test protocols do."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, images):
        return sum(self.net(torch.cat([images, images.flip(-1)])).chunk(2))


def test_grad_cam_wants_each_image_once(siamese, pair):
    flipped = SiameseCosine(Flipped(siamese.backbone).eval(), mean=0.5, std=0.5)
    with pytest.raises(ValueError, match="takes each image once"):
        pair_grad_cam(flipped, siamese.backbone.layers[3], *pair)


def test_grad_cam_of_an_exported_program_is_an_error(siamese, pair):
    program = torch.export.export(siamese.backbone, (torch.cat(pair),))
    exported = SiameseCosine(program, mean=0.5, std=0.5)
    with pytest.raises(ValueError, match="no gradient of the score reaches this Module"):
        pair_grad_cam(exported, exported.backbone.layers, *pair)


@pytest.mark.parametrize("slopes", [1, 8])
def test_unfolded_prelu_computes_the_same_on_the_same_weights(pair, slopes):
    siamese = small_siamese()
    siamese.backbone.layers[2] = nn.PReLU(slopes).eval()
    siamese.backbone.layers[2].weight.data.uniform_(-0.5, 1.5)
    unfolded = unfold_prelu(siamese)
    assert isinstance(unfolded, SiameseCosine)
    assert not any(isinstance(module, nn.PReLU) for module in unfolded.modules())
    assert isinstance(siamese.backbone.layers[2], nn.PReLU)
    torch.testing.assert_close(unfolded(*pair), siamese(*pair))
    theirs = {id(weight) for weight in unfolded.parameters()}
    assert theirs == {id(weight) for weight in siamese.parameters()}
    with pytest.raises(ValueError, match=r"no nn\.PReLU"):
        unfold_prelu(unfolded)


def test_deep_lift_on_unfolded_prelu_is_exact():
    # Between images, a chain of linear maps and activations obeys the rescale rule to the letter.
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 6), nn.PReLU(6), nn.Linear(6, 1)).eval()
    x, base = torch.randn(2, 5, 4)
    attributions = captum.DeepLift(unfold_prelu(net)).attribute(x, base)
    hidden, hidden_base = net[0](x), net[0](base)
    slope = (net[1](hidden) - net[1](hidden_base)) / (hidden - hidden_base)
    expected = (x - base) * ((slope * net[2].weight) @ net[0].weight)
    torch.testing.assert_close(attributions, expected)
    folded = captum.DeepLift(net).attribute(x, base)
    assert not torch.allclose(folded, expected, rtol=0.1)


@pytest.mark.parametrize("name", ["GuidedBackprop", "Deconvolution"])
def test_guided_backprop_on_unfolded_prelu_is_its_formula(name):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 6), nn.PReLU(6, 0.3), nn.Linear(6, 1)).eval()
    x = torch.randn(5, 4)
    hidden = net[0](x)
    up, down = (hidden > 0).float(), (hidden < 0).float()
    if name == "Deconvolution":  # which does not look at what was rectified
        up = down = torch.ones_like(hidden)
    arriving = net[2].weight
    expected = (up * arriving.relu() - down * (-0.3 * arriving).relu()) @ net[0].weight
    torch.testing.assert_close(getattr(captum, name)(unfold_prelu(net)).attribute(x), expected)
