"""Model randomisation and the other sanity checks, on methods whose outcome is known."""

import numpy as np
import pytest
import scipy.stats
import torch

from captum_fv.attr import (
    CentrePrior,
    PixelDifference,
    RandomPairBaseline,
    SensitivityControl,
    SimilarityArgumentGradient,
)
from captum_fv.metrics import (
    model_randomisation,
    patch_localisation,
    randomised_copy,
    sanity_suite,
    swap_error,
)
from captum_fv.metrics.randomisation import rank_correlation
from captum_fv.models.programs import LoadedProgram
from captum_fv.siamese import SiameseCosine
from tests.support.nets import SIZE, THRESHOLD, random_pair, small_siamese

COUNT = 5


@pytest.fixture
def suite_input():
    original, img_b = random_pair(COUNT)
    generator = torch.Generator().manual_seed(3)
    mask = torch.rand(COUNT, 1, *SIZE, generator=generator) < 0.4
    patched = torch.where(mask, torch.rand(original.shape, generator=generator), original)
    return (patched, img_b), original, mask, THRESHOLD


def programs():
    """The small network as a module, as TorchScript and as an exported program."""
    net = small_siamese().backbone
    example = random_pair(4)[0]
    batch = {0: torch.export.Dim("batch", min=1)}
    exported = torch.export.export(net, (example,), dynamic_shapes=(batch,)).module()
    return [net, LoadedProgram(torch.jit.trace(net, example)), LoadedProgram(exported)]


def test_a_randomised_copy_shuffles_the_last_weights_and_leaves_the_model():
    for program in programs():
        siamese = SiameseCosine(program, mean=0.5, std=0.5)
        before = {name: value.clone() for name, value in siamese.state_dict().items()}
        pair = random_pair(COUNT)
        scores = siamese(*pair).detach()
        half, whole = randomised_copy(siamese, 0.5), randomised_copy(siamese)
        changed = []
        for own, twin, deep in zip(
            siamese.parameters(), half.parameters(), whole.parameters(), strict=True
        ):
            for other in (twin, deep):
                assert torch.equal(own.flatten().sort().values, other.flatten().sort().values)
            changed.append(not torch.equal(own, twin))
            assert len(own.unique()) == 1 or not torch.equal(own, deep)
        assert not any(changed[: len(changed) // 2])
        assert all(changed[-2:])
        assert not torch.allclose(whole(*pair), scores, atol=1e-2)
        assert torch.equal(siamese(*pair), scores)
        for name, value in siamese.state_dict().items():
            assert torch.equal(value, before[name])


def test_rank_correlation_is_spearmans():
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, COUNT, 50)).round(1)
    second += first
    for ours, x, y in zip(rank_correlation(first, second), first, second, strict=True):
        assert ours == pytest.approx(scipy.stats.spearmanr(x, y).statistic)
    constant = np.zeros((1, 50))
    assert rank_correlation(constant, constant) == 1
    assert rank_correlation(constant, first[:1]) == 0


def test_maps_of_the_model_change_and_others_stay():
    siamese, pair = small_siamese(), random_pair(COUNT)

    def correlations(build, **options):
        result = model_randomisation(build, siamese, pair, **options)
        return np.abs(result.signed).mean(1), np.abs(result.absolute).mean(1)

    signed, absolute = correlations(lambda model: SimilarityArgumentGradient(model, THRESHOLD))
    assert max(signed[0], absolute[0]) < 0.3
    for build in (lambda model: CentrePrior(model, THRESHOLD), PixelDifference):
        assert correlations(build)[1] == pytest.approx(1)
    cascade = model_randomisation(
        lambda model: SensitivityControl(model, THRESHOLD), siamese, pair, stages=4, seed=1
    )
    assert cascade.shares.tolist() == [0.25, 0.5, 0.75, 1]
    assert cascade.absolute.shape == (4, COUNT)
    assert cascade.absolute[0].mean() > cascade.absolute[-1].mean()


def test_the_suite_passes_what_explains_the_model(suite_input):
    pair, original, mask, threshold = suite_input
    siamese = small_siamese()

    def run(build):
        return sanity_suite(build, siamese, pair, original, mask, threshold)

    result = run(lambda model: SimilarityArgumentGradient(model, threshold))
    found = " ".join(result.failures())
    assert "random weights" not in found
    assert "swap" not in found
    assert "identity" not in found
    for images, localised in ((pair[0], result.patched), (original, result.patch_free)):
        match = siamese(images, pair[1]).detach() >= threshold
        maps = SimilarityArgumentGradient(siamese, threshold).attribute(images, pair[1])[0]
        np.testing.assert_allclose(
            localised.auroc, patch_localisation(maps, mask, match).auroc, atol=1e-6
        )
    gain = result.patched.auroc - result.patch_free.auroc
    assert result.localisation_gain.value == pytest.approx(gain.mean())

    centre = run(lambda model: CentrePrior(model, threshold)).failures()
    assert [line.split(" (")[0] for line in centre] == [
        "signed map survives random weights",
        "absolute map survives random weights",
        "not shown to find the patches",
    ]
    chance = " ".join(run(RandomPairBaseline).failures())
    assert "swap changes the maps" in chance
    assert "identity changes the maps" in chance


class Lopsided:
    """A method that adds a known error to the map of A, so that swapping shows it."""

    def attribute(self, img_a, img_b):
        map_a, map_b = img_a.clone(), img_b.clone()
        map_a[:, :, 3, 4] += 0.25
        return map_a, map_b


def test_swap_error_is_the_largest_difference():
    img_a, img_b = random_pair(2)
    maps = torch.cat([*Lopsided().attribute(img_a, img_b), *Lopsided().attribute(img_b, img_a)], 1)
    expected = 0.25 / maps.amax((1, 2, 3))
    np.testing.assert_allclose(swap_error(Lopsided(), (img_a, img_b)), expected, rtol=1e-5)
    silent = PixelDifference(None)
    np.testing.assert_array_equal(swap_error(silent, (img_a, img_a)), 0)


def test_identity_pairs_tell_how_much_is_similar(suite_input):
    pair, original, mask, threshold = suite_input
    siamese = small_siamese()
    centre = sanity_suite(
        lambda model: CentrePrior(model, threshold), siamese, pair, original, mask, threshold
    )
    np.testing.assert_array_equal(centre.identity_similar, 1)
    np.testing.assert_array_equal(centre.identity_error, 0)
    silent = sanity_suite(PixelDifference, siamese, pair, original, mask, threshold)
    np.testing.assert_array_equal(silent.identity_similar, 0.5)


def test_errors_name_the_fault(suite_input):
    pair, original, mask, threshold = suite_input
    siamese = small_siamese()
    for share in (0, 1.5):
        with pytest.raises(ValueError, match="share: got"):
            randomised_copy(siamese, share)
    with pytest.raises(ValueError, match="Flatten has no parameters"):
        randomised_copy(torch.nn.Flatten())
    with pytest.raises(ValueError, match="stages: got 0"):
        model_randomisation(PixelDifference, siamese, pair, stages=0)
    with pytest.raises(ValueError, match="original_a: got shape"):
        sanity_suite(PixelDifference, siamese, pair, original[:2], mask, threshold)
