"""Pair interactions against one large least squares fit, and what R2, regions and picture say."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from captum_fv.attr import PairInteraction, Regions, grid_regions
from captum_fv.attr.smoothing import smooth
from captum_fv.metrics import HiddenCells, interaction_share
from captum_fv.report import plot_links
from tests.support.nets import SIZE, THRESHOLD, random_pair, small_siamese

HELD = 32


@pytest.fixture
def siamese():
    return small_siamese()


class Affine(nn.Module):
    """A model whose embeddings are affine in the pixels and not of unit length."""

    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(5)
        self.weight = torch.randn(3 * SIZE[0] * SIZE[1], 6, generator=generator) / 30

    def embed_images(self, images: Tensor) -> Tensor:
        return images.flatten(1) @ self.weight + 0.2

    def embed(self, img_a: Tensor, img_b: Tensor) -> tuple[Tensor, Tensor]:
        return self.embed_images(img_a), self.embed_images(img_b)


def naive(siamese, pair, masks, labels, fills):
    """Scores of all pairs of masks, one call for each, and their products [1 z] x [1 z']."""
    scores, rows = [], []
    for z in masks:
        for w in masks:
            faces = []
            for image, fill, kept in zip(pair, fills, (z, w), strict=True):
                face = image.clone()
                for cell in range(labels.max() + 1):
                    if not kept[cell]:
                        where = torch.from_numpy(labels == cell)
                        face[0][:, where] = fill[0][:, where]
                faces.append(face)
            scores.append(siamese(*faces).item())
            rows.append(np.outer([1, *z], [1, *w]).ravel())
    return np.array(scores), np.array(rows, dtype=np.float64)


def drawn_masks(count, cells, keep, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(count + HELD, cells, generator=generator) < keep).numpy()


@pytest.mark.parametrize("weights", ["banzhaf", "adds_up"])
def test_equals_one_fit_of_all_pairs_of_masks(siamese, weights):
    pair, grid = random_pair(1), (2, 2)
    method = PairInteraction(siamese, grid, keep=0.6, weights=weights, masks=14)
    (found,) = method.explain(pair)
    masks = drawn_masks(14, 4, 0.6)[:14].astype(float)
    weight = np.ones(len(masks))
    if weights == "adds_up":
        masks = np.vstack([np.ones(4), np.zeros(4), masks])
        weight = np.array([1e7, 1e7, *weight])
    labels = grid_regions(SIZE, grid).labels
    fills = [smooth(image, 8 / 112 * SIZE[0]) for image in pair]
    with torch.no_grad():
        scores, rows = naive(siamese, pair, masks, labels, fills)
    root = np.sqrt(np.outer(weight, weight).ravel())
    expected = np.linalg.lstsq(rows * root[:, None], scores * root, rcond=None)[0]
    np.testing.assert_allclose(found.effects.ravel(), expected, atol=1e-5)
    assert found.score == pytest.approx(siamese(*pair).item(), abs=1e-6)
    assert found.base == found.effects[0, 0]
    np.testing.assert_array_equal(found.links, found.effects[1:, 1:])


def test_r2_is_of_masks_that_were_not_fitted(siamese):
    pair, grid, keep = random_pair(1), (2, 2), 0.6
    (found,) = PairInteraction(siamese, grid, keep=keep, masks=14).explain(pair)
    masks = drawn_masks(14, 4, keep).astype(float)
    labels = grid_regions(SIZE, grid).labels
    fills = [smooth(image, 8 / 112 * SIZE[0]) for image in pair]
    with torch.no_grad():
        fitted, design = naive(siamese, pair, masks[:14], labels, fills)
        scores, unseen = naive(siamese, pair, masks[14:], labels, fills)
    variance = ((scores - scores.mean()) ** 2).sum()
    r2 = 1 - ((scores - unseen @ found.effects.ravel()) ** 2).sum() / variance
    assert found.r2 == pytest.approx(r2, abs=1e-5)
    additive = [0, 1, 2, 3, 4, 5, 10, 15, 20]  # of 5 x 5 products, those with one cell or none
    best = np.linalg.lstsq(design[:, additive], fitted, rcond=None)[0]
    r2_additive = 1 - ((scores - unseen[:, additive] @ best) ** 2).sum() / variance
    assert found.r2_additive == pytest.approx(r2_additive, abs=1e-5)
    assert f"R2 {found.r2:.2f}" in str(found)
    assert "p = 0.6" in str(found)


def test_affine_embeddings_are_explained_whole():
    (found,) = PairInteraction(Affine(), (3, 2), keep=0.5, masks=60).explain(random_pair(1))
    assert found.r2 == pytest.approx(1, abs=1e-8)
    assert found.r2_additive < 0.999
    assert found.effects.sum() == pytest.approx(found.score, abs=1e-5)


@pytest.mark.parametrize("fill", ["blur", "alternative"])
def test_what_adds_up_sums_to_the_score(siamese, fill):
    options = {"fill": fill} | ({"threshold": THRESHOLD} if fill == "alternative" else {})
    method = PairInteraction(siamese, (3, 2), weights="adds_up", masks=60, **options)
    for found in method.explain(random_pair()):
        assert found.effects.sum() == pytest.approx(found.score, abs=1e-9)
        parts = sum(mapped.sum() for mapped in found.maps())
        assert parts + found.base == pytest.approx(found.effects.sum(), abs=1e-9)


def test_maps_of_banzhaf_are_its_values(siamese):
    """A region's weighted Banzhaf value, shared out among its pixels."""
    (found,) = PairInteraction(siamese, (2, 2), keep=0.7, masks=60).explain(random_pair(1))
    map_a, map_b = found.maps()
    labels = found.regions[0].labels
    for i in range(4):
        value_a = found.effects[i + 1, 0] + 0.7 * found.effects[i + 1, 1:].sum()
        value_b = found.effects[0, i + 1] + 0.7 * found.effects[1:, i + 1].sum()
        np.testing.assert_allclose(map_a[labels == i], value_a / (labels == i).sum())
        np.testing.assert_allclose(map_b[labels == i], value_b / (labels == i).sum())


def test_swapping_transposes_and_pairs_do_not_see_each_other(siamese):
    regions = (
        Regions(grid_regions(SIZE, (1, 2)).labels, ("left", "right")),
        Regions(grid_regions(SIZE, (3, 1)).labels - 1, ("middle", "below")),
    )
    img_a, img_b = random_pair()
    found = PairInteraction(siamese, regions=regions, masks=30).explain(img_a, img_b)
    swapped = PairInteraction(siamese, regions=regions[::-1], masks=30).explain(img_b, img_a)
    alone = PairInteraction(siamese, regions=regions, masks=30).explain(img_a[2:3], img_b[2:3])
    for one, other in zip(found, swapped, strict=True):
        np.testing.assert_allclose(one.effects, other.effects.T, atol=1e-6)
    np.testing.assert_allclose(alone[0].effects, found[2].effects, atol=1e-6)
    assert found[0].links.shape == (2, 2)
    strongest = found[0].strongest(1)[0]
    assert abs(strongest.effect) == np.abs(found[0].links).max()
    assert strongest.name_a in ("left", "right")
    assert strongest.name_b in ("middle", "below")
    assert not found[0].maps()[1][found[0].regions[1].labels == -1].any()
    other_seed = PairInteraction(siamese, regions=regions, masks=30, seed=1).explain(img_a, img_b)
    assert not np.allclose(other_seed[0].effects, found[0].effects)


def test_forwards_are_counted(siamese):
    asked = []
    siamese(*random_pair(1))  # the first call asks three times, to know the model
    siamese.backbone.register_forward_hook(lambda m, i, o: asked.append(len(o)))
    method = PairInteraction(siamese, (2, 2), masks=20)
    pair = random_pair(2)
    method.attribute(pair, perturbations_per_eval=7)
    assert sum(asked) == method.num_forwards(pair[0]) == 2 * 2 * (20 + 34)
    assert max(asked) == 7


def test_the_share_of_given_maps():
    """Against a loop: slope and offset fitted on some masks, R2 on others."""
    generator = torch.Generator().manual_seed(0)
    masks = [torch.rand(20, k, generator=generator) < 0.5 for k in (3, 4, 3, 4)]
    sides = [HiddenCells(m, torch.rand(20, 5, generator=generator)) for m in masks]
    maps = torch.tensor([1.0, -2.0, 0.5]), torch.tensor([0.0, 1.0, 3.0, -1.0])
    share = interaction_share((sides[0], sides[1]), (sides[2], sides[3]), maps)

    def said_and_scores(a, b):
        said = [
            (z.double() @ maps[0].double() + w.double() @ maps[1].double()).item()
            for z in a.masks
            for w in b.masks
        ]
        return np.array(said), (a.seen @ b.seen.T).flatten().numpy()

    said, scores = said_and_scores(*sides[:2])
    slope, offset = np.polyfit(said, scores, 1)
    said, scores = said_and_scores(*sides[2:])
    residual = ((scores - slope * said - offset) ** 2).sum()
    assert share.maps == pytest.approx(1 - residual / ((scores - scores.mean()) ** 2).sum())
    flat = HiddenCells(masks[2], torch.ones(20, 5)), HiddenCells(masks[3], torch.ones(20, 5))
    assert np.isnan(interaction_share((sides[0], sides[1]), flat).additive)


def test_the_picture_has_a_line_for_each_link(siamese, tmp_path):
    img_a, img_b = random_pair(1)
    (found,) = PairInteraction(siamese, (3, 2), masks=30).explain(img_a, img_b)
    figure = plot_links(img_a, img_b, found, count=5)
    figure.savefig(tmp_path / "links.png")
    assert len(figure.artists) == 5
    said = {text.get_text() for text in figure.axes[1].texts}
    assert said == {f"{link.effect:+.3f}" for link in found.strongest(5)}
    with pytest.raises(ValueError, match="the photos that were explained"):
        plot_links(img_a[..., :-1], img_b, found)


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"keep": 1.0}, ValueError, "above 0 and below 1"),
        ({"weights": "shapley"}, ValueError, "banzhaf"),
        ({"fill": "alternative"}, ValueError, "threshold=0.3"),
        ({"regions": np.zeros((2, 2))}, TypeError, r"Regions\(labels, names\)"),
        ({"regions": grid_regions((4, 4), (2, 2))}, ValueError, "one for each pixel"),
        ({"masks": 17}, ValueError, "more than 17"),
        ({"grid": (30, 2)}, ValueError, "a pixel or more"),
    ],
)
def test_bad_options_are_named(siamese, options, error, says):
    with pytest.raises(error, match=says):
        PairInteraction(siamese, **options).explain(random_pair(1))


def test_bad_regions_and_masks_are_named():
    with pytest.raises(ValueError, match="integers"):
        Regions(np.zeros((2, 2)), ("a",))
    with pytest.raises(ValueError, match="0 to 1"):
        Regions(np.zeros((2, 2), dtype=int), ("a", "b"))
    with pytest.raises(ValueError, match=r"\(n, cells\) and \(n, d\)"):
        HiddenCells(torch.ones(3, 2), torch.ones(4, 2))
    one, other = HiddenCells(torch.ones(3, 2), torch.ones(3, 2)), torch.ones(3, 5)
    with pytest.raises(ValueError, match="one length"):
        interaction_share((one, one), (one, HiddenCells(torch.ones(3, 2), other)))
    with pytest.raises(ValueError, match="for each of 2 cells"):
        interaction_share((one, one), (one, one), (torch.ones(2), torch.ones(3)))
