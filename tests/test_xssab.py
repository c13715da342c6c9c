"""xSSAB against a naive loop, and against the official code on real faces."""

import shutil

import numpy as np
import pytest
import torch

from captum_fv.attr import (
    IntegratedArgumentGradient,
    SensitivityControl,
    SimilarityArgumentGradient,
)
from captum_fv.siamese import SiameseCosine
from tests.support.nets import THRESHOLD, random_pair, small_siamese
from tests.support.shared import SHARED, needs_shared


def naive_gradient(siamese, image, partner, threshold, positive):
    """Equations 1-10 for one image, with a loop over the arguments."""
    image = image.clone().requires_grad_()
    embedding = siamese.backbone((image[None] - 0.5) / 0.5)[0]
    unit = embedding / embedding.norm()
    other = siamese.backbone((partner[None] - 0.5) / 0.5)[0].detach()
    other = other / other.norm()
    weight = torch.zeros_like(other)
    for n in range(len(unit)):
        argument = float(unit[n].detach() * other[n])
        if (argument >= threshold / len(unit)) == positive:
            weight[n] = other[n]
    (gradient,) = torch.autograd.grad((unit * weight).sum(), image)
    return gradient.abs()


@pytest.mark.parametrize("threshold", [-0.4, 0.0, THRESHOLD, 0.6])
def test_equals_the_naive_loop(threshold):
    siamese, (img_a, img_b) = small_siamese(), random_pair()
    both = SimilarityArgumentGradient(siamese, threshold).attribute(img_a, img_b)
    similar = SimilarityArgumentGradient(siamese, threshold, "similarity").attribute(img_a, img_b)
    dissimilar = SimilarityArgumentGradient(siamese, threshold, "dissimilarity").attribute(
        img_a, img_b
    )
    for k in range(len(img_a)):
        for side, (image, partner) in enumerate([(img_a[k], img_b[k]), (img_b[k], img_a[k])]):
            positive = naive_gradient(siamese, image, partner, threshold, True)
            negative = naive_gradient(siamese, image, partner, threshold, False)
            torch.testing.assert_close(similar[side][k], positive, rtol=1e-4, atol=1e-7)
            torch.testing.assert_close(dissimilar[side][k], negative, rtol=1e-4, atol=1e-7)
            torch.testing.assert_close(both[side][k], positive - negative, rtol=1e-4, atol=1e-7)


def test_costs_one_forward_and_two_backwards():
    siamese, pair = small_siamese(), random_pair()
    siamese(*pair)  # the first call asks the backbone more often
    forwards, backwards = [], []
    siamese.backbone.register_forward_hook(lambda *_: forwards.append(1))
    siamese.backbone.layers[3].register_full_backward_hook(lambda *_: backwards.append(1))
    SimilarityArgumentGradient(siamese, THRESHOLD).attribute(pair)
    assert (len(forwards), len(backwards)) == (1, 2)
    SimilarityArgumentGradient(siamese, THRESHOLD, "similarity").attribute(pair)
    assert (len(forwards), len(backwards)) == (2, 3)


@pytest.mark.extended
@pytest.mark.parametrize("polarity", ["both", "similarity", "dissimilarity"])
@pytest.mark.parametrize("compiler", ["aot_eager", "inductor"])
def test_a_compiled_backbone_gives_the_same_maps(compiler, polarity):
    """A compiled forward gives its memory away in the first backward, and two are needed."""
    if compiler == "inductor" and not shutil.which("gcc"):
        pytest.skip("no C++ compiler")
    pair, siamese = random_pair(3), small_siamese()
    torch._dynamo.reset()
    compiled = SiameseCosine(torch.compile(siamese.backbone, backend=compiler), 0.5, 0.5)
    for method in (
        lambda model: SimilarityArgumentGradient(model, 0.3, polarity),
        lambda model: SensitivityControl(model, 0.3),
        lambda model: IntegratedArgumentGradient(model, 0.3),
    ):
        maps, expected = (method(model).attribute(*pair) for model in (compiled, siamese))
        torch.testing.assert_close(maps, expected, rtol=1e-4, atol=1e-6)


def test_errors_say_what_to_write():
    with pytest.raises(TypeError, match=r"SiameseCosine\(backbone\)"):
        SimilarityArgumentGradient(lambda a, b: a, THRESHOLD)
    with pytest.raises(ValueError, match="'similarity'"):
        SimilarityArgumentGradient(small_siamese(), THRESHOLD, "similar")
    with pytest.raises(ValueError, match=r"\[-1, 1\]"):
        SimilarityArgumentGradient(small_siamese(), 31.0).attribute(random_pair())
    with pytest.raises(ValueError, match="two images and no more"):
        SimilarityArgumentGradient(small_siamese(), 0.1).attribute(
            random_pair(), additional_forward_args=1
        )


@needs_shared
@pytest.mark.parametrize("file", ["edgeface_xxs.pt2", "edgeface_xxs.torchscript.pt"])
@pytest.mark.parametrize(("polarity", "key"), [("similarity", "pos"), ("dissimilarity", "neg")])
def test_equals_the_official_code_on_real_faces(file, polarity, key):
    golden = np.load(SHARED / "golden" / "xssab_edgeface_xxs.npz")
    path = SHARED / "models" / file
    backbone = torch.export.load(path) if path.suffix == ".pt2" else torch.jit.load(path)
    siamese = SiameseCosine(backbone)
    pair = tuple(
        (torch.from_numpy(golden[name]).permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.5
        for name in ("img_a", "img_b")
    )
    method = SimilarityArgumentGradient(siamese, float(golden["threshold"]), polarity)
    # oneDNN's convolutions alone move float32 gradients by up to 1.6e-5 of the largest here.
    with torch.backends.mkldnn.flags(enabled=False):
        maps = method.attribute(pair)
        scores = siamese(pair)
    np.testing.assert_allclose(scores, golden["cos"], atol=1e-6)
    for mapped, side in zip(maps, "ab", strict=True):
        expected = np.abs(golden[f"grad_{key}_{side}"]).transpose(0, 3, 1, 2)
        for mine, theirs in zip(mapped.numpy(), expected, strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-5 * theirs.max())
