"""Methods that read a bank: one of an image serves a pair, a list of candidates, and strangers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from captum_fv.attr import (
    Alternative,
    CorrelationRiseAttribution,
    MinPlusAttribution,
    OcclusionBank,
    OcclusionPairAttribution,
    PairInteraction,
    PairSaliency,
    Regions,
    among_strangers,
    grid_regions,
    s_norm,
    significant_share,
    split_half_reliability,
    z_map,
)
from captum_fv.core.vectors import unit_length
from captum_fv.report import plot_significance
from captum_fv.siamese import SiameseCosine
from tests.support.nets import SIZE, THRESHOLD, random_pair, small_siamese

METHODS = {
    "corrrise": lambda s, **o: CorrelationRiseAttribution(s, num_masks=30, **o),
    "corrrise of soft masks": lambda s, **o: CorrelationRiseAttribution(s, "rise", 30, **o),
    "pearson": lambda s, **o: CorrelationRiseAttribution(s, "squares", 30, "pearson", **o),
    "minplus": lambda s, **o: MinPlusAttribution(s, "avg", points=3, **o),
    "s0-": lambda s, **o: MinPlusAttribution(s, "s0-", signed=True, points=4, **o),
    "s0+": lambda s, **o: MinPlusAttribution(s, "s0+", points=4, **o),
    "xface2": lambda s, **o: OcclusionPairAttribution(s, 2, (3, 6), 4, **o),
    "xface2 of discs": lambda s, **o: OcclusionPairAttribution(
        s, 2, (5,), 3, shape="circle", normalise_coverage=True, **o
    ),
}
FORWARDS = {"minplus": 2 * 9 + 2, "s0-": 17, "s0+": 18, "xface2": 33, "xface2 of discs": 26}

every_method = pytest.mark.parametrize("name", METHODS)


@pytest.fixture
def siamese():
    return small_siamese()


@pytest.fixture
def asked(monkeypatch):
    """How many images each call of the model took."""
    counts = []
    whole = SiameseCosine.embed_images

    def counted(self, images):
        counts.append(len(images))
        return whole(self, images)

    monkeypatch.setattr(SiameseCosine, "embed_images", counted)
    return counts


@every_method
@pytest.mark.parametrize("fill", ["mean", "blur", 0.3])
def test_a_map_of_a_bank_is_that_of_the_pair(siamese, name, fill):
    img_a, img_b = random_pair(2)
    method = METHODS[name](siamese, fill=fill)
    map_a, map_b = method.attribute(img_a, img_b)
    partners = [siamese.embed_images(images).detach() for images in (img_b, img_a)]
    for mapped, images, theirs in zip((map_a, map_b), (img_a, img_b), partners, strict=True):
        for k in (0, 1):
            bank = method.bank(images[k])
            torch.testing.assert_close(method.map_of(bank, theirs[k]), mapped[k, 1])


@every_method
def test_a_list_of_candidates_costs_one_bank(siamese, name, asked):
    probe, candidates = random_pair(1)[0][0], random_pair(20, seed=4)[0]
    theirs = siamese.embed_images(candidates).detach()
    asked.clear()
    method = METHODS[name](siamese)
    bank = method.bank(probe, perturbations_per_eval=7)
    assert sum(asked) == len(bank) + 1 == FORWARDS.get(name, 31)
    assert max(asked) == 7
    asked.clear()
    maps = method.map_of(bank, theirs)
    method.linear_map_of(bank, theirs)
    assert not asked
    assert maps.shape == (20, *SIZE)
    for k in (0, 19):
        alone, _ = method.attribute(probe[None], candidates[[k]])
        torch.testing.assert_close(maps[k], alone[0, 0])
    assert not torch.allclose(maps[0], maps[1], rtol=0.1)


@every_method
def test_a_bar_counts_a_bank_down(siamese, name, capsys):
    METHODS[name](siamese).bank(random_pair(1)[0][0], show_progress=True)
    count = FORWARDS.get(name, 31)
    assert f"{count}/{count}" in capsys.readouterr().err


@every_method
def test_the_alternative_is_handed_over(siamese, name):
    img_a, img_b = random_pair(1)
    method = METHODS[name](siamese, fill="alternative", threshold=THRESHOLD)
    with pytest.raises(ValueError, match="depends on the partner"):
        method.bank(img_a[0])
    match = siamese(img_a, img_b) >= THRESHOLD
    bank = method.bank(img_a[0], Alternative().images(img_a, img_b, match)[0])
    theirs = siamese.embed_images(img_b).detach()[0]
    map_a, _ = method.attribute(img_a, img_b)
    torch.testing.assert_close(method.map_of(bank, theirs), map_a[0, 0])


@pytest.mark.parametrize("name", ["minplus", "xface2"])
def test_a_bank_of_other_masks_is_refused(siamese, name):
    image, partner = random_pair(1)[0][0], torch.ones(16)
    bank = METHODS["corrrise"](siamese).bank(image)
    method = METHODS[name](siamese)
    with pytest.raises(ValueError, match=r"make it by the method's own bank\(image\)"):
        method.map_of(bank, partner)
    own = method.bank(image)
    turned = OcclusionBank(own.hidden.flip(0), own.embeddings, own.clean)
    with pytest.raises(ValueError, match="not this method's"):
        method.map_of(turned, partner)


def test_what_no_bank_holds_is_said(siamese):
    image = random_pair(1)[0][0]
    with pytest.raises(ValueError, match="take 's0-'"):
        MinPlusAttribution(siamese, "s1-", points=3).bank(image)
    with pytest.raises(ValueError, match="variant=2"):
        OcclusionPairAttribution(siamese, 1, (3,)).bank(image)
    with pytest.raises(ValueError, match="want equal shapes"):
        CorrelationRiseAttribution(siamese).bank(image, torch.zeros(3, 4, 4))
    with pytest.raises(ValueError, match="fill='partner' depends on the partner"):
        OcclusionPairAttribution(siamese, 2, (3,), fill="partner").bank(image)
    with pytest.raises(TypeError, match="a bank keeps embeddings"):
        OcclusionPairAttribution(lambda a, b: a, 2, (3,), fill=0.0).bank(image)
    with pytest.raises(ValueError, match=r"want one photo \(C, H, W\)"):
        CorrelationRiseAttribution(siamese).bank(image[None])


def test_interactions_of_banks_are_those_of_the_pair(siamese, asked):
    img_a, img_b = random_pair(2)
    fitted = PairInteraction(siamese, (2, 2), masks=20)
    adds_up = PairInteraction(siamese, (2, 2), masks=20, weights="adds_up")
    expected = fitted.explain(img_a, img_b), adds_up.explain(img_a, img_b)
    asked.clear()
    banks = [[fitted.bank(image) for image in images] for images in (img_a, img_b)]
    assert sum(asked) == 4 * (20 + 34) == 2 * fitted.num_forwards(img_a[:1])
    asked.clear()
    for method, found in zip((fitted, adds_up), expected, strict=True):
        for k in (0, 1):
            explained = method.explain_banks(banks[0][k], banks[1][k])
            np.testing.assert_allclose(explained.effects, found[k].effects, atol=1e-6)
            assert explained.r2 == pytest.approx(found[k].r2, abs=1e-5)
    assert not asked
    with pytest.raises(ValueError, match="make it by the method's own"):
        PairInteraction(siamese, (2, 2), masks=21).explain_banks(banks[0][0], banks[1][0])


def test_main_effects_beside_any_partners(siamese):
    """Least squares of the scores with a partner who is seen whole, on the cells kept."""
    method = PairInteraction(siamese, (2, 2), masks=20, keep=0.6)
    image, partners = (
        random_pair(1)[0][0],
        unit_length(torch.randn(3, 16, generator=torch.Generator().manual_seed(2))),
    )
    bank = method.bank(image)
    maps = method.map_of(bank, partners)
    labels = grid_regions(SIZE, (2, 2)).labels
    kept = np.stack([~bank.hidden.numpy()[:, labels == k][:, 0] for k in range(4)], 1)
    assert not kept[0].any()  # the face wholly hidden, which is no draw
    design = np.hstack([np.ones((len(kept) - 1, 1)), kept[1:]])
    for mapped, partner in zip(maps, partners, strict=True):
        scores = (bank.embeddings[1:] @ partner).numpy()
        effects = np.linalg.lstsq(design, scores, rcond=None)[0][1:]
        for k in range(4):
            share = effects[k] / (labels == k).sum()
            np.testing.assert_allclose(mapped[torch.from_numpy(labels == k)], share, atol=1e-7)


def test_regions_of_both_images_need_a_bank_each(siamese):
    image = random_pair(1)[0][0]
    sides = (
        Regions(grid_regions(SIZE, (1, 2)).labels, ("left", "right")),
        Regions(grid_regions(SIZE, (3, 1)).labels, ("above", "middle", "below")),
    )
    with pytest.raises(ValueError, match="with those of that image"):
        PairInteraction(siamese, regions=sides, masks=20).bank(image)
    method = PairInteraction(siamese, regions=sides[0], masks=20)
    squares = CorrelationRiseAttribution(siamese, num_masks=30).bank(image)
    with pytest.raises(ValueError, match="hidden as a whole"):
        method.map_of(squares, torch.ones(16))


@pytest.mark.parametrize("name", ["corrrise", "s0-", "xface2", "interaction"])
def test_a_map_among_strangers_says_what_its_parts_say(siamese, name, asked):
    build = {"interaction": lambda s: PairInteraction(s, (3, 3), masks=30)} | METHODS
    method = build[name](siamese)
    img_a, img_b = (image[0] for image in random_pair(1))
    people = unit_length(torch.randn(20, 16, generator=torch.Generator().manual_seed(2)))
    partner = siamese.embed_images(img_b[None])[0].detach()
    asked.clear()
    found = among_strangers(method, img_a, partner, people, level=0.5)
    bank = method.bank(img_a)
    assert sum(asked) == 2 * (len(bank) + 1)  # one for each of these two calls
    z = z_map(bank, partner, people, method.linear_map_of)
    torch.testing.assert_close(found.z, z)
    torch.testing.assert_close(found.mapped, method.map_of(bank, partner))
    assert torch.equal(found.significant, z.abs() > 0.5)
    assert found.significant.any()
    assert found.share == significant_share(bank, partner, people, 0.5, method.linear_map_of)
    assert found.s_norm == s_norm(bank.clean, partner, people)
    if name in ("corrrise", "interaction"):
        assert found.reliability == split_half_reliability(bank, partner, method.map_of)
    else:
        assert found.reliability is None
    own, *others = (method.linear_map_of(bank, one).double() for one in (partner, *people))
    others = torch.stack(others)
    expected = (own - others.mean(0)) / others.std(0)
    shown = others.std(0) > 1e-9
    torch.testing.assert_close(found.z.double()[shown], expected[shown], atol=1e-3, rtol=1e-3)


def test_a_method_without_a_bank_has_no_strangers(siamese):
    photo, people = random_pair(1)[0][0], unit_length(torch.randn(5, 16))
    with pytest.raises(TypeError, match="PairSaliency reads no bank"):
        among_strangers(PairSaliency(siamese), photo, people[0], people[1:])


def test_the_picture_is_grey_where_a_stranger_would_show_as_much(siamese, tmp_path):
    method = METHODS["xface2"](siamese)
    photos = [image[0] for image in random_pair(1)]
    people = unit_length(torch.randn(20, 16, generator=torch.Generator().manual_seed(2)))
    u = siamese.embed_images(torch.stack(photos)).detach()
    of_a, of_b = (
        among_strangers(method, photo, partner, people, level=0.5)
        for photo, partner in zip(photos, u.flip(0), strict=True)
    )
    assert of_a.significant.any()
    figure = plot_significance(*photos, of_a, of_b)
    figure.savefig(tmp_path / "significance.png")
    picture = figure.axes[2].images[0].get_array().astype(int)
    coloured = (picture.max(2) - picture.min(2)) > 1  # rounded
    np.testing.assert_array_equal(coloured, of_a.significant.numpy())
    assert f"{of_a.share.found:.0%} significant" in figure.axes[2].get_title()
    assert f"{of_a.s_norm:+.1f}" in figure.get_suptitle()
    assert "reliability" not in figure.axes[2].get_title()
