"""Backbones of every kind: an error that says so or the right map, and none is changed."""

from __future__ import annotations

import random
from collections import Counter, deque
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from captum_fv.siamese import SiameseCosine
from tests.support.bad_input import clear_error, world
from tests.support.nets import SmallNet, random_pair, small_siamese
from tests.test_fuzzed_contract import SUBJECTS, assert_right, in_double

pytestmark = pytest.mark.extended
Net = Callable[[Tensor], Any]


class Odd(nn.Module):
    """A good backbone with something about it."""

    def __init__(self, net: SmallNet, oddity: Callable[[Odd, Net, Tensor], Any]) -> None:
        super().__init__()
        self.net, self.oddity = net, oddity
        self.layers = net.layers
        self.calls, self.seen, self.notes = 0, [], {"sizes": deque(maxlen=2)}
        self.tally: Counter[int] = Counter()
        self.generator = torch.Generator().manual_seed(0)
        self.register_buffer("total", torch.zeros(1))

    def forward(self, images: Tensor) -> Any:
        return self.oddity(self, self.net, images)

    def features(self, images: Tensor) -> Any:
        return self.oddity(self, self.net.features, images)


def odd(oddity: Callable[[Odd, Net, Tensor], Any]) -> SiameseCosine:
    return SiameseCosine(Odd(small_siamese().backbone, oddity).eval(), mean=0.5, std=0.5)


def _counts(odd: Odd, net: Net, images: Tensor) -> Any:
    odd.calls += 1
    odd.seen.append(len(images))
    odd.notes["sizes"].append(len(images))
    odd.tally[len(images)] += 1
    return net(images)


def _caches(odd: Odd, net: Net, images: Tensor) -> Any:
    odd.last = net(images)
    return odd.last


def _counts_in_a_buffer(odd: Odd, net: Net, images: Tensor) -> Any:
    odd.total += len(images)
    return net(images)


def _writes_on_its_input(odd: Odd, net: Net, images: Tensor) -> Any:
    return net(images.mul_(2).add_(0.1))


HARMLESS = {
    "plain": lambda odd, net, images: net(images),
    "counts": _counts,
    "caches": _caches,
    "counts in a buffer": _counts_in_a_buffer,
    "writes on its input": _writes_on_its_input,
    "gives large embeddings": lambda odd, net, images: net(images) * 1e25,
    "gives small embeddings": lambda odd, net, images: net(images) * 1e-25,
}


def _drifts(odd: Odd, net: Net, images: Tensor) -> Any:
    odd.calls += 1
    return net(images * odd.calls)


def _drifts_by_a_list(odd: Odd, net: Net, images: Tensor) -> Any:
    odd.seen.append(1)
    return net(images * len(odd.seen))


def _drifts_by_a_dictionary(odd: Odd, net: Net, images: Tensor) -> Any:
    odd.notes["sizes"].append(1)
    return net(images * len(odd.notes["sizes"]))


def _drifts_by_an_attribute(odd: Odd, net: Net, images: Tensor) -> Any:
    odd.mean = images.mean() + getattr(odd, "mean", 0)
    return net(images * odd.mean)


def _drifts_by_a_buffer(odd: Odd, net: Net, images: Tensor) -> Any:
    odd.total.data += 1
    return net(images * odd.total)


def _no_gradient(odd: Odd, net: Net, images: Tensor) -> Any:
    with torch.no_grad():
        return net(images)


def _drifts_by_a_closure() -> Callable[[Odd, Net, Tensor], Any]:
    calls = np.zeros(1, dtype=np.float32)

    def oddity(odd: Odd, net: Net, images: Tensor) -> Any:
        calls[0] += 1
        return net(images * float(calls[0]))

    return oddity


def _draws_by_its_own_generator(odd: Odd, net: Net, images: Tensor) -> Any:
    return net(images * torch.rand(1, generator=odd.generator))


def _subtracts_the_mean(odd: Odd, net: Net, images: Tensor) -> Any:
    answers = net(images)
    return answers - answers.mean(0)


def _divides_by_the_norm(odd: Odd, net: Net, images: Tensor) -> Any:
    answers = net(images)
    return answers / answers.norm()


DRAWS = {
    "draws": lambda odd, net, images: net(nn.functional.dropout(images)),
    "draws by NumPy": lambda odd, net, images: net(images * np.random.rand()),
    "draws by Python": lambda odd, net, images: net(images * random.random()),
}
REFUSED = {
    **DRAWS,
    "draws by its own generator": _draws_by_its_own_generator,
    "drifts by a closure": _drifts_by_a_closure(),
    "subtracts the batch's mean": _subtracts_the_mean,
    "divides by the batch's norm": _divides_by_the_norm,
    "normalises over the batch": lambda odd, net, images: nn.functional.normalize(
        net(images), 2, 0
    ),
    "drifts": _drifts,
    "drifts by a list": _drifts_by_a_list,
    "drifts by a dictionary": _drifts_by_a_dictionary,
    "drifts by an attribute": _drifts_by_an_attribute,
    "drifts by a buffer": _drifts_by_a_buffer,
    "gives a tuple": lambda odd, net, images: (net(images),),
    "gives a dictionary": lambda odd, net, images: {"embedding": net(images)},
    "gives nothing": lambda odd, net, images: None,
    "gives an array": lambda odd, net, images: net(images).detach().numpy(),
    "gives one rank less": lambda odd, net, images: net(images).sum(-1),
    "gives one rank more": lambda odd, net, images: net(images)[..., None],
    "gives one row less": lambda odd, net, images: net(images)[1:],
    "gives NaN": lambda odd, net, images: net(images) * torch.nan,
    "gives infinity": lambda odd, net, images: net(images) / 0,
    "gives integers": lambda odd, net, images: net(images).long(),
    "gives complex numbers": lambda odd, net, images: net(images).to(torch.complex64),
    "gives no dimensions": lambda odd, net, images: net(images)[:, :0],
}
WITHOUT_GRADIENT = {
    "detaches": lambda odd, net, images: net(images).detach(),
    "has no gradient": _no_gradient,
}
ASKED = {
    name: case
    for name, case in SUBJECTS.items()
    if case.asks_the_model and name not in ("siamese", "grad-cam")
}
# The maps of Grad-CAM come from a method of Captum, within which nothing is asked twice.
every_asking = pytest.mark.parametrize("case", ASKED.values(), ids=ASKED.keys())


def fixed(siamese: SiameseCosine) -> list[Any]:
    """What no call may change, whatever the backbone keeps."""
    flags = [module.training for module in siamese.modules()]
    return [flags, *(parameter.tolist() for parameter in siamese.parameters())]


@every_asking
@pytest.mark.parametrize("oddity", HARMLESS.values(), ids=HARMLESS.keys())
def test_what_does_not_change_the_embeddings(case, oddity):
    siamese, pair = odd(oddity), random_pair(2)
    before = fixed(siamese)
    maps = case.build(siamese).attribute(*pair, **case.extras)
    assert_right(maps, in_double(case, odd(oddity), pair))
    assert fixed(siamese) == before
    backbone = siamese.backbone
    if oddity is _counts:
        assert backbone.calls == len(backbone.seen) == backbone.tally.total()
        first, backbone.seen = backbone.seen, []
        case.build(siamese).attribute(*pair, **case.extras)
        # Two more, and two for each of embeddings and grids if a method reads both.
        assert len(first) - len(backbone.seen) in (2, 4)
        assert first[:2] == [first[2], 1]


@every_asking
@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(case, name):
    siamese, pair = odd(REFUSED[name]), random_pair(2)
    before = [fixed(siamese), None if name in DRAWS else world()]
    maps, error = clear_error(lambda: case.build(siamese).attribute(*pair, **case.extras))
    if maps is not None:  # xCos reads the grid, which is of one rank more
        assert name == "gives one row less" or "xcos" in str(case), error
        return
    assert before == [fixed(siamese), None if name in DRAWS else world()]
    if name.startswith(("draws", "drifts")):
        assert "when asked twice" in str(error)
    if "the batch" in name:
        assert "depends on the other images of its batch" in str(error)


@every_asking
@pytest.mark.parametrize("oddity", WITHOUT_GRADIENT.values(), ids=WITHOUT_GRADIENT.keys())
def test_no_gradient_is_said_or_not_needed(case, oddity):
    siamese, pair = odd(oddity), random_pair(2)
    maps, error = clear_error(lambda: case.build(siamese).attribute(*pair, **case.extras))
    if maps is None:
        assert "no gradient" in str(error)
    else:
        assert_right(maps, in_double(case, odd(oddity), pair))


def _without_statistics() -> SiameseCosine:
    siamese = small_siamese()
    siamese.backbone.layers[1] = nn.BatchNorm2d(8, track_running_stats=False).eval()
    return siamese


def _of_inference_mode() -> SiameseCosine:
    with torch.inference_mode():
        return small_siamese()


UNFIT = {
    "in training mode": (lambda: small_siamese().train(), "training mode"),
    "without statistics": (_without_statistics, "running statistics"),
    "on meta": (lambda: small_siamese().to("meta"), "meta device"),
    "in double": (lambda: small_siamese().double(), r"images.to\(torch.float64\)"),
    "in half": (lambda: small_siamese().half(), r"images.to\(torch.float16\)"),
    "of inference mode": (_of_inference_mode, r"outside torch.inference_mode"),
}


@every_asking
@pytest.mark.parametrize(("build", "says"), UNFIT.values(), ids=UNFIT.keys())
def test_unfit_models(case, build, says):
    siamese, pair = build(), random_pair(2)
    maps, error = clear_error(lambda: case.build(siamese).attribute(*pair, **case.extras))
    if error is None:  # it needs no gradient
        assert build is _of_inference_mode
        assert_right(maps, in_double(case, small_siamese(), pair))
    else:
        with pytest.raises((TypeError, ValueError), match=says):
            raise error


@pytest.mark.filterwarnings("ignore:the gradient is exactly zero")
@pytest.mark.filterwarnings("ignore:the backbone gives unlike images the same")
@every_asking
def test_embeddings_of_zeros_say_nothing(case):
    siamese, pair = odd(lambda odd, net, images: net(images) * 0), random_pair(2)
    assert torch.equal(siamese(*pair), torch.zeros(2))
    maps = case.build(siamese).attribute(*pair, **case.extras)
    assert all(torch.isfinite(mapped).all() and mapped.abs().max() <= 1 for mapped in maps)
