"""Bad input of every kind to every method: a clear error or a right answer, and nothing changed."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from captum_fv.attr.captum_tools import pair_grad_cam
from captum_fv.siamese import PartnerView, SiameseCosine
from tests.support.bad_input import (
    SAME_IMAGES,
    clear_error,
    fuzzed,
    image_state,
    is_exotic,
    is_good,
    model_state,
    pairs,
    thresholds,
    world,
)
from tests.support.nets import random_pair, small_siamese
from tests.test_contract import CASES, MASK, Case

pytestmark = pytest.mark.extended


class _Scores:
    """The model itself, asked as a method is."""

    def __init__(self, siamese: SiameseCosine) -> None:
        self.siamese = siamese

    def attribute(self, *pair: Any) -> tuple[Tensor, ...]:
        return (self.siamese(*pair).detach(),)


class _View(_Scores):
    def attribute(self, img_a: Any, img_b: Any) -> tuple[Tensor, ...]:
        partner = self.siamese.embed_images(img_b)
        return (PartnerView(self.siamese)(img_a, partner).detach(),)


class _GradCam(_Scores):
    def attribute(self, img_a: Any, img_b: Any) -> tuple[Tensor, ...]:
        return pair_grad_cam(self.siamese, self.siamese.backbone.layers[3], img_a, img_b)


SUBJECTS = {
    **CASES,
    "siamese": Case(_Scores),
    "partner view": Case(_View),
    "grad-cam": Case(_GradCam),
}
CONTROLS = [CASES[name] for name in ("rnd", "rnd-shared", "oracle", "difference", "centre")]
"""They do not ask for a gradient, so that there is less to go wrong: fewer examples do."""

every_subject = pytest.mark.parametrize("case", SUBJECTS.values(), ids=SUBJECTS.keys())


def in_double(case: Case, siamese: SiameseCosine, pair: Any, **options: Any) -> list[Tensor]:
    """Maps of the same images and weights in double precision, one plain pair after the other."""
    method = case.build(copy.deepcopy(siamese).double())
    images = [image.detach().clone().contiguous().double() for image in pair]
    alone = [
        method.attribute(a[None], b[None], **case.extras, **options)
        for a, b in zip(*images, strict=True)
    ]
    return [torch.cat(side) for side in zip(*alone, strict=True)]


def assert_right(maps: Any, expected: list[Tensor], share: float = 1e-3) -> None:
    """Finite maps that differ from what is expected by a small share of the largest value."""
    assert len(maps) == len(expected)
    for mapped, wanted in zip(maps, expected, strict=True):
        assert mapped.shape == wanted.shape
        assert torch.isfinite(mapped).all()
        error = (mapped.double() - wanted).abs().max()
        assert error <= share * wanted.abs().max() + 1e-7, float(error)


@every_subject
def test_any_pair_of_images(case):
    @fuzzed(8 if case in CONTROLS else 30)
    @given(pair=pairs())
    def holds(pair):
        assert_clear_error_or_right(case, pair)

    holds()


def assert_clear_error_or_right(case: Case, pair: Any) -> None:
    siamese = small_siamese()
    before = [world(), model_state(siamese), [image_state(image) for image in pair]]
    maps, error = clear_error(lambda: case.build(siamese).attribute(*pair, **case.extras), pair)
    after = [world(), model_state(siamese), [image_state(image) for image in pair]]
    assert before == after
    img_a, img_b = pair
    fits = all(map(is_good, pair)) and img_a.shape == img_b.shape and img_a.dtype == img_b.dtype
    if maps is not None and is_exotic(pair):
        assert all(torch.isfinite(mapped.to_dense()).all() for mapped in maps)
    elif maps is not None:
        assert fits, "an answer to what is no pair"
        # Maps come in the type of the images, which a method without a model takes in any.
        assert_right(maps, in_double(case, siamese, pair), max(1e-3, torch.finfo(img_a.dtype).eps))
    elif fits and img_a.dtype == torch.float32:
        # The images could be of the wrong size only, or no photos in [0, 1].
        largest = max(float(image.max()) for image in pair)
        assert img_a.shape[1:] != random_pair()[0].shape[1:] or largest > 10, error


@every_subject
@pytest.mark.parametrize("held", SAME_IMAGES.values(), ids=SAME_IMAGES.keys())
def test_however_good_images_are_held(case, held):
    siamese = small_siamese()
    pair = tuple(held(image) for image in random_pair(2))
    maps = case.build(siamese).attribute(*pair, **case.extras)
    assert_right(maps, in_double(case, siamese, pair))


@every_subject
@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_other_precisions(case, dtype):
    siamese = small_siamese().to(dtype)
    pair = tuple(image.to(dtype) for image in random_pair(2))
    maps, error = clear_error(lambda: case.build(siamese).attribute(*pair, **case.extras))
    assert error is None
    # Half precision rounds every layer's sums, and at a threshold an argument may change sides.
    share = {torch.float64: 1e-6, torch.float16: 0.1, torch.bfloat16: 0.5}[dtype]
    assert_right(maps, in_double(case, siamese, pair), share)


@pytest.mark.parametrize(
    "name", [name for name in CASES if hasattr(CASES[name].build(small_siamese()), "threshold")]
)
@fuzzed(25)
@given(data=st.data())
def test_any_threshold(name, data):
    case, siamese, count = CASES[name], small_siamese(), data.draw(st.integers(1, 3))
    pair, threshold = random_pair(count), data.draw(thresholds(count))
    method = case.build(siamese)
    method.threshold = threshold
    before = world()
    maps, _ = clear_error(lambda: method.attribute(*pair, **case.extras))
    assert world() == before
    if maps is None:
        return
    plain = "xcos" in name and threshold is None
    values = None if plain else torch.as_tensor(threshold, dtype=torch.float64).expand(count)
    assert plain or torch.isfinite(values).all()
    each = case.build(copy.deepcopy(siamese).double())
    alone = []
    for k in range(count):
        each.threshold = None if plain else float(values[k])
        images = (image[k : k + 1].double() for image in pair)
        alone.append(each.attribute(*images, **case.extras))
    assert_right(maps, [torch.cat(side) for side in zip(*alone, strict=True)])


@fuzzed(40)
@given(
    mask=st.sampled_from(
        [None, "x", MASK.numpy(), MASK.long(), MASK[0], MASK[..., :3], MASK.to("meta"), MASK]
    ),
    centre=st.one_of(st.none(), st.tuples(st.floats(), st.floats()), st.just((1,)), st.text()),
)
def test_options_of_the_controls(mask, centre):
    siamese, pair = small_siamese(), random_pair(1)
    oracle = CASES["oracle"].build(siamese)
    maps, error = clear_error(lambda: oracle.attribute(*pair, patch_mask=mask), mask)
    assert (error is None) == (mask is MASK)
    build = type(CASES["centre"].build(siamese))
    maps, _ = clear_error(lambda: build(siamese, 0.1, centre).attribute(*pair))
    assert maps is None or torch.isfinite(maps[0]).all()
