"""A pair's model and its reference: two copies that share nothing, which no hook can mix up."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from captum.attr._utils.lrp_rules import IdentityRule
from torch import Tensor, nn

from captum_fv.attr.captum_tools import pair_feature_masks
from captum_fv.siamese import PartnerView, SiameseCosine
from captum_fv.siamese.prelu import unfold_prelu
from tests.support.nets import SIZE, random_pair


class Net(nn.Module):
    """A small backbone of the modules that face models are made of."""

    def __init__(self, activation: type[nn.Module]) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 6, 3, stride=2, padding=1),
            nn.BatchNorm2d(6),
            activation(),
            nn.MaxPool2d(2),
            nn.Conv2d(6, 6, 3, padding=1),
            activation(),
        )
        self.head = nn.Linear(6 * 5 * 4, 8)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.body(images).flatten(1))


class Twin(nn.Module):
    """The cosine of a pair by two copies that share nothing, so that no hook sees both images."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.sides = nn.ModuleList(copy.deepcopy(backbone) for _ in range(2))
        self.layers = [side.body[4] for side in self.sides]

    def forward(self, img_a: Tensor, img_b: Tensor) -> Tensor:
        u, v = (side((x - 0.5) / 0.5) for side, x in zip(self.sides, (img_a, img_b), strict=True))
        return (F.normalize(u) * F.normalize(v)).sum(1)


class Single(nn.Module):
    """The cosine of one image with an embedding, by a copy of the backbone."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.side = copy.deepcopy(backbone)
        self.layers = [self.side.body[4]]

    def forward(self, image: Tensor, embedding: Tensor) -> Tensor:
        return (F.normalize(self.side((image - 0.5) / 0.5)) * F.normalize(embedding)).sum(1)


class Grids(nn.Module):
    """The sum of both images' grids by two copies: what a neuron of a pair's layer stands for."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.sides = nn.ModuleList(copy.deepcopy(backbone.body[:5]) for _ in range(2))
        self.total = nn.Identity()
        self.layers = [self.total]

    def forward(self, img_a: Tensor, img_b: Tensor) -> Tensor:
        grid_a, grid_b = (
            side((x - 0.5) / 0.5) for side, x in zip(self.sides, (img_a, img_b), strict=True)
        )
        return self.total(grid_a + grid_b)


@dataclass(frozen=True)
class Subject:
    """A model to explain and what its calls need."""

    model: nn.Module
    layers: list[nn.Module]  # before the last activation, so that its rule matters
    inputs: Any
    baselines: Any
    several_baselines: Any
    feature_mask: Any
    extra: Any = None

    def each(self, value: Any) -> Any:
        """The value once for each input."""
        return (value, value) if isinstance(self.inputs, tuple) else value

    @property
    def halves(self) -> Any:
        """A mask of half as many features, for a method whose cost is their factorial."""
        mask = self.feature_mask
        return tuple(m // 2 for m in mask) if isinstance(mask, tuple) else mask // 2


def subjects(kind: str, viewed: bool) -> tuple[Subject, dict[str, Subject]]:
    """What is tested, and what it must equal: for methods of images, layers, neurons and LRP."""
    torch.manual_seed(0)
    backbone = Net(nn.ReLU if kind == "ReLU" else nn.PReLU).eval()
    backbone.body[1].running_mean.uniform_(-0.1, 0.1)
    backbone.body[1].running_var.uniform_(0.5, 1.5)
    relevant = copy.deepcopy(backbone)
    for module in relevant.modules():
        if isinstance(module, nn.PReLU):
            module.rule = IdentityRule()
    plain = backbone if kind == "ReLU" else unfold_prelu(backbone)
    if kind == "PReLU unfolded":
        backbone = plain
    siamese = SiameseCosine(backbone, mean=0.5, std=0.5)
    img_a, img_b = random_pair(2)
    rows, columns = torch.arange(SIZE[0]) // 10, torch.arange(SIZE[1]) // 9
    mask = (rows[:, None] * 2 + columns).repeat(1, 3, 1, 1)
    several = random_pair(3, seed=5)
    tested: nn.Module
    if viewed:
        values = (img_a, torch.zeros_like(img_a), several[0], mask, (siamese.embed_images(img_b),))
        tested, twin, neurons, relevance = (
            PartnerView(siamese),
            Single(plain),
            Single(plain),
            Single(relevant),
        )
    else:
        baselines = (torch.zeros_like(img_a), torch.full_like(img_b, 0.3))
        values = ((img_a, img_b), baselines, several, pair_feature_masks(mask))
        tested, twin, neurons, relevance = siamese, Twin(plain), Grids(plain), Twin(relevant)
    expected = {
        what: Subject(model, model.layers, *values)
        for what, model in (
            ("image", twin),
            ("layer", twin),
            ("neuron", neurons),
            ("relevance", relevance),
        )
    }
    return Subject(tested, [backbone.body[4]], *values), expected
