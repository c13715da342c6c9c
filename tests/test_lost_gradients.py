"""Models that no gradient passes, and photos at which it is zero: said, and never painted."""

import warnings

import pytest
import torch
from torch import nn

from captum_fv.attr import (
    IntegratedArgumentGradient,
    OcclusionPairAttribution,
    SensitivityControl,
    SimilarityArgumentGradient,
)
from captum_fv.data import generated_pairs
from captum_fv.data.lfw import lfw_pairs
from captum_fv.metrics import sensitivity_strata
from captum_fv.models import load_backbone
from captum_fv.siamese import SiameseCosine
from tests.support.nets import SmallNet, random_pair, small_siamese
from tests.support.shared import SHARED, needs_shared

METHODS = {
    "xssab": lambda siamese: SimilarityArgumentGradient(siamese, 0.1),
    "similarity": lambda siamese: SimilarityArgumentGradient(siamese, 0.1, "similarity"),
    "sensitivity": lambda siamese: SensitivityControl(siamese, 0.1),
    "iag": lambda siamese: IntegratedArgumentGradient(siamese, 0.1),
}
EXPLAINERS = pytest.mark.parametrize("build", METHODS.values(), ids=METHODS.keys())


class EightBits(nn.Module):
    """What int8 layers do: whole numbers, and from there on a norm with weights of its own."""

    def __init__(self):
        super().__init__()
        self.linear, self.norm = nn.Linear(3 * 20 * 18, 16), nn.LayerNorm(16)

    def forward(self, images):
        steps = self.linear(images.flatten(1)).detach().mul(50).to(torch.int8)
        return self.norm(steps.float() / 50)


class RoundedEntry(SmallNet):
    def forward(self, images):
        return super().forward((images * 255).round() / 255)


@EXPLAINERS
def test_a_gradient_that_reaches_no_image_is_an_error(build):
    torch.manual_seed(0)
    siamese = SiameseCosine(EightBits().eval())
    assert siamese(*random_pair()).requires_grad  # by the norm's weights, which are no image
    with pytest.raises(ValueError, match="no gradient of the score reaches the images") as error:
        build(siamese).attribute(random_pair())
    assert "int8" in str(error.value)
    assert "OcclusionPairAttribution" in str(error.value)
    maps = OcclusionPairAttribution(siamese, patch_sizes=(5,), fill=0.0).attribute(random_pair())
    assert maps[0].any()


@EXPLAINERS
def test_a_gradient_of_zero_is_named_once_a_call(build):
    torch.manual_seed(0)
    method = build(SiameseCosine(RoundedEntry().eval()))
    with pytest.warns(UserWarning, match="exactly zero everywhere in 4 of 4 pairs") as told:
        maps = method.attribute(random_pair())
    assert len([one for one in told if "zero everywhere" in str(one.message)]) == 1
    assert not maps[0].any()


def test_strata_of_a_gradient_of_zero_are_named():
    torch.manual_seed(0)
    siamese = SiameseCosine(RoundedEntry().eval())
    with pytest.warns(UserWarning, match="exactly zero everywhere in 4 of 4 pairs"):
        sensitivity_strata(siamese, random_pair(), count=4)


def test_an_image_that_the_score_ignores_is_named():
    control = SensitivityControl(lambda a, b: a.mean((1, 2, 3)), 0.1)
    with pytest.warns(UserWarning, match="exactly zero everywhere in 4 of 4 pairs"):
        map_a, map_b = control.attribute(random_pair())
    assert map_a.all()
    assert not map_b.any()


@EXPLAINERS
def test_sound_models_are_explained_without_a_word(build):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        maps = build(small_siamese()).attribute(random_pair())
    assert maps[0].flatten(1).any(1).all()


def demo_and_real():
    yield "demo", "demo", lambda: generated_pairs(4)
    aligned, folds = (SHARED / "data" / n for n in ("lfw_aligned_112", "pairs_folds_1_4.txt"))
    yield "edgeface", str(SHARED / "models/edgeface_xxs.pt2"), lambda: lfw_pairs(aligned, folds)


@pytest.mark.extended
@pytest.mark.parametrize(
    ("model", "pairs"),
    [
        pytest.param(*rest, id=name, marks=[needs_shared] * (name != "demo"))
        for name, *rest in demo_and_real()
    ],
)
@pytest.mark.parametrize("name", ["xssab", "sensitivity"])
def test_one_photo_twice_is_zero_and_one_grey_level_is_not(model, pairs, name):
    siamese = SiameseCosine(load_backbone(model))
    img_a, img_b = pairs().tensors(range(3))
    img_b[0] = img_a[0] * (255 / 254.99995)  # another reader's last bits
    img_b[1] = img_a[1]
    img_b[1, :, 50, 50] = (img_a[1, :, 50, 50] - 1 / 255).abs()
    with pytest.warns(UserWarning, match="the same photo in 1 of 3 pairs.*at its maximum"):
        map_a, map_b = METHODS[name](siamese).attribute(img_a, img_b)
    for mapped in (map_a, map_b):
        largest = mapped.abs().amax((1, 2, 3))
        assert largest[0] == 0
        assert largest[1] > 1e-6  # rounding leaves some 6e-9
        assert largest[2] > 1e-3
