"""Adapters give what the package itself gives, and what the toolkits' definitions say."""

import re
import sys
from itertools import cycle
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import captum_fv.adapters as adapters
from captum_fv.adapters import (
    Embedder,
    HeldPartner,
    PairClassifier,
    SimilarityTarget,
    explain_func,
    image_function,
    towards,
)
from captum_fv.attr import (
    CorrelationRiseAttribution,
    SimilarityArgumentGradient,
)
from captum_fv.data.pairs import to_image, to_tensor
from captum_fv.metrics import DecisionPatchReplacement, decision_patch_replacement
from tests.support.nets import random_pair, small_siamese

SIAMESE, PAIR = small_siamese(), random_pair(6)
with torch.no_grad():
    SCORES = SIAMESE(*PAIR)
LEVEL = float(SCORES.sort().values[2:4].mean())
"""A threshold that half of the pairs pass, and none is at."""
MATCH = (SCORES >= LEVEL).numpy()


def toolkit(name):
    return pytest.importorskip(name, reason=f"{name} is not installed", exc_type=ImportError)


def test_classifiers_say_the_decision():
    stacked = torch.cat(PAIR, 1)
    for logits in (
        PairClassifier(SIAMESE, LEVEL)(stacked),
        HeldPartner(SIAMESE, PAIR[1], LEVEL)(PAIR[0]),
    ):
        torch.testing.assert_close(logits, torch.stack([LEVEL - SCORES, SCORES - LEVEL], 1))
        assert np.array_equal(logits.argmax(1).numpy(), MATCH)
    one = HeldPartner(SIAMESE, PAIR[1][:1], LEVEL)(PAIR[0])
    torch.testing.assert_close(
        one[:, 1] + LEVEL, SIAMESE(PAIR[0], PAIR[1][:1].expand(6, -1, -1, -1))
    )
    assert not HeldPartner(SIAMESE, PAIR[1], LEVEL).training
    with pytest.raises(ValueError, match=r"got 4 images and 6 partners.*batch_size=6"):
        HeldPartner(SIAMESE, PAIR[1], LEVEL)(PAIR[0][:4])
    with pytest.raises(TypeError, match="threshold"):
        PairClassifier(SIAMESE, "high")
    with pytest.raises(TypeError, match=r"SiameseCosine\(backbone\)"):
        HeldPartner(nn.Identity(), PAIR[1], LEVEL)


def test_maps_speak_for_the_class_asked_for():
    method = SimilarityArgumentGradient(SIAMESE, LEVEL)
    map_a, map_b = method.attribute(PAIR)
    signs = torch.where(torch.from_numpy(MATCH), 1.0, -1.0).reshape(-1, 1, 1, 1)
    stacked = explain_func(method)(None, torch.cat(PAIR, 1).numpy(), MATCH)
    assert np.array_equal(stacked, (signs * torch.cat([map_a, map_b], 1)).numpy())
    held = explain_func(method, PAIR[1])(None, PAIR[0].numpy(), MATCH)
    assert np.array_equal(held, (signs * map_a).numpy())
    assert np.array_equal(towards(MATCH, towards(MATCH, held)), held)
    with pytest.raises(ValueError, match="want one partner, or one for each image"):
        explain_func(method, PAIR[1])(None, PAIR[0][1:].numpy(), MATCH[1:])


def test_photos_as_arrays_have_probabilities():
    ask = image_function(SIAMESE, PAIR[1][:1], LEVEL)
    photos = PAIR[0].permute(0, 2, 3, 1).numpy()
    with torch.no_grad():
        margin = SIAMESE(PAIR[0], PAIR[1][:1].expand_as(PAIR[0])) - LEVEL
    np.testing.assert_allclose(ask(photos)[:, 1], torch.sigmoid(2 * margin), atol=1e-6)
    np.testing.assert_allclose(ask(photos).sum(1), 1, atol=1e-6)
    with pytest.raises(ValueError, match=r"photos: got shape .*; want \(N, H, W, C\)"):
        ask(photos[0])


def test_an_embedding_is_asked_for_its_cosine():
    targets = [SimilarityTarget(partner) for partner in SIAMESE.embed_images(PAIR[1])]
    asked = [target(e) for target, e in zip(targets, Embedder(SIAMESE)(PAIR[0]), strict=True)]
    torch.testing.assert_close(torch.stack(asked), SCORES)
    with pytest.raises(TypeError, match="got Identity; want a SiameseCosine"):
        Embedder(nn.Identity())


@pytest.mark.parametrize(
    ("name", "missing", "install"),
    [
        ("QuantusDPR", "quantus", "quantus"),
        ("TorchMetricsDPR", "torchmetrics", "torchmetrics"),
        ("XaitkAttribution", "xaitk_saliency", "xaitk-saliency"),
    ],
)
def test_a_missing_toolkit_is_named(monkeypatch, name, missing, install):
    monkeypatch.setitem(sys.modules, missing, None)
    monkeypatch.setitem(sys.modules, "smqtk_descriptors", None)
    for module in set(adapters._OF_TOOLKITS.values()):
        monkeypatch.delitem(sys.modules, f"captum_fv.adapters.{module}", raising=False)
    with pytest.raises(ImportError, match=f"; pip install {install}$"):
        getattr(adapters, name)
    assert name in dir(adapters)
    with pytest.raises(AttributeError, match="Nothing"):
        adapters.Nothing  # noqa: B018


@pytest.fixture
def perturbed():
    """Pairs, their originals, maps and labels for DPR."""
    torch.manual_seed(3)
    original = 0.5 * PAIR[0] + 0.5 * PAIR[1]
    return PAIR, original, torch.randn_like(original), np.array([True, False] * 3)


def test_torchmetrics_has_our_figures_in_a_collection_and_over_batches(perturbed):
    torchmetrics = toolkit("torchmetrics")
    pair, original, maps, genuine = perturbed
    ours = DecisionPatchReplacement(SIAMESE, LEVEL, 5)
    # Thresholds that the first batch does not tell apart must not become one metric.
    near = LEVEL + 1e-6
    collection = torchmetrics.MetricCollection(
        {
            "dpr": adapters.TorchMetricsDPR(SIAMESE, LEVEL, 5),
            "near": adapters.TorchMetricsDPR(SIAMESE, near, 5),
        }
    )
    for rows in (slice(0, 1), slice(1, 4), slice(4, 6)):
        batch = tuple(image[rows] for image in pair), original[rows], maps[rows], genuine[rows]
        collection.update(*batch)
        ours.update(*batch)
    ours = ours.compute()
    found = {name: area.item() for name, area in collection.compute().items()}
    assert found["dpr_fmr_auc"] == pytest.approx(ours.fmr_auc)
    assert found["dpr_fnmr_auc"] == pytest.approx(ours.fnmr_auc)
    result = collection["dpr"].result()
    assert np.array_equal(result.scores, ours.scores)
    assert np.array_equal(result.tied, ours.tied)
    assert collection["near"].result().threshold == near
    assert collection["dpr"].state_dict() == {}
    collection.reset()
    with pytest.raises(ValueError, match="no pairs yet"):
        collection["dpr"].result()


def test_torchmetrics_joins_what_two_processes_measured(perturbed):
    toolkit("torchmetrics")
    from torchmetrics.utilities import dim_zero_cat

    pair, original, maps, genuine = perturbed
    whole = decision_patch_replacement(SIAMESE, pair, original, maps, LEVEL, genuine, steps=5)

    def measured(rows, **options):
        metric = adapters.TorchMetricsDPR(SIAMESE, LEVEL, 5, **options)
        images = tuple(image[rows] for image in pair)
        metric.update(images, original[rows], maps[rows], torch.from_numpy(genuine[rows]))
        return metric

    other = measured(slice(2, 6))  # another number of pairs than the first has

    names = cycle(["scores", "genuine", "tied", "threshold"])  # as states are gathered

    def gather(state, group=None):
        return [state, dim_zero_cat(getattr(other, next(names)))]

    first = measured(slice(0, 2), dist_sync_fn=gather, distributed_available_fn=lambda: True)
    areas = first.compute()
    assert areas["fmr_auc"].item() == pytest.approx(whole.fmr_auc)
    assert areas["fnmr_auc"].item() == pytest.approx(whole.fnmr_auc)
    assert len(first.result().genuine) == 2  # its own again
    with first.sync_context(dist_sync_fn=gather):
        np.testing.assert_allclose(first.result().scores, whole.scores, atol=1e-6)


def test_xaitks_sbsm_is_its_formula():
    toolkit("xaitk_saliency")
    from xaitk_saliency.impls.gen_image_similarity_blackbox_sal.sbsm import SBSMStack

    pair = tuple(image[:2].round(decimals=2) for image in PAIR)
    method = adapters.XaitkAttribution(SIAMESE, SBSMStack((6, 6), (4, 4), "cosine"))
    map_a, map_b = method.attribute(pair)
    assert map_a.shape == pair[0].shape
    assert torch.equal(map_a[:, :1].expand_as(map_a), map_a)
    for k, (own, partner, mapped) in enumerate([(*pair, map_a), (*pair[::-1], map_b)]):
        photo, other = (to_tensor([to_image(image[k])]) for image in (own, partner))
        height, width = photo.shape[2:]
        total, count = np.zeros((height, width)), np.zeros((height, width))
        for row in range(-1, height - 1, 4):  # windows hang over both edges alike
            for column in range(-2, width - 2, 4):
                window = slice(max(row, 0), row + 6), slice(max(column, 0), column + 6)
                hidden = photo.clone()
                hidden[:, :, window[0], window[1]] = 0
                with torch.no_grad():
                    farther = (SIAMESE(photo, other) - SIAMESE(hidden, other)).item()
                total[window] += max(farther, 0)
                count[window] += 1
        expected = total / count
        np.testing.assert_allclose(mapped[k, 0], expected / expected.max(), atol=1e-4)


def test_our_methods_are_xaitks_generators():
    toolkit("xaitk_saliency")
    photos = [to_image(image) for image in PAIR[0][:3]]
    pairs = to_tensor(photos[:1]).expand(2, -1, -1, -1), to_tensor(photos[1:])

    def build(siamese):
        return CorrelationRiseAttribution(siamese, num_masks=20, fill="black")

    descriptors = adapters.SiameseDescriptors(SIAMESE)

    class BlackBox(type(descriptors).__mro__[1]):  # whatever gives arrays
        def generate_arrays_from_images(self, img_mat_iter):
            yield from descriptors.generate_arrays_from_images(img_mat_iter)

        def get_config(self):
            return {}

    expected = build(SIAMESE).attribute(*pairs)[0].mean(1).numpy()
    expected /= np.abs(expected).max((1, 2), keepdims=True)
    for blackbox in (descriptors, BlackBox()):
        maps = adapters.XaitkSaliency(build)(photos[0], photos[1:], blackbox)
        np.testing.assert_allclose(maps, expected, atol=1e-5)
    gradients = adapters.XaitkSaliency(lambda siamese: SimilarityArgumentGradient(siamese, LEVEL))
    assert np.abs(gradients(photos[0], photos[1:], descriptors)).max() == 1
    with pytest.raises(ValueError, match="gradient"):
        gradients(photos[0], photos[1:], BlackBox())
    with pytest.raises(NotImplementedError, match="JSON"):
        descriptors.get_config()


@pytest.fixture
def held():
    """What a metric of Quantus is called with: images A with their B held."""
    toolkit("quantus")
    maps = np.random.default_rng(0).normal(size=PAIR[0].shape).astype(np.float32)
    return {
        "model": HeldPartner(SIAMESE, PAIR[1], LEVEL),
        "x_batch": PAIR[0].numpy(),
        "y_batch": MATCH.astype(int),
        "a_batch": maps,
        "channel_first": True,
    }


def probability(photos, k):
    """Of the decision on pair k, with other photos A."""
    with torch.no_grad():
        scores = SIAMESE(torch.as_tensor(photos)[None], PAIR[1][k : k + 1])
    return 1 / (1 + np.exp(-2 * (scores.item() - LEVEL) * (1 if MATCH[k] else -1)))


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_irof_is_its_definition(held):
    from quantus.helpers.utils import calculate_auc, get_superpixel_segments

    irof = adapters.QuantusIROF(return_aggregate=False, normalise=False)
    for k in range(len(MATCH)):
        # One pair at a time: Quantus fills with the mean of the whole batch.
        one = {name: held[name][k : k + 1] for name in ("x_batch", "y_batch", "a_batch")}
        one["model"] = HeldPartner(SIAMESE, PAIR[1][k : k + 1], LEVEL)
        (found,) = irof(**held | one)
        photo = held["x_batch"][k].copy()
        segments = get_superpixel_segments(np.moveaxis(photo, 0, -1).astype(float), "slic")
        names = np.unique(segments)
        means = [held["a_batch"][k][:, segments == name].mean() for name in names]
        curve, before = [], probability(photo, k)
        for name in names[np.argsort(means)[::-1]]:
            photo[:, segments == name] = photo.mean()
            curve.append(probability(photo, k) / before)
        area = len(curve) - np.sum((np.array(curve[1:]) + np.array(curve[:-1])) / 2)
        assert found == pytest.approx(area, abs=1e-4)
    import quantus.helpers.utils as utils

    assert utils.calculate_auc is calculate_auc  # Quantus is left as it was


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_road_removes_the_pixels_that_a_map_ranks_first(held):
    from quantus.functions.perturb_func import noisy_linear_imputation

    percentages = [10, 40]
    metric = adapters.QuantusROAD(noise=0.0, percentages=percentages, normalise=False)
    found = metric(**held)
    pixels = held["a_batch"].mean(1).reshape(len(MATCH), -1)
    for percent in percentages:
        stand = []
        for k, photo in enumerate(held["x_batch"]):
            first = np.argsort(-pixels[k])[: int(pixels.shape[1] * percent / 100)]
            filled = noisy_linear_imputation(photo, first, noise=0.0)
            left = np.setdiff1d(np.arange(pixels.shape[1]), first)
            rows = filled.reshape(3, -1)[:, left]
            assert np.array_equal(rows, photo.reshape(3, -1)[:, left])
            stand.append(probability(filled.astype(np.float32), k) >= 0.5)
        assert found[percent] == pytest.approx(np.mean(stand))


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_what_the_docs_say_of_quantus_is_so(held):
    """Its own IROF and ROAD stop at photos, and NonSensitivity at any step above one value."""
    import quantus

    quiet = {"disable_warnings": True}
    with pytest.raises(AssertionError, match="same as the mask shape"):
        quantus.IROF(**quiet)(**held)
    with pytest.raises(IndexError, match="out of bounds"):
        quantus.ROAD(percentages=[10], **quiet)(**held)
    step = held["x_batch"][0].size // 6
    with pytest.raises(ValueError, match="could not be broadcast"):
        quantus.NonSensitivity(features_in_step=step, abs=True, **quiet)(**held)


BLOCKS = re.findall(
    r"```python\n(.*?)```",
    (Path(__file__).resolve().parents[1] / "docs/toolkits.md").read_text(encoding="utf-8"),
    flags=re.DOTALL,
)


@pytest.mark.extended
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("number", range(1, len(BLOCKS)))
def test_the_page_of_toolkits_runs(number):
    """Each block after the first, and those of LIME and SHAP after their common one."""
    names = {}
    common = [i for i, block in enumerate(BLOCKS) if "import image_function" in block]
    for block in [BLOCKS[i] for i in (0, *common) if i < number]:
        exec(block, names)
    try:
        exec(BLOCKS[number], names)
    except ModuleNotFoundError as error:
        pytest.skip(f"{error.name} is not installed")
    except ImportError as error:  # an adapter's toolkit
        pytest.skip(str(error))
    found = {name: names[name] for name in ("areas", "lime_map", "shap_map") if name in names}
    for value in found.values():
        figures = np.array([*value.values()] if isinstance(value, dict) else value, float)
        assert np.isfinite(figures).all()
