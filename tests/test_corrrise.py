"""CorrRISE against values by hand and a loop from its definition."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import pearsonr, spearmanr

from captum_fv.attr import (
    Alternative,
    CorrelationRiseAttribution,
    OcclusionBank,
    correlation_map,
    rise_masks,
    square_masks,
)
from tests.support.nets import SIZE, THRESHOLD, random_pair, small_siamese

COUNT = 30


@pytest.fixture
def siamese():
    return small_siamese()


def naive(siamese, images, partners, hidden, fills, correlate):
    """Mask by mask, pixel by pixel."""
    maps = []
    for image, partner, fill in zip(images, partners, fills, strict=True):
        scores = []
        for mask in hidden:
            masked = image * (1 - mask) + fill * mask
            scores.append(siamese(masked[None], partner[None]).item())
        values = np.zeros(SIZE)
        for y in range(SIZE[0]):
            for x in range(SIZE[1]):
                seen = 1 - hidden[:, y, x].double().numpy()
                if seen.std() > 0:
                    values[y, x] = correlate(scores, seen).statistic
        maps.append(torch.from_numpy(values).float())
    return torch.stack(maps)[:, None].expand_as(images)


READINGS = {
    "published": ("squares", "spearman", spearmanr, "black"),
    "pearson": ("squares", "pearson", pearsonr, "black"),
    "rise": ("rise", "pearson", pearsonr, 0.4),
    "rise by ranks": ("rise", "spearman", spearmanr, 0.4),
    "alternative": ("squares", "spearman", spearmanr, "alternative"),
}


@pytest.mark.parametrize(
    ("masks", "correlation", "correlate", "fill"), READINGS.values(), ids=READINGS.keys()
)
def test_maps_are_the_correlations(siamese, masks, correlation, correlate, fill):
    siamese = siamese.double()
    img_a, img_b = (image.double() for image in random_pair(2))
    hidden = square_masks(COUNT, SIZE) if masks == "squares" else rise_masks(COUNT, SIZE) / 255
    method = CorrelationRiseAttribution(
        siamese,
        masks,
        COUNT,
        correlation,
        fill=fill,
        threshold=THRESHOLD if fill == "alternative" else None,
    )
    map_a, map_b = method.attribute(img_a, img_b)
    if fill == "alternative":
        match = siamese(img_a, img_b) >= THRESHOLD
        fill_a = Alternative().images(img_a, img_b, match)
        fill_b = Alternative().images(img_b, img_a, match)
    else:
        fill_a = fill_b = torch.full_like(img_a, 0 if fill == "black" else fill)
    hidden = hidden.double()
    options = {"atol": 1e-6, "rtol": 1e-5, "check_dtype": False}
    expected = naive(siamese, img_a, img_b, hidden, fill_a, correlate)
    torch.testing.assert_close(map_a, expected, **options)
    expected = naive(siamese, img_b, img_a, hidden, fill_b, correlate)
    torch.testing.assert_close(map_b, expected, **options)


@pytest.mark.parametrize(
    ("correlation", "expected"),
    [("pearson", [0.91766, -0.11471, 0]), ("spearman", [0.86603, 0, 0])],
)
def test_values_by_hand(correlation, expected):
    """Scores .1, .4, .6 under masks of the first pixel, of the second, and of none."""
    hidden = torch.tensor([[[1, 0, 0]], [[0, 1, 0]], [[0, 0, 0]]]).bool()
    bank = OcclusionBank(hidden, torch.tensor([[0.1], [0.4], [0.6]]), torch.tensor([0.6]))
    values = correlation_map(bank, torch.tensor([1.0]), correlation)
    torch.testing.assert_close(values, torch.tensor([expected]), atol=2e-5, rtol=0)


def test_a_score_that_never_changes_says_nothing():
    hidden = square_masks(6, SIZE)
    bank = OcclusionBank(hidden, torch.full((6, 1), 0.3), torch.tensor([0.3]))
    for correlation in ("pearson", "spearman"):
        assert not correlation_map(bank, torch.tensor([1.0]), correlation).any()
    rounding = OcclusionBank(hidden, 0.3 + 1e-7 * torch.rand(6, 1), torch.tensor([0.3]))
    assert not correlation_map(rounding, torch.tensor([1.0])).any()


def test_masks_are_the_same_for_every_call_unless_a_generator_moves_on(siamese):
    pair = random_pair(1)
    fixed = CorrelationRiseAttribution(siamese, num_masks=COUNT)
    first = fixed.attribute(pair)[0]
    assert torch.equal(first, fixed.attribute(pair)[0])
    generator = torch.Generator().manual_seed(0)
    drawn = CorrelationRiseAttribution(siamese, num_masks=COUNT, generator=generator)
    assert torch.equal(first, drawn.attribute(pair)[0])
    assert not torch.equal(first, drawn.attribute(pair)[0])


def test_one_side_costs_half(siamese, capsys):
    pair = random_pair(1)
    method = CorrelationRiseAttribution(siamese, num_masks=COUNT)
    both = method.attribute(pair, show_progress=True)
    assert f"{2 + 2 * COUNT}/{method.num_forwards(pair[0])}" in capsys.readouterr().err
    only, zero = method.attribute(pair, explain="a", show_progress=True)
    assert f"{2 + COUNT}/{method.num_forwards(pair[0], 'a')}" in capsys.readouterr().err
    assert torch.equal(only, both[0])
    assert not zero.any()


def test_someone_else_may_be_given(siamese):
    pair = random_pair(2)
    somebody = torch.rand(3, *SIZE, generator=torch.Generator().manual_seed(4))
    method = CorrelationRiseAttribution(
        siamese, num_masks=COUNT, fill="alternative", threshold=-1.0, reference=somebody
    )
    other = CorrelationRiseAttribution(siamese, num_masks=COUNT, fill="alternative", threshold=-1.0)
    expected = method.attribute(pair)
    assert torch.equal(other.attribute(pair, reference=somebody)[0], expected[0])
    assert not torch.equal(other.attribute(pair)[0], expected[0])


BAD = {
    "masks": ({"masks": "circles"}, ValueError, "squares"),
    "number": ({"num_masks": 0}, ValueError, "1 or more"),
    "correlation": ({"correlation": "kendall"}, ValueError, "spearman"),
    "fill": ({"fill": "partner"}, ValueError, "want one of"),
    "no threshold": ({"fill": "alternative"}, ValueError, "give the threshold too"),
    "seed": ({"generator": 3}, TypeError, "manual_seed"),
}


@pytest.mark.parametrize(("options", "error", "says"), BAD.values(), ids=BAD.keys())
def test_what_is_wrong_is_said(siamese, options, error, says):
    with pytest.raises(error, match=says):
        CorrelationRiseAttribution(siamese, **options)


def test_scores_alone_are_refused():
    with pytest.raises(TypeError, match=r"SiameseCosine\(backbone\)"):
        CorrelationRiseAttribution(lambda a, b: (a * b).mean((1, 2, 3)), fill=0.0)
