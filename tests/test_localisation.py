"""Patch localisation against counts of pairs of pixels and of ranked pixels, written naively."""

import numpy as np
import pytest
import torch

from captum_fv.metrics import patch_localisation, patch_polarity

COUNT, SIZE = 6, (5, 4)


@pytest.fixture
def run_input():
    generator = torch.Generator().manual_seed(0)
    maps = torch.randn(COUNT, 1, *SIZE, generator=generator).round()  # many ties
    mask = torch.rand(COUNT, 1, *SIZE, generator=generator) < 0.4
    return maps, mask, np.arange(COUNT) % 2 == 0


def naive_auroc(values, patched):
    inside, outside = values[patched], values[~patched]
    wins = [(a > b) + 0.5 * (a == b) for a in inside for b in outside]
    return np.mean(wins)


def naive_average_precision(values, patched):
    """Recall gained at each distinct value, times the precision there."""
    total, recall = 0.0, 0.0
    for level in sorted(set(values), reverse=True):
        chosen = values >= level
        now = patched[chosen].sum() / patched.sum()
        total += (now - recall) * patched[chosen].mean()
        recall = now
    return total


def test_equals_the_naive_counts_with_ties(run_input):
    maps, mask, match = run_input
    result = patch_localisation(maps, mask, match)
    for k in range(COUNT):
        values = (1 if match[k] else -1) * maps[k].flatten().numpy()
        patched = mask[k].flatten().numpy()
        assert result.auroc[k] == pytest.approx(naive_auroc(values, patched))
        assert result.average_precision[k] == pytest.approx(
            naive_average_precision(values, patched)
        )


def test_known_values(run_input):
    _, mask, match = run_input
    sign = torch.where(torch.tensor(match), 1.0, -1.0)[:, None, None, None]
    share = mask.float().mean((1, 2, 3)).numpy()
    for maps, auroc, precision in (
        (sign * mask, 1.0, np.ones(COUNT)),
        (torch.zeros(1, 3, *SIZE), 0.5, share),
    ):
        result = patch_localisation(maps, mask, match)
        np.testing.assert_allclose(result.auroc, auroc)
        np.testing.assert_allclose(result.average_precision, precision)
    against = patch_localisation(-sign * mask, mask, match)
    np.testing.assert_allclose(against.auroc, 0)


def test_chance_is_the_patched_share():
    generator = torch.Generator().manual_seed(1)
    mask = torch.rand(200, 1, 20, 20, generator=generator) < 0.41
    maps = torch.randn(200, 3, 20, 20, generator=generator)
    result = patch_localisation(maps, mask, np.ones(200))
    assert result.auroc.mean() == pytest.approx(0.5, abs=0.01)
    assert result.average_precision.mean() == pytest.approx(0.41, abs=0.02)


def test_polarity_compares_the_two_kinds_of_patches_alone(run_input):
    maps, similar, _ = run_input
    generator = torch.Generator().manual_seed(2)
    dissimilar = ~similar & (torch.rand(similar.shape, generator=generator) < 0.5)
    found = patch_polarity(maps, similar, dissimilar)
    for k in range(COUNT):
        inside, outside = maps[k][similar[k]].numpy(), maps[k][dissimilar[k]].numpy()
        wins = [(a > b) + 0.5 * (a == b) for a in inside for b in outside]
        assert found[k] == pytest.approx(np.mean(wins))
    elsewhere = torch.where(similar | dissimilar, maps, 99.0)
    np.testing.assert_array_equal(patch_polarity(elsewhere, similar, dissimilar), found)
    np.testing.assert_allclose(patch_polarity(-maps, similar, dissimilar), 1 - found)


def test_errors_of_polarity_name_the_fault(run_input):
    maps, similar, _ = run_input
    with pytest.raises(ValueError, match="no position in both"):
        patch_polarity(maps, similar, similar)
    with pytest.raises(ValueError, match="want both in every pair"):
        patch_polarity(maps, similar, torch.zeros_like(similar))
    with pytest.raises(ValueError, match="dissimilar: got"):
        patch_polarity(maps, similar, ~similar[:2])


def test_errors_name_the_fault(run_input):
    maps, mask, match = run_input
    for value in (True, False):
        broken = mask.clone()
        broken[3] = value
        with pytest.raises(ValueError, match="pair 3 covers"):
            patch_localisation(maps, broken, match)
    with pytest.raises(ValueError, match=r"mask: got torch\.float32"):
        patch_localisation(maps, mask.float(), match)
    with pytest.raises(ValueError, match="mask: got"):
        patch_localisation(maps, mask[:, 0], match)
    with pytest.raises(ValueError, match="match: got"):
        patch_localisation(maps, mask, match[:2])
    with pytest.raises(ValueError, match="want the map of image A"):
        patch_localisation(maps[..., 1:], mask, match)
    with pytest.raises(ValueError, match="want the map of image A"):
        patch_localisation(maps[0], mask, match)
    with pytest.raises(ValueError, match="hold NaN"):
        patch_localisation(maps * torch.nan, mask, match)
