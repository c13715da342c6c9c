"""Bad input of every kind to every metric: a clear error or what the definition says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from captum_fv.metrics import (
    DPRResult,
    decision_patch_replacement,
    det_curve,
    eer_threshold,
    equal_error_rate,
    error_rates,
)
from tests.support.bad_arguments import (
    LABELS,
    MAPS,
    METRICS,
    ORIGINAL,
    PAIR,
    SIAMESE,
    SOME_COUNTS,
    SOME_FUNCTIONS,
    SOME_IMAGES,
    SOME_LABELS,
    SOME_NUMBERS,
    one_of_them_wrong,
)
from tests.support.bad_input import clear_error, fuzzed, image_state, model_state, world


def replaced_naively(forward_func, img_a, img_b, original_a, attributions, threshold, steps):
    """Scores (T, N) of DPR, from its definition."""
    values = attributions.detach().double().mean(1).expand(img_a.shape[0], *img_a.shape[2:])
    scores = np.empty((steps, len(img_a)))
    for k in range(len(img_a)):
        first = float(forward_func(img_a[k : k + 1], img_b[k : k + 1]))
        scattered = torch.randperm(values[k].numel(), generator=torch.Generator().manual_seed(0))
        signed = (-1 if first >= threshold else 1) * values[k].flatten()[scattered]
        order = scattered[signed.argsort(stable=True)]
        for t in range(steps):
            image = img_a[k : k + 1].detach().clone().contiguous()
            back = order[: round(len(order) * t / steps)]
            image.view(-1, len(order))[:, back] = original_a[k].reshape(-1, len(order))[:, back]
            scores[t, k] = float(forward_func(image, img_b[k : k + 1]))
    return scores


@fuzzed(120)
@given(
    arguments=one_of_them_wrong(
        forward_func=(SIAMESE, SOME_FUNCTIONS),
        img_a=(PAIR[0], SOME_IMAGES),
        img_b=(PAIR[1], SOME_IMAGES),
        original_a=(ORIGINAL, SOME_IMAGES),
        attributions=(MAPS, SOME_IMAGES),
        threshold=(0.3, SOME_NUMBERS),
        genuine=(LABELS, SOME_LABELS),
        steps=(4, SOME_COUNTS),
    )
)
def test_decision_patch_replacement(arguments):
    images = [arguments[name] for name in ("img_a", "img_b", "original_a", "attributions")]
    before = [world(), [image_state(image) for image in images]]
    arguments["pair"] = arguments.pop("img_a"), arguments.pop("img_b")
    run, _ = clear_error(lambda: decision_patch_replacement(**arguments), arguments)
    assert before == [world(), [image_state(image) for image in images]]
    if run is None:
        return
    forward_func, (img_a, img_b) = arguments["forward_func"], arguments["pair"]
    with torch.no_grad():
        expected = replaced_naively(
            forward_func, img_a, img_b, *images[2:], run.threshold, len(run.scores)
        )
    half = torch.is_tensor(forward_func(img_a, img_b)) and forward_func is not SIAMESE
    np.testing.assert_allclose(run.scores, expected, rtol=1e-3 if half else 1e-5, atol=1e-6)
    errors = (expected >= run.threshold) != np.array(run.genuine)
    np.testing.assert_allclose(run.fmr, errors[:, ~run.genuine].mean(1))


def finite(value: Any) -> bool:
    """Whether nothing in a result is NaN or infinite."""
    if isinstance(value, torch.Tensor | np.ndarray | float):
        return bool(np.isfinite(np.asarray(value)).all())
    if isinstance(value, tuple | list):
        return all(map(finite, value))
    return finite(list(vars(value).values())) if hasattr(value, "__dataclass_fields__") else True


def plain(value: Any) -> Any:
    """The same argument as it is written as a rule."""
    if isinstance(value, torch.Tensor) and value.ndim:
        return value.detach().clone().contiguous()
    return tuple(map(plain, value)) if isinstance(value, tuple) else value


@pytest.mark.extended
@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.__name__)
@fuzzed(40)
@given(data=st.data())
def test_every_metric(metric, data):
    arguments = data.draw(one_of_them_wrong(**METRICS[metric]))
    before = [world(), model_state(SIAMESE)]
    result, _ = clear_error(lambda: metric(**arguments), arguments)
    assert before == [world(), model_state(SIAMESE)]
    if result is None or isinstance(result, torch.nn.Module):
        return
    assert finite(result)
    with torch.no_grad():
        again = metric(**{name: plain(value) for name, value in arguments.items()})
    if isinstance(result, torch.Tensor | np.ndarray | tuple):
        np.testing.assert_allclose(np.asarray(result), np.asarray(again), rtol=1e-4, atol=1e-6)


SOME_SCORES = st.one_of(
    st.lists(st.floats(), min_size=3, max_size=5),
    st.lists(st.floats(-1, 1), min_size=4, max_size=4),
    st.lists(st.floats(-1, 1, width=32), min_size=4, max_size=4).map(torch.tensor),
    st.sampled_from([None, "abcd", [[0.1] * 4], [0.1, None, 0.2, 0.3], [1j] * 4, [0, 1, 1, 0]]),
    st.sampled_from(
        [torch.zeros(4, device="meta"), torch.eye(4).to_sparse(), torch.eye(4)[0] * 1j]
    ),
)


@fuzzed(150)
@given(scores=SOME_SCORES, genuine=SOME_LABELS, threshold=SOME_NUMBERS)
def test_error_rates(scores, genuine, threshold):
    rates, _ = clear_error(lambda: error_rates(scores, genuine, threshold), scores, genuine)
    for curve in (det_curve, eer_threshold, equal_error_rate):
        figures, _ = clear_error(lambda curve=curve: curve(scores, genuine), scores, genuine)
        assert figures is None or finite(figures)
    if rates is None:
        return
    matches = [float(score) >= float(threshold) for score in scores]
    wrong = [match for match, same in zip(matches, genuine, strict=True) if not same]
    right = [match for match, same in zip(matches, genuine, strict=True) if same]
    assert rates.fmr == pytest.approx(sum(wrong) / len(wrong))
    assert rates.fnmr == pytest.approx(1 - sum(right) / len(right))


def test_runs_of_other_steps_are_not_compared():
    run = decision_patch_replacement(SIAMESE, PAIR, ORIGINAL, MAPS, 0.3, LABELS, 4)
    other = decision_patch_replacement(SIAMESE, PAIR, ORIGINAL, MAPS, 0.3, LABELS, 5)
    with pytest.raises(ValueError, match="steps"):
        run.difference_to(other)
    with pytest.raises(TypeError, match="confidence"):
        run.auc_interval("mean", None)
    for scores in (run.scores[0], run.scores[:, :3], run.scores * np.nan):
        with pytest.raises(ValueError, match="scores"):
            DPRResult(scores, run.repaired_scores, run.genuine, 0.3)


def test_one_step_is_the_whole_image():
    metric, arguments = next(
        item for item in METRICS.items() if "batch_size" in item[1] and "original_a" in item[1]
    )
    usual = {name: value for name, (value, _) in arguments.items()} | {"steps": 1}
    score = SIAMESE(*usual["pair"]).item()
    original = SIAMESE(usual["original_a"], usual["pair"][1]).item()
    flip = metric(**usual | {"threshold": (score + original) / 2})
    assert flip.share == 1
    assert metric(**usual | {"threshold": min(score, original) - 0.1}) is None
