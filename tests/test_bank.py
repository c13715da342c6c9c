"""The occlusion bank, and the masks that it is made with."""

from __future__ import annotations

import pytest
import torch

from captum_fv.attr import OcclusionBank, gaussian_masks, rise_masks, square_masks
from captum_fv.attr.bank import BLUR_SIZE, num_forwards
from captum_fv.attr.smoothing import gaussian_blur
from captum_fv.siamese import SiameseCosine
from tests.support.nets import SIZE, random_pair, small_siamese

MASKS = square_masks(9, SIZE)


@pytest.fixture
def siamese():
    return small_siamese()


@pytest.fixture
def image():
    return random_pair()[0][0]


FILLS = {
    "black": lambda image: torch.zeros_like(image),
    "mean": lambda image: image.mean((1, 2), keepdim=True).expand_as(image),
    "blur": lambda image: gaussian_blur(
        image[None], 2 * round(BLUR_SIZE * SIZE[0]) + 1, round(BLUR_SIZE * SIZE[0]) / 2
    )[0],
    0.7: lambda image: torch.full_like(image, 0.7),
}


@pytest.mark.parametrize("fill", FILLS, ids=str)
@pytest.mark.parametrize("hidden", [MASKS, rise_masks(5, SIZE)], ids=["bool", "uint8"])
def test_embeddings_are_those_of_the_masked_images(siamese, image, fill, hidden):
    bank = OcclusionBank.of(siamese, image, hidden, fill, perturbations_per_eval=4)
    filling = FILLS[fill](image)
    for mask, embedding in zip(hidden, bank.embeddings, strict=True):
        share = mask.float() / (1 if mask.dtype == torch.bool else 255)
        masked = image * (1 - share) + filling * share
        torch.testing.assert_close(embedding, siamese.embed_images(masked[None])[0].detach())
    torch.testing.assert_close(bank.clean, siamese.embed_images(image[None])[0].detach())
    assert not bank.embeddings.requires_grad
    assert len(bank) == len(hidden)


def test_an_image_as_fill(siamese, image):
    other = random_pair()[1][0]
    hides_all = torch.ones(1, *SIZE, dtype=torch.bool)
    bank = OcclusionBank.of(siamese, image, hides_all, other)
    torch.testing.assert_close(bank.embeddings, siamese.embed_images(other[None]).detach())


def test_it_serves_any_partners(siamese, image):
    bank = OcclusionBank.of(siamese, image, MASKS)
    partners = siamese.embed_images(random_pair()[1]).detach()
    scores = bank.scores(partners)
    assert scores.shape == (4, 9)
    contrast = bank.scores(partners[0] - partners[1])
    torch.testing.assert_close(contrast, scores[0] - scores[1])
    maps = bank.covariance_map(partners)
    seen = ~MASKS
    for k in range(4):
        for y, x in ((0, 0), (3, 4), (10, 17)):
            both = torch.stack([scores[k], seen[:, y, x].float()])
            expected = torch.cov(both, correction=0)[0, 1]
            torch.testing.assert_close(maps[k, y, x], expected, atol=1e-6, rtol=1e-4)
    torch.testing.assert_close(bank.covariance_map(partners[2]), maps[2])
    halves = [bank.half(which).scores(partners[0]) for which in (0, 1)]
    torch.testing.assert_close(halves[0], scores[0, ::2])
    torch.testing.assert_close(halves[1], scores[0, 1::2])


def test_forwards_are_counted_and_no_more_images_made_than_said(image, monkeypatch):
    siamese = small_siamese()
    siamese.embed_images(image[None])  # the first call asks three times
    sizes = []
    whole = SiameseCosine.embed_images

    def counted(self, images):
        sizes.append(len(images))
        return whole(self, images)

    monkeypatch.setattr(SiameseCosine, "embed_images", counted)
    OcclusionBank.of(siamese, image, MASKS, perturbations_per_eval=4)
    assert sum(sizes) == num_forwards(MASKS)
    assert max(sizes) == 4


def test_its_bar_counts_them(siamese, image, capsys):
    OcclusionBank.of(siamese, image, MASKS, show_progress=True)
    assert "10/10" in capsys.readouterr().err


BAD = {
    "scores alone": ({"siamese": lambda a, b: a}, TypeError, r"write SiameseCosine\(backbone\)"),
    "no photo": ({"image": torch.rand(1, 3, *SIZE)}, ValueError, r"want one photo \(C, H, W\)"),
    "soft masks": ({"hidden": torch.rand(3, *SIZE)}, TypeError, r"round\(\)\.byte\(\)"),
    "other masks": ({"hidden": MASKS[..., 1:]}, ValueError, r"want masks \(M, H, W\)"),
    "0 and 1 as bytes": ({"hidden": MASKS.byte()}, ValueError, r"write hidden\.bool\(\)"),
    "partner": ({"fill": "partner"}, ValueError, "knows of no partner"),
    "unknown": ({"fill": "grey"}, ValueError, "want one of"),
    "other fill": ({"fill": torch.rand(3, 4, 4)}, ValueError, "want equal shapes"),
    "none at once": ({"perturbations_per_eval": 0}, ValueError, "1 or more"),
}


@pytest.mark.parametrize(("bad", "error", "says"), BAD.values(), ids=BAD.keys())
def test_what_is_wrong_is_said(siamese, image, bad, error, says):
    good = {"siamese": siamese, "image": image, "hidden": MASKS}
    with pytest.raises(error, match=says):
        OcclusionBank.of(**good | bad)


def test_partners_must_fit(siamese, image):
    bank = OcclusionBank.of(siamese, image, MASKS)
    with pytest.raises(ValueError, match=r"want \(16,\) or \(P, 16\)"):
        bank.scores(torch.rand(3))
    with pytest.raises(ValueError, match="NaN"):
        bank.scores(torch.full((16,), torch.nan))


def test_squares_fit_and_are_everywhere():
    masks = square_masks(600, (56, 48), squares=1)
    assert masks.sum((1, 2)).eq(15 * 15).all()  # 30 of 112
    for mask in masks[:20]:
        rows, columns = mask.any(1).nonzero(), mask.any(0).nonzero()
        assert rows.max() - rows.min() == columns.max() - columns.min() == 14
    corners = {tuple(mask.nonzero()[0].tolist()) for mask in masks}
    assert {row for row, _ in corners} == set(range(56 - 15 + 1))
    assert {column for _, column in corners} == set(range(48 - 15 + 1))
    three = square_masks(50, (56, 48))
    assert 3 * 225 >= three.sum((1, 2)).max() > 2 * 225
    with pytest.raises(ValueError, match="do not fit into 112x20"):
        square_masks(3, (112, 20))


@pytest.mark.parametrize("make", [square_masks, rise_masks])
def test_masks_come_from_their_generator(make):
    assert torch.equal(make(5, SIZE), make(5, SIZE))
    assert torch.equal(make(5, SIZE), make(5, SIZE, torch.Generator().manual_seed(0)))
    assert not torch.equal(make(5, SIZE), make(5, SIZE, torch.Generator().manual_seed(1)))


def test_rise_grids_are_enlarged_bilinearly_and_keep_as_many_as_said():
    masks = rise_masks(300, (60, 60), cells=6, keep=0.9).float() / 255
    assert abs(float(masks.mean()) - 0.1) < 0.01
    # Cells of 10 become 70 / 6 pixels wide, so no neighbour differs by more than one such step.
    assert masks.diff(dim=2).abs().max() <= 6 / 70 + 2 / 255
    assert masks.max() == 1
    shifts = {tuple(mask.argmax(1).unique().tolist()) for mask in masks}
    assert len(shifts) > 50


def test_gaussians_are_as_their_formula_says():
    height, width = SIZE
    masks = gaussian_masks(SIZE, points=4, sigma=0.2)
    for k in (0, 6, 15):
        row, column = (k // 4 + 0.5) * height / 4 - 0.5, (k % 4 + 0.5) * width / 4 - 0.5
        for y, x in ((0, 0), (7, 3), (19, 17)):
            squared = ((y - row) ** 2 + (x - column) ** 2) / (0.2 * height) ** 2
            expected = 255 * torch.exp(torch.tensor(-squared / 2))
            assert abs(float(masks[k, y, x]) - float(expected)) <= 0.5 + 1e-3
