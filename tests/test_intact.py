"""One method of the user's own that writes where it should not changes no other's figures."""

import numpy as np
import pytest
import torch
from torch import nn

from captum_fv.attr import PixelDifference, SensitivityControl
from captum_fv.benchmark import BenchmarkSettings, intact, run_benchmark
from captum_fv.benchmark.intact import state_of, untouched
from captum_fv.benchmark.maps import maps_of_pair
from tests.support.nets import random_pair, small_siamese
from tests.test_benchmark import loader

SETTINGS = BenchmarkSettings(batch_size=4, latency_pairs=3, audit_pairs=4)
RUDE = {
    "in place": lambda siamese: _weight(siamese).mul_(1.01),
    "past the version": lambda siamese: _weight(siamese).data.mul_(1.01),
    "sign": lambda siamese: _weight(siamese).data.neg_(),
    "swapped": lambda siamese: _weight(siamese).data.copy_(_weight(siamese).flip(0)),
    "a new parameter": lambda siamese: setattr(
        _layer(siamese), "weight", nn.Parameter(1.01 * _weight(siamese))
    ),
    "a hook": lambda siamese: _layer(siamese).register_forward_hook(lambda *_: None),
    "mean": lambda siamese: siamese.mean.add_(0.01),
}


def _layer(siamese):
    return next(module for module in siamese.modules() if isinstance(module, nn.Conv2d))


def _weight(siamese):
    return _layer(siamese).weight


class Own:
    """A method that does something else first."""

    def __init__(self, siamese, first):
        self.siamese, self.first = siamese, first

    @torch.no_grad()
    def attribute(self, img_a, img_b):
        self.first(img_a, img_b)
        return img_a - img_b, img_b - img_a


def methods(first):
    return {
        "own": lambda siamese, threshold: Own(siamese, lambda *pair: first(siamese, *pair)),
        "sensitivity": SensitivityControl,
        "difference": lambda siamese, threshold: PixelDifference(siamese),
    }


def test_a_method_that_writes_on_its_input_changes_no_other(tmp_path):
    def erase(siamese, img_a, img_b):
        img_a.zero_()
        img_b.numpy()[:] = 1

    polite = methods(lambda *_: None)
    runs = [
        run_benchmark({"net": small_siamese()}, loader(), some, tmp_path / name, SETTINGS)
        for name, some in (("rude", methods(erase)), ("polite", polite))
    ]
    rude, expected = (run.models["net"].methods for run in runs)
    for name in ("sensitivity", "difference"):
        np.testing.assert_array_equal(rude[name].dpr.scores, expected[name].dpr.scores)
        for kind, curves in expected[name].audit.curves.items():
            np.testing.assert_array_equal(rude[name].audit.curves[kind].deletion, curves.deletion)
    pair = random_pair()
    before = [image.clone() for image in pair]
    maps_of_pair({"own": Own(None, lambda *pair: erase(None, *pair))}, pair)
    assert all(torch.equal(*images) for images in zip(pair, before, strict=True))


@pytest.mark.parametrize("kind", RUDE)
def test_a_method_that_changes_the_model_is_named(tmp_path, kind):
    some = methods(lambda siamese, *_: RUDE[kind](siamese))
    with pytest.raises(ValueError, match=r"^own changes the model \(\S+\)"):
        run_benchmark({"net": small_siamese()}, loader(), some, tmp_path, SETTINGS)
    assert not list(tmp_path.glob("chunks/maps*"))


def test_a_constructor_that_changes_the_model_is_named(tmp_path):
    @torch.no_grad()
    def build(siamese, threshold):
        RUDE["in place"](siamese)
        return PixelDifference(siamese)

    with pytest.raises(ValueError, match="own on net: its constructor changes the model"):
        run_benchmark(
            {"net": small_siamese()}, loader(), {"own": build}, tmp_path / "run", SETTINGS
        )
    assert not (tmp_path / "run").exists()


def test_a_count_of_calls_is_no_change():
    model = nn.BatchNorm2d(3).to(torch.bfloat16)
    with untouched(model, "counting"):
        model.num_batches_tracked += 1
    with (
        pytest.raises(ValueError, match=r"drifting changes the model \(running_var\)"),
        untouched(model, "drifting"),
    ):
        model.running_var += 1


def test_every_tensor_is_watched_in_whichever_group(monkeypatch):
    """Neighbours are added up together, and each has a sum of its own."""
    for together in (1, 20, 1 << 22):
        monkeypatch.setattr(intact, "_TOGETHER", together)
        model = small_siamese()
        model.backbone.register_buffer("halves", torch.ones(3, dtype=torch.float16))
        for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
            if not tensor.is_floating_point() or not tensor.numel():
                continue
            before = state_of(model)
            flat = tensor.data.view(-1)
            kept = flat[-1].clone()
            flat[-1] += 1
            after = state_of(model)
            assert [key for key in before if before[key] != after[key]] == [name]
            flat[-1] = kept
            assert state_of(model) == before
            if len(flat) > 1 and flat[0] != flat[-1]:
                flat[[0, -1]] = flat[[-1, 0]]  # swapped weights do not cancel out
                assert state_of(model) != before
