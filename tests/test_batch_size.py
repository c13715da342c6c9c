"""How many images go through a model at once, where nobody says."""

from __future__ import annotations

import pytest
import torch

from captum_fv.attr import OcclusionPairAttribution
from captum_fv.metrics import decision_patch_replacement
from captum_fv.metrics.replacement import ranked_together
from captum_fv.siamese import batch_size
from captum_fv.siamese.batch_size import FEW, MOST, doubling_trial, images_at_once
from tests.support.nets import random_pair, small_siamese


class OnCuda(torch.Tensor):
    """A tensor that says it is on CUDA."""

    is_cuda = True


@pytest.mark.parametrize(
    ("costs", "best"),
    [
        ({16: 4.0, 32: 3.0, 64: 2.0, 128: 1.0, 256: 0.99}, 128),  # hardly cheaper
        ({16: 3.0, 32: 3.1}, 16),  # dearer
        ({16: 3.0, 32: 2.0, 64: None}, 32),  # no room
        ({16: None}, 16),  # the least there is
        ({16 * 2**k: 0.5**k for k in range(20)}, MOST),
    ],
)
def test_doubling_goes_on_while_it_pays(costs: dict[int, float | None], best: int) -> None:
    assert doubling_trial(lambda size: costs[size]) == best


def test_a_trial_is_made_once_and_only_on_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    siamese, (images, _) = small_siamese(), random_pair()
    tried: list[tuple[bool, int]] = []

    def cost(model: object, image: torch.Tensor, gradients: bool, count: int) -> float:
        tried.append((gradients, count))
        return {16: 5.0, 32: 4.0, 64: 3.0}.get(count, 2.99)

    monkeypatch.setattr(batch_size, "_cost", cost)
    assert images_at_once(siamese, images, batch_size=None) == FEW
    assert not tried
    there = images.as_subclass(OnCuda)
    assert images_at_once(siamese, there, batch_size=7) == 7
    assert images_at_once(lambda a, b: a, there, batch_size=None) == FEW
    for _ in range(2):
        assert images_at_once(siamese, there, batch_size=None) == 64
    assert tried == [(False, 16), (False, 32), (False, 64), (False, 128)]
    images_at_once(siamese, there, gradients=True, batch_size=None)
    siamese.precision = "float16"
    images_at_once(siamese, there, batch_size=None)
    images_at_once(siamese, there[..., :9], batch_size=None)
    assert len(siamese.batch_sizes) == 4


def test_numbers_are_checked_by_their_name() -> None:
    for wrong in (0, 2.5, True):
        with pytest.raises(ValueError, match="at_most: got"):
            images_at_once(small_siamese(), random_pair()[0], at_most=wrong)


def test_any_number_gives_the_same_maps() -> None:
    siamese, pair = small_siamese(), random_pair(2)
    xface = OcclusionPairAttribution(siamese, 1, (3, 6), 4)
    expected = xface.attribute(pair)
    for count in (1, 7, 500):
        maps = xface.attribute(pair, perturbations_per_eval=count)
        torch.testing.assert_close(maps, expected, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("batch_size", [1, 7, 16, 32, 256, 1024])
def test_steps_of_pairs_ranked_together_fill_their_batches(batch_size: int) -> None:
    for count, steps in ((1, 20), (16, 20), (33, 5), (200, 20)):
        first, *groups = ranked_together(count, steps, batch_size)
        every = range(count)
        assert [row for group in (first, *groups) for row in every[group]] == list(every)
        lengths = {len(every[group]) for group in groups}
        assert len(lengths) <= 1
        for length in lengths:
            assert len(every[first]) <= length
            assert -length * steps % batch_size < steps  # images that are missing in the last batch


def test_dpr_scores_in_batches_of_nearly_one_size() -> None:
    siamese, (img_a, img_b) = small_siamese(), random_pair(16)
    original = random_pair(16, seed=3)[0]
    siamese(img_a, img_b)  # the first call asks the model several times
    sizes: list[int] = []
    siamese.backbone.register_forward_hook(lambda _, images, __: sizes.append(len(images[0])))
    maps, genuine = random_pair(16, seed=5)[0], [True, False] * 8
    decision_patch_replacement(siamese, (img_a, img_b), original, maps, 0, genuine, batch_size=256)
    pairs, *batches = sizes
    assert pairs == 32
    assert sum(batches) == 16 * 20
    assert batches == [160, 160]
