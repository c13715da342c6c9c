"""What tells one run from another: code, values and channel order that no weights tell of."""

import importlib
import linecache
import shutil
import sys

import numpy as np
import pytest
import torch
from torch import nn

from captum_fv.benchmark import BenchmarkSettings, run_benchmark
from captum_fv.benchmark.provenance import of_methods, of_models
from captum_fv.models import load_backbone
from captum_fv.models.xcos.head import fingerprint
from captum_fv.siamese import SiameseCosine
from tests.support.nets import small_siamese
from tests.test_benchmark import loader

SETTINGS = BenchmarkSettings(batch_size=4, latency_pairs=0, stratified=False)


class Scaled(nn.Module):
    """Gives what no weight or class tells of: what it does is in a dictionary."""

    def __init__(self, told):
        super().__init__()
        self.net, self.told = small_siamese().backbone, told

    def forward(self, images):
        return self.net(images * self.told["by"])


def test_a_model_that_changed_unseen_is_not_mixed_into_a_run(tmp_path):
    """As by another version of a library, or a value in a closure."""
    told = {"by": 1.0}
    call = [{"net": SiameseCosine(Scaled(told).eval(), 0.5, 0.5)}, loader(), ["rnd"], tmp_path]
    run_benchmark(*call, SETTINGS)
    (tmp_path / "chunks/maps-0-000002.npz").unlink()
    run_benchmark(*call, SETTINGS)
    (tmp_path / "chunks/maps-0-000002.npz").unlink()
    told["by"] = -1.0
    with pytest.raises(ValueError, match=r"net: the cosine of a pair is .* begin anew in another"):
        run_benchmark(*call, SETTINGS)


def test_edited_code_of_a_model_is_another_run(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    text = """
from torch import nn

class Edited(nn.Module):
    def forward(self, images):
        return images.flatten(1)[:, ::7]
"""
    for step in (text, text, f"# about it{text}", text.replace("7", "9")):
        (tmp_path / "edited_model.py").write_text(step)
        sys.modules.pop("edited_model", None)
        importlib.invalidate_caches()
        linecache.checkcache()
        shutil.rmtree(tmp_path / "__pycache__", ignore_errors=True)
        model = SiameseCosine(importlib.import_module("edited_model").Edited().eval(), 0.5, 0.5)
        call = [{"net": model}, loader(), ["rnd"], tmp_path / "run", SETTINGS]
        if step.endswith(text):
            run_benchmark(*call)
            continue
        with pytest.raises(ValueError, match="holds a run with models net classes_sha256"):
            run_benchmark(*call)


class Masked:
    """A method of one's own that holds masks, options, a function and a network."""

    def __init__(self, change=None):
        self.masks = torch.rand(3, 4)
        self.options = {"sigma": 2.0}
        self.levels = (np.arange(3), [0.5])
        self.fill = torch.zeros_like
        self.net = nn.Linear(2, 2)
        nn.init.ones_(self.net.weight)
        if change:
            change(self)

    def attribute(self, img_a, img_b):
        return img_a, img_b


def _ones(image):
    return torch.ones_like(image)


INNER_CHANGES = [
    lambda own: own.masks.mul_(2),
    lambda own: own.options.update(sigma=3.0),
    lambda own: own.levels[0].__setitem__(0, 7),
    lambda own: own.levels[1].append(0.75),
    lambda own: setattr(own, "fill", _ones),
    lambda own: nn.init.zeros_(own.net.weight),
]


@pytest.mark.parametrize("change", INNER_CHANGES)
def test_what_a_method_holds_tells_it_apart(change):
    model = small_siamese()

    def mark(change):
        found = of_methods({"own": lambda siamese, threshold: Masked(change)}, [model])
        return found["own_methods_sha256"]["own"]

    assert mark(None) == mark(None) != mark(change)


def test_a_programs_channel_order_is_a_part_of_it(tmp_path):
    path = tmp_path / "program.pt"
    torch.jit.save(torch.jit.trace(small_siamese().backbone, torch.rand(2, 3, 20, 18)), path)
    models = {
        order: SiameseCosine(load_backbone(path, channel_order=order), 0.5, 0.5)
        for order in ("RGB", "BGR")
    }
    found = of_models(models)["models"]
    assert found["RGB"]["weights_sha256"] != found["BGR"]["weights_sha256"]


@pytest.mark.filterwarnings("ignore:.*torch.ao:DeprecationWarning")
def test_quantised_layers_have_a_fingerprint_too():
    """What their state dict holds is no tensor, which was a traceback in every run."""

    def quantised(seed):
        torch.manual_seed(seed)
        net = nn.Sequential(nn.Flatten(), nn.Linear(12, 4)).eval()
        return torch.ao.quantization.quantize_dynamic(net, {nn.Linear})

    assert fingerprint(quantised(0)) == fingerprint(quantised(0)) != fingerprint(quantised(1))
