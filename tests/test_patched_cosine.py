"""xCos against loops over its cells, and the head's file."""

import math

import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional as F

from captum_fv.attr import PatchedCosineAttribution
from captum_fv.models import (
    IRNet,
    PatchedCosineHead,
    XCosBody,
    attach_head,
    load_patched_cosine_head,
    save_patched_cosine_head,
)
from captum_fv.models.xcos.head import fingerprint
from captum_fv.siamese import SiameseCosine
from tests.support.nets import random_pair, small_head, small_siamese


def settled_head(neck=0):
    """A head whose batch norms and slopes are those of no fresh layer."""
    generator = torch.Generator().manual_seed(0)
    head = PatchedCosineHead(8, (5, 5), reduced=6, neck=neck).eval()
    for value in head.state_dict().values():
        if value.is_floating_point():
            value.uniform_(0.1, 0.6, generator=generator)
    for module in head.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.weight.data.uniform_(-0.5, 0.5, generator=generator)
    return head


def layer(x, block, first=0):
    """Convolution, batch norm and PReLU, from their definitions."""
    convolution, norm, prelu = block[first : first + 3]
    x = F.conv2d(x, convolution.weight, convolution.bias, padding=convolution.padding)
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    x = (x - norm.running_mean[:, None, None]) * scale[:, None, None] + norm.bias[:, None, None]
    slope = prelu.weight.reshape(-1, 1, 1)
    return torch.where(x > 0, x, slope * x)


def naive_xcos(head, grid_a, grid_b):
    """S, W and xCos of one pair, cell by cell."""
    necks = [layer(grid[None], head.neck) if head.neck else grid[None] for grid in (grid_a, grid_b)]
    g_a, g_b = (layer(grid, head.conv1x1) for grid in necks)
    e_a, e_b = (layer(g, head.attention.embedding_net) for g in (g_a, g_b))
    hidden = layer(torch.cat([e_a, e_b], 1), head.attention.attention)
    logits = layer(hidden, head.attention.attention, 3)[0, 0]
    total = sum(math.exp(value) for value in logits.flatten().tolist())
    similarity, weight, score = torch.zeros(5, 5), torch.zeros(5, 5), 0.0
    for i in range(5):
        for j in range(5):
            a, b = g_a[0, :, i, j], g_b[0, :, i, j]
            similarity[i, j] = (a @ b) / (a.norm() * b.norm())
            weight[i, j] = math.exp(logits[i, j]) / total
            score += similarity[i, j] * weight[i, j]
    return similarity, weight, score


@torch.no_grad()
def naive_of_pairs(siamese, head, pair):
    grids = [siamese.backbone.features((image - 0.5) / 0.5) for image in pair]
    return [naive_xcos(head, a, b) for a, b in zip(*grids, strict=True)]


@pytest.mark.parametrize("neck", [0, 7])
def test_each_cell_of_the_head(neck):
    siamese, head, pair = small_siamese(), settled_head(neck), random_pair()
    with torch.no_grad():
        result = head(*(siamese.grids(image) for image in pair))
    naive = naive_of_pairs(siamese, head, pair)
    for k, (similarity, weight, score) in enumerate(naive):
        torch.testing.assert_close(result.similarity[k], similarity)
        torch.testing.assert_close(result.weight[k], weight)
        torch.testing.assert_close(result.score[k], score)
    assert weight.std() > 0.01
    torch.testing.assert_close(result.weight.sum((1, 2)), torch.ones(4))


@pytest.mark.parametrize("symmetrise", [False, True])
@pytest.mark.parametrize("threshold", [None, 0.65])
@pytest.mark.parametrize("output", ["similarity", "weight", "contribution"])
def test_each_pixel_of_the_maps(output, threshold, symmetrise):
    siamese, head, pair = small_siamese(), settled_head(), random_pair()
    method = PatchedCosineAttribution(
        siamese, head, output, threshold=threshold, symmetrise=symmetrise
    )
    maps = method.attribute(*pair)
    scores = siamese(*pair).tolist()
    there = naive_of_pairs(siamese, head, pair)
    back = naive_of_pairs(siamese, head, pair[::-1])
    for k in range(4):
        weights = [there[k][1], back[k][1]]
        if symmetrise:
            weights = [(weights[0] + weights[1]) / 2] * 2
        for mapped, weight in zip(maps, weights, strict=True):
            expected = torch.zeros(20, 18)
            for y in range(20):
                for x in range(18):
                    cell = y * 5 // 20, x * 5 // 18
                    s, w = there[k][0][cell], weight[cell]
                    if output == "weight":
                        sign = 1 if threshold is None or scores[k] >= threshold else -1
                        expected[y, x] = sign * w
                    else:
                        s = s - (threshold or 0.0)
                        expected[y, x] = s if output == "similarity" else s * w
            torch.testing.assert_close(mapped[k], expected.expand(3, 20, 18))
    assert min(scores) < 0.65 <= max(scores)


def test_contributions_add_up_to_the_margin():
    siamese, head, pair = small_siamese(), settled_head(), random_pair(size=(20, 20))
    method = PatchedCosineAttribution(siamese, head, "contribution", threshold=0.2)
    map_a, _ = method.attribute(*pair)
    with torch.no_grad():
        score = head(*(siamese.grids(image) for image in pair)).score
    cell_sums = map_a[:, 0, ::4, ::4].sum((1, 2))
    torch.testing.assert_close(cell_sums, score - 0.2)


def test_the_published_projection_fits():
    body, head = XCosBody().eval(), PatchedCosineHead(512, (7, 7)).eval()
    head.conv1x1.load_state_dict(body.conv1x1.state_dict(), strict=True)
    grid = torch.rand(2, 512, 7, 7)
    torch.testing.assert_close(head.project(grid), body.project(grid))


@pytest.mark.parametrize("neck", [0, 7])
def test_a_head_comes_back_from_its_file(neck, tmp_path):
    head, path = settled_head(neck), tmp_path / "head.safetensors"
    save_patched_cosine_head(head, path)
    loaded = load_patched_cosine_head(path)
    assert (loaded.channels, loaded.size, loaded.reduced) == (8, (5, 5), 6)
    assert not loaded.training
    assert not any(p.requires_grad for p in loaded.parameters())
    for name, value in head.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value)


def test_a_backbone_takes_its_own_head_alone(tmp_path):
    siamese, path = small_siamese(), tmp_path / "head.safetensors"
    save_patched_cosine_head(settled_head(), path, fingerprint(siamese.backbone))
    weights = list(siamese.state_dict())
    attach_head(siamese.backbone, path)
    assert list(siamese.state_dict()) == weights
    assert PatchedCosineAttribution(siamese).attribute(*random_pair())[0].shape == (4, 3, 20, 18)
    with pytest.raises(ValueError, match="trained over another backbone"):
        attach_head(small_siamese(seed=1).backbone, path)


def test_files_that_are_no_head_are_named(tmp_path):
    path = tmp_path / "other.safetensors"
    with pytest.raises(FileNotFoundError, match="no such file"):
        load_patched_cosine_head(path)
    path.write_bytes(b"no head")
    with pytest.raises(ValueError, match=r"other\.safetensors: no xCos head"):
        load_patched_cosine_head(path)
    save_file({"weight": torch.zeros(3)}, path)
    with pytest.raises(ValueError, match="xcos-train"):
        load_patched_cosine_head(path)


def test_wrong_calls_are_named():
    siamese, pair = small_siamese(), random_pair()
    with pytest.raises(TypeError, match="captum-fv xcos-train"):
        PatchedCosineAttribution(siamese)
    with pytest.raises(TypeError, match=r"SiameseCosine\(backbone\)"):
        PatchedCosineAttribution(lambda a, b: a, small_head())
    with pytest.raises(ValueError, match="'similarity', 'weight', 'contribution'"):
        PatchedCosineAttribution(siamese, small_head(), "S")
    with pytest.raises(ValueError, match=r"grid is \(8, 8, 5, 5\); this xCos head wants"):
        PatchedCosineAttribution(siamese, PatchedCosineHead(8, (7, 7)).eval()).attribute(*pair)
    with pytest.raises(ValueError, match=r"head\.eval\(\)"):
        PatchedCosineAttribution(siamese, small_head().train()).attribute(*pair)
    broken = small_head()
    broken.conv1x1[0].weight.data.fill_(float("nan"))
    with pytest.raises(ValueError, match="what the xCos head gave: holds values that are NaN"):
        PatchedCosineAttribution(siamese, broken).attribute(*pair)
    with pytest.raises(ValueError, match="channels: got 0"):
        PatchedCosineHead(0, (7, 7))
    with pytest.raises(ValueError, match="neck: got -1"):
        PatchedCosineHead(8, (7, 7), neck=-1)
    flat = SiameseCosine(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(1080, 4)).eval())
    with pytest.raises(TypeError, match="no spatial grid"):
        PatchedCosineAttribution(flat, small_head()).attribute(*pair)
    flat.backbone.features = lambda images: images.flatten(1)
    with pytest.raises(ValueError, match=r"features gave \(8, 1080\)"):
        PatchedCosineAttribution(flat, small_head()).attribute(*pair)


def test_every_backbone_of_the_zoo_shows_its_grid():
    siamese = SiameseCosine(IRNet((1, 1, 1, 1)).eval())
    assert siamese.grids(torch.rand(1, 3, 112, 112)).shape == (1, 512, 7, 7)
