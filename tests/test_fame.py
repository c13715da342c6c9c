"""FAME against a naive walk, one image after the other, and by hand where the score is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from captum_fv.attr import AdversarialPathMap
from captum_fv.siamese import SiameseCosine
from tests.support.nets import random_pair, small_siamese


def naive_blur(image: np.ndarray) -> np.ndarray:
    """Gaussian of 5 x 5 pixels and sigma 5, each pixel by itself."""
    plane = np.pad(image, 2, mode="reflect")
    offsets = np.arange(-2, 3)
    window = np.exp(-(offsets[:, None] ** 2 + offsets[None] ** 2) / 50)
    window /= window.sum()
    blurred = np.empty_like(image)
    for y, x in np.ndindex(*image.shape):
        blurred[y, x] = (window * plane[y : y + 5, x : x + 5]).sum()
    return blurred


def naive_map(siamese, image, partner, sign, steps, step_size, stop_below):
    """The published map (H, W): of similarity for sign 1, of dissimilarity for sign -1."""
    other = siamese.embed_images(partner[None])[0].detach()
    point = image.clone()
    for step in range(steps):
        point.requires_grad_()
        score = (siamese.embed_images(point[None])[0] * other).sum()
        loss = score if sign > 0 else 1 - score
        if step == 0 and loss < stop_below:
            stop_below = 0
        if loss < stop_below:
            break
        (gradient,) = torch.autograd.grad(loss, point)
        point = (point - step_size * gradient / gradient.abs().max()).detach()
    red, green, blue = (
        0.2989 * (point - image)[0],
        0.587 * (point - image)[1],
        0.114 * (point - image)[2],
    )
    changes = naive_blur((red + green + blue).abs().detach().numpy())
    return changes / changes.max() if changes.max() > 0 else changes


@pytest.mark.parametrize("batch_size", [1, 3, 32])
@pytest.mark.parametrize("stop_below", [0.01, 0.25])
def test_equals_the_naive_walk(stop_below, batch_size):
    """With 0.25 some paths stop on the way, and some begin below it."""
    siamese = small_siamese().double()
    pair = tuple(image.double() for image in random_pair(3))
    settings = {"steps": 12, "step_size": 0.05, "stop_below": stop_below}
    naive = [
        [
            [
                naive_map(siamese, pair[side][k], pair[1 - side][k], sign, **settings)
                for sign in (1, -1)
            ]
            for k in range(3)
        ]
        for side in (0, 1)
    ]
    polarities = {"both": (1, -1), "similarity": (1, 0), "dissimilarity": (0, 1)}
    for polarity, (plus, minus) in polarities.items():
        method = AdversarialPathMap(siamese, polarity, batch_size=batch_size, **settings)
        maps = method.attribute(pair)
        for side in (0, 1):
            for k in range(3):
                up, down = naive[side][k]
                expected = torch.from_numpy(plus * up + minus * down).expand(3, -1, -1)
                torch.testing.assert_close(maps[side][k], expected)


def test_by_hand():
    """One pixel is the score's whole gradient, so it alone changes, by 5 steps."""

    class OnePixel(nn.Module):
        def forward(self, images):
            bright = images[:, 0, 3, 3]
            return torch.stack([bright, torch.full_like(bright, 2.0)], 1)

    siamese = SiameseCosine(OnePixel().eval(), mean=0.0, std=1.0)
    img_a, img_b = 0.5 * torch.ones(1, 1, 7, 7), torch.ones(1, 1, 7, 7)
    method = AdversarialPathMap(siamese, "similarity", steps=5, step_size=0.01)
    spot = torch.zeros(1, 1, 7, 7)
    spot[..., 3, 3] = 1
    expected = torch.from_numpy(naive_blur(spot[0, 0].numpy()))
    torch.testing.assert_close(method.attribute(img_a, img_b)[0][0, 0], expected / expected.max())


def test_a_score_below_zero_has_no_similarity_to_take_away():
    siamese, pair = small_siamese(), random_pair(1)
    flat = SiameseCosine(nn.Sequential(nn.Flatten()).eval(), mean=0.5, std=0.5)
    img_a, img_b = pair[0], 1 - pair[0]
    assert float(flat(img_a, img_b)) < 0
    maps = AdversarialPathMap(flat, "similarity", steps=3).attribute(img_a, img_b)
    assert not maps[0].any()
    assert AdversarialPathMap(flat, "dissimilarity", steps=3).attribute(img_a, img_b)[0].any()
    assert AdversarialPathMap(siamese, steps=3).attribute(pair)[0].abs().max() <= 1


def test_a_face_and_itself_have_no_gradient_to_follow():
    siamese, (photo, _) = small_siamese(), random_pair(2)
    for mapped in AdversarialPathMap(siamese, steps=3).attribute(photo, photo.clone()):
        assert not mapped.any()


def test_costs_a_forward_for_each_step_sign_and_image():
    siamese, pair = small_siamese(), random_pair(2)
    siamese(*pair)  # the first call asks the backbone more often
    forwards = []
    siamese.backbone.register_forward_hook(lambda _, images, __: forwards.append(len(images[0])))
    AdversarialPathMap(siamese, steps=5, step_size=1e-4).attribute(pair)
    assert sum(forwards) == 4 + 4 * 2 * 5


def test_it_must_know_that_photos_are_in_0_1():
    with pytest.raises(ValueError, match=r"mean=0\.5, std=0\.5"):
        AdversarialPathMap(SiameseCosine(nn.Flatten().eval()))


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"polarity": "signed"}, "'signed'"),
        ({"steps": 0}, "steps: got 0"),
        ({"batch_size": 0}, "batch_size: got 0"),
        ({"step_size": 0.0}, r"step_size: got 0\.0"),
        ({"stop_below": -0.1}, r"stop_below: got -0\.1"),
    ],
)
def test_bad_settings_are_named(settings, says):
    with pytest.raises(ValueError, match=says):
        AdversarialPathMap(small_siamese(), **settings)
