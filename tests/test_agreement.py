"""Local agreement against a loop over places, and the layers that it takes its features from."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from captum_fv.attr import IntegratedArgumentGradient, LocalAgreement
from captum_fv.models import IResNet, IRNet, load_backbone
from captum_fv.siamese import SiameseCosine
from captum_fv.siamese.layers import seen_grids
from tests.support.nets import SIZE, THRESHOLD, random_pair, small_siamese
from tests.support.shared import SHARED, needs_shared


@pytest.fixture
def siamese():
    return small_siamese()


def hooks(model):
    return [len(module._forward_hooks) for module in model.modules()]


def test_equals_a_loop_over_places(siamese):
    pair = random_pair(2)
    map_a, map_b = LocalAgreement(siamese, "layers.2").attribute(pair)
    assert torch.equal(map_a, map_b)
    layers = siamese.backbone.layers[:3]
    for i in range(2):
        grids = [layers((image[i : i + 1] - 0.5) / 0.5)[0].detach().numpy() for image in pair]
        mean = np.mean([grid.mean((1, 2)) for grid in grids], axis=0)
        alike = np.empty(grids[0].shape[1:], dtype=np.float32)
        for place in np.ndindex(*alike.shape):
            a, b = (grid[:, place[0], place[1]] - mean for grid in grids)
            alike[place] = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
        expected = F.interpolate(torch.from_numpy(alike)[None, None], SIZE, mode="bilinear")
        torch.testing.assert_close(map_a[i, :1], expected[0], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("layer", [None, "layers.2", "module"])
def test_a_layer_by_name_by_module_or_found(siamese, layer):
    """The last grid of 10 by 9 for images of 20 by 18; the next one, 5 by 5, is coarser."""
    wanted = siamese.backbone.layers[2] if layer == "module" else layer
    before = hooks(siamese)
    maps = LocalAgreement(siamese, wanted).attribute(random_pair(2))
    assert torch.equal(maps[0], LocalAgreement(siamese, "layers.2").attribute(random_pair(2))[0])
    assert hooks(siamese) == before


@pytest.mark.parametrize("layer", ["no", "layers.6", nn.ReLU()], ids=["no", "flat", "foreign"])
def test_a_layer_that_gives_no_grid_is_named_and_hooks_are_gone(siamese, layer):
    before = hooks(siamese)
    with pytest.raises(ValueError, match="layer"):
        LocalAgreement(siamese, layer).attribute(random_pair(2))
    assert hooks(siamese) == before


def test_hooks_are_gone_after_an_error_of_the_model(siamese):
    before = hooks(siamese)
    with pytest.raises(ValueError, match="cannot take"):
        LocalAgreement(siamese).attribute(random_pair(2, size=(9, 9)))
    assert hooks(siamese) == before


@pytest.mark.parametrize(
    "build",
    [lambda: IResNet((1, 1, 1, 1)), lambda: IRNet((1, 1, 1, 1), squeeze=True)],
    ids=["iresnet", "ir-se"],
)
def test_squeezed_channels_are_no_coarse_grid(build):
    siamese = SiameseCosine(build().eval())
    with torch.no_grad(), seen_grids(siamese.backbone, (112, 112)) as grids:
        siamese.embed_images(torch.rand(2, 3, 112, 112))
    assert grids.grid.shape[2:] == (28, 28)


def test_an_exported_program_runs_node_by_node(siamese):
    images = torch.rand(4, 3, *SIZE)
    shapes = ({0: torch.export.Dim("batch", min=1)},)
    program = torch.export.export(siamese.backbone, (images,), dynamic_shapes=shapes)
    exported = SiameseCosine(program, mean=0.5, std=0.5)
    pair = random_pair(2)
    forward = exported.backbone.forward
    torch.testing.assert_close(
        LocalAgreement(exported).attribute(pair)[0], LocalAgreement(siamese).attribute(pair)[0]
    )
    assert exported.backbone.forward == forward
    torch.testing.assert_close(exported(*pair), siamese(*pair))
    torch.testing.assert_close(  # sanity checks work on deep copies
        LocalAgreement(copy.deepcopy(exported)).attribute(pair)[0],
        LocalAgreement(siamese).attribute(pair)[0],
    )


def test_a_scripted_program_shows_no_layers(siamese):
    traced = torch.jit.trace(siamese.backbone, torch.rand(2, 3, *SIZE))
    with pytest.raises(ValueError, match="scripted program"):
        LocalAgreement(SiameseCosine(traced, mean=0.5, std=0.5)).attribute(random_pair(2))


def test_the_decision_map_times_agreement(siamese):
    pair = random_pair(4)
    threshold = float(siamese(*pair).detach().median())
    options = {"batch_size": 3, "threshold": threshold}
    plain = IntegratedArgumentGradient(siamese, **options).attribute(pair)
    both = IntegratedArgumentGradient(siamese, agreement=0.5, **options).attribute(pair)
    alike, _ = LocalAgreement(siamese).attribute(pair)
    low, high = alike.amin((1, 2, 3), keepdim=True), alike.amax((1, 2, 3), keepdim=True)
    share = (alike - low) / (high - low)
    match = (siamese(*pair) >= threshold)[:, None, None, None]
    share = torch.where(match, share, 1 - share)
    for side in (0, 1):
        torch.testing.assert_close(both[side], plain[side] * share**0.5, atol=1e-7, rtol=1e-3)


def test_agreement_takes_no_second_forward(siamese):
    calls = []
    pair = random_pair(2)
    siamese(*pair)
    siamese.backbone.register_forward_hook(lambda *_: calls.append(1))
    for agreement in (0.0, 0.5):
        IntegratedArgumentGradient(siamese, THRESHOLD, agreement=agreement).attribute(pair)
    assert calls == [1] * (len(calls) // 2) * 2
    counts = len(calls)
    IntegratedArgumentGradient(siamese, THRESHOLD, agreement=0.5).attribute(pair)
    assert len(calls) - counts == counts // 2


def test_agreement_is_of_the_decision():
    with pytest.raises(ValueError, match="of the decision map"):
        IntegratedArgumentGradient(small_siamese(), THRESHOLD, "polarity", agreement=0.5)


@needs_shared
def test_a_real_exported_model_has_its_early_grid():
    backbone = load_backbone(SHARED / "models" / "edgeface_xxs.pt2", mean=0.5, std=0.5)
    siamese = SiameseCosine(backbone)
    with torch.no_grad(), seen_grids(backbone, (112, 112)) as grids:
        siamese.embed_images(torch.rand(2, 3, 112, 112))
    assert grids.grid.shape == (2, 24, 28, 28)
