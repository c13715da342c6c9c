"""One fixed list of tests that every attribution method passes through."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from inspect import signature
from typing import Any

import pytest
import torch
from captum.attr import NoiseTunnel, visualization
from captum.metrics import infidelity, sensitivity_max
from torch import Tensor

from captum_fv.attr import (
    AdversarialPathMap,
    CentrePrior,
    CorrelationRiseAttribution,
    FeatureGuidedGradient,
    IntegratedArgumentGradient,
    LocalAgreement,
    MinPlusAttribution,
    OcclusionPairAttribution,
    PairGradCam,
    PairInputXGradient,
    PairInteraction,
    PairSaliency,
    PatchedCosineAttribution,
    PatchOracle,
    PixelDifference,
    RandomPairBaseline,
    SensitivityControl,
    SimilarityArgumentGradient,
)
from captum_fv.siamese import SiameseCosine
from tests.support.nets import SIZE, THRESHOLD, random_pair, small_head, small_siamese


@dataclass(frozen=True)
class Case:
    """How to build a method, and what it cannot promise."""

    build: Callable[[SiameseCosine], Any]
    extras: dict[str, Any] = field(default_factory=dict)
    symmetric: bool = True
    asks_the_model: bool = True


MASK = torch.zeros(1, 1, *SIZE, dtype=torch.bool)
MASK[..., 4:12, 4:12] = True

CASES = {
    "xssab": Case(lambda s: SimilarityArgumentGradient(s, THRESHOLD)),
    "xssab-similarity": Case(lambda s: SimilarityArgumentGradient(s, THRESHOLD, "similarity")),
    "xssab-dissimilarity": Case(
        lambda s: SimilarityArgumentGradient(s, THRESHOLD, "dissimilarity")
    ),
    "xface1": Case(lambda s: OcclusionPairAttribution(s, 1, (3, 6), 4)),
    "xface2": Case(lambda s: OcclusionPairAttribution(s, 2, (3, 6), 4)),
    "xface3": Case(lambda s: OcclusionPairAttribution(s, 3, (3, 6), 4)),
    "xface2-alternative": Case(
        lambda s: OcclusionPairAttribution(
            s, 2, (3, 6), 4, fill="alternative", threshold=THRESHOLD, normalise_coverage=True
        )
    ),
    "xface3-alternative": Case(
        lambda s: OcclusionPairAttribution(s, 3, (3, 6), 4, fill="alternative", threshold=THRESHOLD)
    ),
    "corrrise": Case(lambda s: CorrelationRiseAttribution(s, num_masks=40)),
    "corrrise-alternative": Case(
        lambda s: CorrelationRiseAttribution(
            s, "rise", 40, "pearson", fill="alternative", threshold=THRESHOLD
        )
    ),
    "minplus": Case(lambda s: MinPlusAttribution(s, points=4, steps=2)),
    "minplus-s0": Case(lambda s: MinPlusAttribution(s, "s0-", signed=True, points=4)),
    "xcos-similarity": Case(lambda s: PatchedCosineAttribution(s, small_head())),
    "xcos-contribution": Case(
        lambda s: PatchedCosineAttribution(s, small_head(), "contribution", symmetrise=True)
    ),
    "xcos-weight": Case(
        lambda s: PatchedCosineAttribution(s, small_head(), "weight", threshold=THRESHOLD)
    ),
    "iag-decision": Case(lambda s: IntegratedArgumentGradient(s, THRESHOLD)),
    # As wide in pixels as on a face of 112, for no blur would average half precision's noise out.
    "iag-polarity": Case(
        lambda s: IntegratedArgumentGradient(s, THRESHOLD, "polarity", smoothing=5 / SIZE[0])
    ),
    "iag-relevance": Case(lambda s: IntegratedArgumentGradient(s, THRESHOLD, "relevance")),
    "iag-agreement": Case(lambda s: IntegratedArgumentGradient(s, THRESHOLD, agreement=0.5)),
    "agreement": Case(lambda s: LocalAgreement(s)),
    "fggb": Case(lambda s: FeatureGuidedGradient(s, THRESHOLD)),
    "fggb-largest": Case(lambda s: FeatureGuidedGradient(s, THRESHOLD, 8, batch_size=6)),
    # Short paths up and down mirror each other, and half precision would leave noise of them.
    "fame": Case(lambda s: AdversarialPathMap(s, steps=8, step_size=0.02)),
    "fame-similarity": Case(lambda s: AdversarialPathMap(s, "similarity", steps=4)),
    "gradcam": Case(lambda s: PairGradCam(s)),
    "saliency": Case(lambda s: PairSaliency(s)),
    "input-x-gradient": Case(lambda s: PairInputXGradient(s)),
    "interaction": Case(lambda s: PairInteraction(s, (3, 2), masks=24)),
    "interaction-alternative": Case(
        lambda s: PairInteraction(
            s,
            (2, 3),
            masks=24,
            keep=0.5,
            weights="adds_up",
            fill="alternative",
            threshold=THRESHOLD,
        )
    ),
    # Random maps do not follow the images, and the oracle's patches lie in image A alone.
    "rnd": Case(lambda s: RandomPairBaseline(s), symmetric=False, asks_the_model=False),
    "rnd-shared": Case(lambda s: RandomPairBaseline(s, shared_order=True), asks_the_model=False),
    "oracle": Case(
        lambda s: PatchOracle(s, THRESHOLD), extras={"patch_mask": MASK}, symmetric=False
    ),
    "difference": Case(lambda s: PixelDifference(s), asks_the_model=False),
    "sensitivity": Case(lambda s: SensitivityControl(s, THRESHOLD)),
    "centre": Case(lambda s: CentrePrior(s, THRESHOLD)),
}

every_method = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())


@pytest.fixture
def siamese() -> SiameseCosine:
    return small_siamese()


@pytest.fixture
def pair() -> tuple[Tensor, Tensor]:
    return random_pair()


@every_method
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_maps_look_like_their_images(case, siamese, pair, dtype):
    img_a, img_b = (image.to(dtype) for image in pair)
    maps = case.build(siamese.to(dtype)).attribute(img_a, img_b, **case.extras)
    assert isinstance(maps, tuple)
    assert len(maps) == 2
    for mapped, image in zip(maps, (img_a, img_b), strict=True):
        assert mapped.shape == image.shape
        assert mapped.dtype == image.dtype
        assert torch.isfinite(mapped).all()
        assert not mapped.requires_grad
        assert not mapped.is_inference()


@every_method
def test_a_tuple_is_the_same_as_two_arguments(case, siamese, pair):
    two = case.build(siamese).attribute(*pair, **case.extras)
    one = case.build(siamese).attribute(pair, **case.extras)
    assert torch.equal(two[0], one[0])
    assert torch.equal(two[1], one[1])


@every_method
def test_swapping_the_images_swaps_the_maps(case, siamese, pair):
    if not case.symmetric:
        pytest.skip("its maps do not come from the images")
    map_a, map_b = case.build(siamese).attribute(*pair, **case.extras)
    swapped_b, swapped_a = case.build(siamese).attribute(pair[1], pair[0], **case.extras)
    torch.testing.assert_close(swapped_a, map_a)
    torch.testing.assert_close(swapped_b, map_b)


@every_method
def test_pairs_do_not_see_each_other(case, siamese, pair):
    together = case.build(siamese).attribute(*pair, **case.extras)
    method = case.build(siamese)
    alone = [method.attribute(a[None], b[None], **case.extras) for a, b in zip(*pair, strict=True)]
    for side in (0, 1):
        torch.testing.assert_close(torch.cat([maps[side] for maps in alone]), together[side])


def _state(siamese: SiameseCosine) -> list[Any]:
    modules = list(siamese.modules())
    return [
        [module.training for module in modules],
        [len(module._forward_hooks) + len(module._backward_hooks) for module in modules],
        [parameter.requires_grad for parameter in siamese.parameters()],
        [parameter.grad for parameter in siamese.parameters()],
        torch.get_rng_state().tolist(),
        torch.is_grad_enabled(),
        [value.clone() for value in siamese.state_dict().values()],
    ]


@every_method
@pytest.mark.parametrize("fails", [False, True], ids=["returns", "raises"])
def test_nothing_of_the_callers_changes(case, siamese, pair, fails):
    img_a, img_b = pair
    img_a.requires_grad_()
    before, pixels = _state(siamese), img_a.detach().clone()
    if fails:
        broken = img_b.clone()
        broken[0, 0, 0, 0] = torch.nan
        with pytest.raises(ValueError, match="NaN"):
            case.build(siamese).attribute(img_a, broken, **case.extras)
    else:
        map_a, map_b = case.build(siamese).attribute(img_a, img_b, **case.extras)
        map_a.zero_(), map_b.zero_()
    assert img_a.grad is None
    assert img_a.requires_grad
    assert not img_b.requires_grad
    assert torch.equal(img_a, pixels)
    after = _state(siamese)
    assert before[:-1] == after[:-1]
    assert all(torch.equal(b, a) for b, a in zip(before[-1], after[-1], strict=True))


@every_method
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_the_callers_gradient_mode_does_not_matter(case, siamese, pair, mode):
    expected = case.build(siamese).attribute(*pair, **case.extras)
    with mode():
        copies = tuple(image.clone() for image in pair)
        maps = case.build(siamese).attribute(*copies, **case.extras)
    torch.testing.assert_close(maps[0], expected[0])
    torch.testing.assert_close(maps[1], expected[1])


@pytest.mark.extended
@every_method
@pytest.mark.parametrize("kind", ["smoothgrad", "smoothgrad_sq", "vargrad"])
def test_noise_tunnel(case, siamese, pair, kind):
    tunnel = NoiseTunnel(case.build(siamese))
    options = {"nt_type": kind, "nt_samples": 3, "nt_samples_batch_size": 2, "stdevs": 0.0}
    maps = tunnel.attribute(pair, **options, **case.extras)
    assert [mapped.shape for mapped in maps] == [image.shape for image in pair]
    if case.asks_the_model:
        plain = case.build(siamese).attribute(pair, **case.extras)
        for mapped, single in zip(maps, plain, strict=True):
            power = {"smoothgrad": single, "smoothgrad_sq": single**2, "vargrad": 0 * single}
            torch.testing.assert_close(mapped, power[kind], atol=1e-5, rtol=1e-4)


@every_method
def test_infidelity(case, siamese, pair):
    darker = tuple(image - 0.01 for image in pair)

    def perturb(inputs):
        noise = tuple(0.01 * torch.ones_like(image) for image in inputs)
        return noise, tuple(image - n for image, n in zip(inputs, noise, strict=True))

    maps = case.build(siamese).attribute(pair, **case.extras)
    value = infidelity(siamese, perturb, pair, maps, n_perturb_samples=2)
    promised = sum(0.01 * mapped.sum((1, 2, 3)) for mapped in maps)
    change = (siamese(*pair) - siamese(*darker)).detach()
    torch.testing.assert_close(value, (promised - change) ** 2, atol=1e-6, rtol=1e-3)


@every_method
def test_sensitivity_max(case, siamese, pair):
    def lighter(inputs, radius):
        return tuple(image + radius for image in inputs)

    method = case.build(siamese)
    value = sensitivity_max(
        method.attribute, pair, lighter, 0.02, n_perturb_samples=2, **case.extras
    )
    assert value.shape == (4,)
    assert torch.isfinite(value).all()
    if case.asks_the_model:
        before, after = (
            torch.cat(case.build(siamese).attribute(images, **case.extras), 1).flatten(1)
            for images in (pair, lighter(pair, 0.02))
        )
        expected = (after - before).norm(dim=1) / before.norm(dim=1)
        torch.testing.assert_close(value, expected, atol=1e-5, rtol=1e-3)


@every_method
@pytest.mark.parametrize("kind", ["blended_heat_map", "masked_image"])
def test_captums_pictures(case, siamese, pair, kind):
    maps = case.build(siamese).attribute(pair, **case.extras)
    assert maps[0][0].any()
    for mapped, image in zip(maps, pair, strict=True):
        if not mapped[0].any():
            continue  # the oracle's map of B; Captum cannot draw zeros
        shown, photo = (tensor[0].permute(1, 2, 0).numpy() for tensor in (mapped, image))
        sign = "all" if kind == "blended_heat_map" else "absolute_value"
        figure, _ = visualization.visualize_image_attr(shown, photo, kind, sign, use_pyplot=False)
        assert figure.axes[0].images


@every_method
def test_training_mode_is_an_error(case, siamese, pair):
    if not case.asks_the_model:
        pytest.skip("it does not ask the model")
    siamese.train()
    statistics = siamese.backbone.layers[1].running_mean.clone()
    with pytest.raises(ValueError, match=r"siamese\.eval\(\)"):
        case.build(siamese).attribute(*pair, **case.extras)
    assert torch.equal(siamese.backbone.layers[1].running_mean, statistics)


A, B = random_pair()
BAD_PAIRS = {
    "one image": ((A,), TypeError, "one image"),
    "three images": (((A, A, B),), TypeError, "tuple of 3"),
    "a tuple and an image": (((A, B), B), TypeError, "and img_b"),
    "no tensor": ((A.numpy(), B), TypeError, "want a tensor"),
    "one photo": ((A[0], B[0]), ValueError, r"write img_a\[None\]"),
    "another count": ((A, B[:1]), ValueError, "expand_as"),
    "another size": ((A, B[..., :-1]), ValueError, "equal shapes"),
    "grey partner": ((A, B[:, :1]), ValueError, "equal shapes"),
    "no pairs": ((A[:0], B[:0]), ValueError, "shape"),
    "bytes": (((A * 255).byte(), (B * 255).byte()), ValueError, "/ 255"),
    "mixed dtypes": ((A, B.double()), ValueError, "the same for both"),
    "infinite": ((A, B / 0), ValueError, "infinite"),
}


@every_method
@pytest.mark.parametrize(("pair", "error", "says"), BAD_PAIRS.values(), ids=BAD_PAIRS.keys())
def test_bad_pairs_are_named(case, siamese, pair, error, says):
    with pytest.raises(error, match=says):
        case.build(siamese).attribute(*pair, **case.extras)


@every_method
def test_a_target_is_refused(case, siamese, pair):
    with pytest.raises(ValueError, match="leave target=None"):
        case.build(siamese).attribute(*pair, target=1, **case.extras)


@every_method
@pytest.mark.parametrize("threshold", [float("nan"), torch.zeros(3), "0.3"])
def test_bad_thresholds_are_named(case, siamese, pair, threshold):
    method = case.build(siamese)
    if not hasattr(method, "threshold"):
        pytest.skip("it needs no threshold")
    method.threshold = threshold
    with pytest.raises((TypeError, ValueError), match="threshold"):
        method.attribute(*pair, **case.extras)


@every_method
def test_non_contiguous_images_and_leaves_are_fine(case, siamese, pair):
    expected = case.build(siamese).attribute(*pair, **case.extras)
    strided = [image.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2) for image in pair]
    maps = case.build(siamese).attribute(*strided, **case.extras)
    torch.testing.assert_close(maps[0], expected[0])


@every_method
def test_per_pair_thresholds(case, siamese, pair):
    method = case.build(siamese)
    if not hasattr(method, "threshold"):
        pytest.skip("it needs no threshold")
    thresholds = torch.tensor([-0.9, 0.9, 0.0, 0.5])
    together = method.attribute(*pair, threshold=thresholds, **case.extras)
    for k in range(4):
        alone = method.attribute(
            pair[0][k : k + 1], pair[1][k : k + 1], threshold=float(thresholds[k]), **case.extras
        )
        torch.testing.assert_close(alone[0][0], together[0][k])
        torch.testing.assert_close(alone[1][0], together[1][k])


@every_method
def test_a_threshold_that_nothing_needs_is_refused(case, siamese, pair):
    method = case.build(siamese)
    if hasattr(method, "threshold"):
        pytest.skip("it needs one")
    with pytest.raises(TypeError, match="threshold"):
        method.attribute(*pair, threshold=THRESHOLD, **case.extras)


@every_method
def test_the_options_it_names_are_those_it_takes(case, siamese):
    method = case.build(siamese)
    known = {"patch_mask", "explain", "scores", "show_progress", "reference", "against"}
    taken = known & signature(method.attribute).parameters.keys()
    # xFace takes a reference, and asks for one only if the alternative is its fill; nearly all
    # take `against`, and say so where they have no answer.
    assert method.options <= taken <= method.options | {"reference", "against"}


@every_method
def test_why_b_and_not_c_is_answered_or_refused(case, siamese, pair):
    method = case.build(siamese)
    embeddings = siamese.embed_images(random_pair(seed=9)[0]).detach()
    if "against" not in method.options:
        with pytest.raises((TypeError, ValueError), match="against"):
            method.attribute(*pair, against=embeddings, **case.extras)
        return
    maps = method.attribute(*pair, against=embeddings)
    swapped_b, swapped_a = case.build(siamese).attribute(pair[1], pair[0], against=embeddings)
    torch.testing.assert_close(swapped_a, maps[0])
    torch.testing.assert_close(swapped_b, maps[1])
    plain = case.build(siamese).attribute(*pair)
    assert not torch.allclose(plain[0], maps[0], rtol=0.01, atol=1e-6)
    for k in (0, 3):
        alone = case.build(siamese).attribute(pair[0][[k]], pair[1][[k]], against=embeddings[k])
        torch.testing.assert_close(alone[0][0], maps[0][k])
        torch.testing.assert_close(alone[1][0], maps[1][k])
    if hasattr(method, "threshold"):
        with pytest.raises(ValueError, match="decided at 0"):
            method.attribute(*pair, threshold=0.2, against=embeddings)


@every_method
def test_against_a_cohort_whose_mean_is_nobody_it_decides_at_zero(case, siamese, pair):
    method = case.build(siamese)
    if "against" not in method.options:
        pytest.skip("it has no answer")
    one = siamese.embed_images(random_pair(seed=9)[0][:1]).detach()
    maps = case.build(siamese).attribute(pair, against=torch.cat([one, -one])[None])
    at_zero = {"threshold": 0.0} if hasattr(method, "threshold") else {}
    plain = method.attribute(pair, **at_zero)
    torch.testing.assert_close(maps[0], plain[0])
    torch.testing.assert_close(maps[1], plain[1])
