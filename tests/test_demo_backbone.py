from __future__ import annotations

from dataclasses import replace
from functools import cache
from importlib.resources import files

import pytest
import torch
from torch.nn import functional as F

from captum_fv.data import generated_pairs
from captum_fv.data.pairs import PairSet
from captum_fv.data.patched_pairs import patch_pairs
from captum_fv.metrics.rates import equal_error_rate, error_rates
from captum_fv.models.demo import DemoBackbone, load_demo_backbone
from captum_fv.siamese import SiameseCosine


@pytest.fixture(scope="module")
def backbone() -> DemoBackbone:
    return load_demo_backbone()


@pytest.fixture(scope="module")
def pairs() -> PairSet:
    """Pairs whose photos are painted once."""
    painted_anew = generated_pairs(200, seed=1)
    return replace(painted_anew, load=cache(painted_anew.load))


@pytest.mark.extended
@torch.no_grad()
def test_it_verifies_people_it_never_saw_and_so_does_its_xcos(
    backbone: DemoBackbone, pairs: PairSet
) -> None:
    siamese, head = SiameseCosine(backbone), backbone.patched_cosine_head
    cosines, xcos = [], []
    for img_a, img_b in pairs.batches(50):
        embeddings = [backbone((images - 0.5) / 0.5) for images in (img_a, img_b)]
        cosines.append(F.cosine_similarity(*embeddings))
        xcos.append(head(siamese.grids(img_a), siamese.grids(img_b)).score)
    assert equal_error_rate(torch.cat(cosines), pairs.genuine) <= 0.02
    assert equal_error_rate(torch.cat(xcos), pairs.genuine) <= 0.02
    assert torch.stack([torch.cat(cosines), torch.cat(xcos)]).corrcoef()[0, 1] > 0.95


def test_patches_mislead_it(backbone: DemoBackbone, pairs: PairSet) -> None:
    siamese = SiameseCosine(backbone)
    patched = patch_pairs(pairs)
    scores = [siamese(patched_a, img_b) for patched_a, _, img_b in patched.batches(50)]
    rates = error_rates(torch.cat(scores), patched.genuine, backbone.threshold)
    assert rates.fmr >= 0.25
    assert rates.fnmr >= 0.25


def test_it_stays_small() -> None:
    weights = files("captum_fv.models").joinpath("weights")
    assert len(weights.joinpath("demo.safetensors").read_bytes()) <= 2_000_000
    assert len(weights.joinpath("xcos_demo.safetensors").read_bytes()) <= 1_000_000


def test_the_grid_feeds_the_head(backbone: DemoBackbone) -> None:
    images = torch.rand(2, 3, 112, 112) * 2 - 1
    grid = backbone.features(images)
    assert grid.shape[2:] == (7, 7)
    assert torch.equal(backbone.head(grid), backbone(images))


def test_it_comes_frozen_and_in_eval_mode(backbone: DemoBackbone) -> None:
    assert not any(module.training for module in backbone.modules())
    assert not any(p.requires_grad for p in backbone.parameters())
    images = torch.zeros(1, 3, 112, 112, requires_grad=True)
    assert torch.autograd.grad(backbone(images).sum(), images)[0].abs().sum() > 0
