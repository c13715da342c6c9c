"""Integrated arguments against a naive loop over steps, arguments and pixels' distances."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from captum.attr import NoiseTunnel

from captum_fv.attr import IntegratedArgumentGradient
from captum_fv.attr.smoothing import smooth
from captum_fv.siamese import SiameseCosine
from tests.support.nets import THRESHOLD, random_pair, small_siamese

# In pixels of the 20 rows of the tests' images.
BLUR, PARTNER, GRAIN, SMOOTHING = 2.5, 0.3, 0.6, 3.0
# Against a blurred face; tests/test_alternative.py has the rest.
SETTINGS = {
    "alternative": 0.0,
    "blur": BLUR / 20,
    "partner": PARTNER,
    "grain": GRAIN / 20,
    "smoothing": SMOOTHING / 20,
    "steps": 3,
}


def naive_smooth(image: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian smoothing of (H, W) on a plane of mirror images, each pixel by itself."""
    reach = int(np.ceil(8 * sigma))
    plane = np.pad(image, reach, mode="symmetric")
    offsets = np.arange(-reach, reach + 1)
    window = np.exp(-(offsets[:, None] ** 2 + offsets[None] ** 2) / (2 * sigma**2))
    window /= window.sum()
    smoothed = np.empty_like(image)
    for y, x in np.ndindex(*image.shape):
        smoothed[y, x] = (window * plane[y : y + len(window), x : x + len(window)]).sum()
    return smoothed


def unit(siamese: SiameseCosine, image: torch.Tensor) -> torch.Tensor:
    embedding = siamese.backbone((image[None] - 0.5) / 0.5)[0]
    return embedding / embedding.norm()


def naive_additions(siamese, image, partner, threshold, arguments):
    """What each pixel adds (H, W), and what it should add up to if the path's steps were exact."""
    blurs = [
        torch.from_numpy(np.stack([naive_smooth(channel, BLUR) for channel in photo.numpy()]))
        for photo in (image, partner)
    ]
    start = (1 - PARTNER) * blurs[0] + PARTNER * blurs[1]
    other = unit(siamese, partner).detach()
    added = torch.zeros_like(image)
    nodes = [0.5 - np.sqrt(0.15), 0.5, 0.5 + np.sqrt(0.15)]
    for node, weight in zip(nodes, [5 / 18, 8 / 18, 5 / 18], strict=True):
        point = (start + node * (image - start)).requires_grad_()
        embedding = unit(siamese, point)
        total = 0 * embedding.sum()
        for n in range(len(other)):
            similar = bool(embedding[n] * other[n] >= threshold / len(other))
            if arguments == "all" or similar == (arguments == "similar"):
                total = total + embedding[n] * other[n]
        (gradient,) = torch.autograd.grad(total, point)
        added += weight * (image - start) * gradient
    score, started = (float(unit(siamese, x).detach() @ other) for x in (image, start))
    return added.sum(0).numpy(), score - started, score


@pytest.mark.parametrize("threshold", [-0.9, THRESHOLD, 0.9])
@pytest.mark.parametrize("arguments", ["all", "similar", "dissimilar"])
def test_equals_the_naive_loop(threshold, arguments):
    siamese = small_siamese().double()
    img_a, img_b = (image.double() for image in random_pair(2))
    found = {
        output: IntegratedArgumentGradient(
            siamese, threshold, output, arguments=arguments, **SETTINGS
        ).attribute(img_a, img_b, return_convergence_delta=True)
        for output in ("polarity", "relevance", "decision")
    }
    for k in range(2):
        for side, (image, partner) in enumerate([(img_a[k], img_b[k]), (img_b[k], img_a[k])]):
            added, change, score = naive_additions(siamese, image, partner, threshold, arguments)
            sign = 1 if score >= threshold else -1
            evidence = naive_smooth(added, GRAIN)
            expected = {
                "polarity": evidence,
                "relevance": np.abs(evidence),
                "decision": sign * np.abs(evidence) + evidence,
            }
            for output, (maps, delta) in found.items():
                naive = naive_smooth(expected[output], SMOOTHING)
                np.testing.assert_allclose(maps[side][k].sum(0), naive, atol=1e-9)
                if arguments == "all":
                    np.testing.assert_allclose(delta[k, side], added.sum() - change, atol=1e-9)


def test_the_parts_add_up_to_the_whole():
    siamese, pair = small_siamese().double(), tuple(i.double() for i in random_pair())
    whole, similar, dissimilar = (
        IntegratedArgumentGradient(siamese, THRESHOLD, "polarity", arguments=kind).attribute(pair)
        for kind in ("all", "similar", "dissimilar")
    )
    assert similar[0].abs().sum() > 0
    assert dissimilar[0].abs().sum() > 0
    torch.testing.assert_close(similar[0] + dissimilar[0], whole[0])
    torch.testing.assert_close(similar[1] + dissimilar[1], whole[1])


def test_polarity_is_complete_and_more_steps_bring_the_delta_down():
    siamese, pair = small_siamese().double(), tuple(i.double() for i in random_pair())
    score = siamese(pair)
    deltas = {}
    for steps in (1, 4, 64):
        method = IntegratedArgumentGradient(
            siamese, THRESHOLD, "polarity", steps=steps, alternative=0.0, partner=0.25
        )
        maps, delta = method.attribute(pair, return_convergence_delta=True)
        assert delta.shape == (4, 2)
        deltas[steps] = float(delta.abs().mean())
        blur_a, blur_b = (smooth(image, method.blur * 20) for image in pair)
        start = (1 - method.partner) * blur_a + method.partner * blur_b
        added = maps[0].sum((1, 2, 3))
        torch.testing.assert_close(added - delta[:, 0], score - siamese(start, pair[1]))
    assert deltas[64] < 0.1 * deltas[1]
    assert deltas[4] < deltas[1]


def test_decision_speaks_for_the_decision_alone():
    siamese, pair = small_siamese(), random_pair()
    match = IntegratedArgumentGradient(siamese, -0.99).attribute(pair)
    non_match = IntegratedArgumentGradient(siamese, 0.99).attribute(pair)
    for mapped in match:
        assert mapped.min() >= 0
        assert mapped.max() > 0
    for mapped in non_match:
        assert mapped.max() <= 0
        assert mapped.min() < 0


@pytest.mark.parametrize("batch_size", [1, 2, 7, 100])
def test_the_batch_size_changes_memory_alone(batch_size):
    siamese, pair = small_siamese(), random_pair()
    sizes = []
    siamese.backbone.register_forward_pre_hook(lambda _, images: sizes.append(len(images[0])))
    expected = IntegratedArgumentGradient(siamese, THRESHOLD).attribute(pair)
    sizes.clear()
    maps = IntegratedArgumentGradient(siamese, THRESHOLD, batch_size=batch_size).attribute(pair)
    assert max(sizes) <= max(batch_size, 3)
    torch.testing.assert_close(maps, expected)


def test_costs_ten_forwards_for_an_image():
    siamese, pair = small_siamese(), random_pair()
    siamese(*pair)  # the first call asks the backbone more often
    forwards, backwards = [], []
    siamese.backbone.register_forward_hook(lambda _, images, __: forwards.append(len(images[0])))
    siamese.backbone.layers[3].register_full_backward_hook(
        lambda _, __, gradients: backwards.append(len(gradients[0]))
    )
    IntegratedArgumentGradient(siamese, THRESHOLD).attribute(pair)
    assert (sum(forwards) + 2 * sum(backwards)) / (2 * len(pair[0])) == 10


def test_maps_scale_with_the_image():
    siamese = SiameseCosine(
        torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(5), torch.nn.Flatten()).eval()
    )
    small = random_pair(2, size=(20, 20))
    large = tuple(image.repeat_interleave(2, 2).repeat_interleave(2, 3) for image in small)
    method = IntegratedArgumentGradient(siamese, THRESHOLD, grain=0.1, smoothing=0.2, blur=0.1)
    found = torch.nn.functional.avg_pool2d(method.attribute(large)[0], 2) * 4
    torch.testing.assert_close(found, method.attribute(small)[0], atol=2e-4, rtol=0.1)


def test_noise_tunnel_passes_the_delta_on():
    siamese, pair = small_siamese(), random_pair()
    method = IntegratedArgumentGradient(siamese, THRESHOLD)
    maps, delta = NoiseTunnel(method).attribute(
        pair, nt_type="smoothgrad", nt_samples=2, stdevs=0.0, return_convergence_delta=True
    )
    plain, expected = method.attribute(pair, return_convergence_delta=True)
    torch.testing.assert_close(maps, plain)
    torch.testing.assert_close(delta, expected.repeat_interleave(2, 0))


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"output": "signed"}, "'signed'"),
        ({"arguments": "positive"}, "'positive'"),
        ({"steps": 0}, "steps: got 0"),
        ({"batch_size": 0}, "batch_size: got 0"),
        ({"blur": 0.0}, r"blur: got 0\.0"),
        ({"partner": 1.5}, r"partner: got 1\.5"),
        ({"grain": float("nan")}, "grain: got nan"),
        ({"smoothing": -0.1}, r"smoothing: got -0\.1"),
    ],
)
def test_bad_settings_are_named(settings, says):
    with pytest.raises(ValueError, match=says):
        IntegratedArgumentGradient(small_siamese(), THRESHOLD, **settings)


def test_it_needs_embeddings():
    with pytest.raises(TypeError, match=r"SiameseCosine\(backbone\)"):
        IntegratedArgumentGradient(lambda a, b: a, THRESHOLD)
