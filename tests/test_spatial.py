"""The exact decomposition against weights taken out of the heads, and what it refuses."""

import pytest
import torch
from torch import nn

from captum_fv.attr import spatial_decomposition
from captum_fv.models import IResNet, load_backbone
from captum_fv.siamese import SiameseCosine
from tests.support.nets import random_pair, small_siamese


class Pooled(nn.Module):
    """Average pooling and a linear layer, with a bias or without."""

    def __init__(self, bias=True):
        super().__init__()
        self.grid = nn.Conv2d(3, 6, 5, stride=5)
        self.fc = nn.Linear(6, 4, bias=bias)

    def features(self, images):
        return self.grid(images)

    def head(self, grid):
        return self.fc(grid.mean((2, 3)))

    def forward(self, images):
        return self.head(self.features(images))


class Curved(Pooled):
    def head(self, grid):
        return super().head(grid).tanh()


def built(backbone):
    torch.manual_seed(3)
    backbone = backbone()
    for module in backbone.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.running_mean.uniform_(-0.5, 0.5)
            module.running_var.uniform_(0.5, 1.5)
            module.bias.data.uniform_(-0.5, 0.5)
    return SiameseCosine(backbone.eval(), mean=0.5, std=0.5)


@pytest.mark.parametrize(
    ("backbone", "size", "places"),
    [
        (lambda: load_backbone("demo"), (112, 112), 49),
        (lambda: IResNet((1, 1, 1, 1)), (112, 112), 49),
        (Pooled, (20, 15), 12),
    ],
    ids=["demo", "iresnet", "pooled"],
)
def test_the_parts_sum_to_the_cosine(backbone, size, places):
    siamese, pair = built(backbone), random_pair(2, size=size)
    parts = spatial_decomposition(siamese, pair)
    assert parts.shape == (2, 1 + places, 1 + places)
    torch.testing.assert_close(parts.sum((1, 2)).float(), siamese(*pair), atol=1e-5, rtol=0)
    assert parts[:, 0].abs().max() > 1e-4  # the bias counts
    swapped = spatial_decomposition(siamese, pair[::-1])
    torch.testing.assert_close(swapped, parts.transpose(1, 2), atol=1e-6, rtol=1e-4)


def test_equals_the_published_formula_of_average_pooling():
    """R_ij = <W f_i, W f'_j> / (n^2 |W m| |W m'|), m the mean over places."""
    siamese, pair = built(lambda: Pooled(bias=False)), random_pair(1)
    weight = siamese.backbone.fc.weight.double()
    f, g = (siamese.grids(image)[0].flatten(1).double() for image in pair)
    lengths = (weight @ f.mean(1)).norm() * (weight @ g.mean(1)).norm()
    parts = spatial_decomposition(siamese, *pair)[0]
    for i, j in ((0, 0), (2, 5), (11, 7)):
        expected = (weight @ f[:, i]) @ (weight @ g[:, j]) / (f.shape[1] ** 2 * lengths)
        torch.testing.assert_close(parts[1 + i, 1 + j], expected, atol=1e-7, rtol=1e-5)
    assert not parts[0].any()


def test_equals_the_weights_of_a_flattened_head():
    """The linear layer's columns of one place, with the batch norm folded into them."""
    siamese = built(lambda: load_backbone("demo"))
    pair = random_pair(1, size=(112, 112))
    _, linear, norm = siamese.backbone.head
    scale = (norm.weight / (norm.running_var + norm.eps).sqrt()).double()
    weight = scale[:, None] * linear.weight.double()
    bias = norm.bias.double() - scale * norm.running_mean.double()
    of_place = weight.reshape(-1, 80, 7, 7)
    rows = []
    for image in pair:
        grid = siamese.grids(image)[0].double()
        parts = [bias, *(of_place[:, :, k // 7, k % 7] @ grid[:, k // 7, k % 7] for k in range(49))]
        rows.append(torch.stack(parts))
    a, b = (parts / parts.sum(0).norm() for parts in rows)
    decomposed = spatial_decomposition(siamese, *pair)[0]
    torch.testing.assert_close(decomposed, a @ b.T, atol=1e-6, rtol=1e-4)


def test_other_heads_are_named():
    with pytest.raises(TypeError, match="no head"):
        spatial_decomposition(small_siamese(), random_pair())
    with pytest.raises(ValueError, match="not affine"):
        spatial_decomposition(built(Curved), random_pair())
    with pytest.raises(TypeError, match="embeddings"):
        spatial_decomposition(lambda a, b: a, random_pair())
