"""How little must go back before the decision flips: by Captum's search and by a plain loop."""

import pytest
import torch

from captum_fv.attr import SimilarityArgumentGradient
from captum_fv.data import generated_pairs, patch_pairs
from captum_fv.metrics import decision_patch_replacement
from captum_fv.metrics.flip import least_replacement
from captum_fv.models import load_backbone
from captum_fv.siamese import SiameseCosine
from tests.support.ties import scattered


def scores(img_a, img_b):
    return (img_a * img_b).mean((1, 2, 3))


def test_the_first_step_of_a_plain_loop():
    generator = torch.Generator().manual_seed(0)
    patched, original, img_b, attributions = torch.rand(4, 1, 3, 6, 5, generator=generator)
    attributions = attributions.round(decimals=1)  # some means are equal
    for threshold in (0.1, 0.2, 0.25, 0.3, 0.5):
        match = bool(scores(patched, img_b) >= threshold)
        values = attributions.double().mean(1).flatten()
        order = torch.tensor(scattered(range(30)))
        order = order[values[order].argsort(descending=match, stable=True)]
        expected = None
        for step in range(1, 11):
            mixed = patched.clone().flatten(2)
            gone = order[: round(30 * step / 10)]
            mixed[:, :, gone] = original.flatten(2)[:, :, gone]
            if bool(scores(mixed.reshape_as(patched), img_b) >= threshold) != match:
                expected = (step / 10, mixed.reshape_as(patched))
                break
        found = least_replacement(scores, (patched, img_b), original, attributions, threshold, 10)
        if expected is None:
            assert found is None
            continue
        assert found.share == pytest.approx(expected[0])
        assert found.patch_share == pytest.approx(expected[0])  # all positions differ
        assert torch.equal(found.pair[0], expected[1])
        assert torch.equal(found.pair[1], img_b)


def test_a_generated_patch_pair_flips_where_its_dpr_curve_does():
    patched = patch_pairs(generated_pairs(8))
    genuine = patched.genuine
    siamese = SiameseCosine(load_backbone("demo"))
    threshold = siamese.backbone.threshold
    patched_a, original_a, img_b = patched.tensors(range(8))
    map_a, _ = SimilarityArgumentGradient(siamese, threshold).attribute(patched_a, img_b)
    run = decision_patch_replacement(
        siamese, (patched_a, img_b), original_a, map_a, threshold, genuine
    )
    flips = 0
    for k in range(8):
        one = slice(k, k + 1)
        found = least_replacement(
            siamese, (patched_a[one], img_b[one]), original_a[one], map_a[one], threshold
        )
        decisions = run.scores[:, k] >= threshold
        steps = (decisions != decisions[0]).nonzero()[0]
        assert (found is None) == (len(steps) == 0)
        if found:
            flips += 1
            assert found.share == pytest.approx(steps[0] / 20, abs=1e-4)
            assert 0 < found.patch_share <= 1
    assert flips >= 2


def test_a_constant_map_is_named():
    images = torch.rand(3, 1, 3, 6, 5, generator=torch.Generator().manual_seed(0))
    with pytest.warns(UserWarning, match="1 of 1 maps are constant"):
        least_replacement(scores, (images[0], images[1]), images[2], 0 * images[0], 0.2)


def test_errors_say_what_to_write():
    pairs = torch.rand(4, 2, 3, 6, 5)
    with pytest.raises(ValueError, match=r"got 2 pairs; want one"):
        least_replacement(scores, (pairs[0], pairs[1]), pairs[2], pairs[3], 0.2)
    one = pairs[:, :1]
    with pytest.raises(ValueError, match="steps: got 0"):
        least_replacement(scores, (one[0], one[1]), one[2], one[3], 0.2, steps=0)
