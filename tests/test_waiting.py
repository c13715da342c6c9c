"""Questions about values on a GPU wait until the end of a step; here a CPU's wait like a GPU's."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from captum_fv.attr import OcclusionPairAttribution
from captum_fv.attr.methods import METHODS
from captum_fv.core import checks, waiting
from captum_fv.core.checks import require_finite
from captum_fv.core.waiting import first_time, look, step
from captum_fv.metrics import decision_patch_replacement
from captum_fv.siamese import SiameseCosine
from tests.support.nets import THRESHOLD, SmallNet, random_pair, small_siamese


@pytest.fixture
def like_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (waiting, checks):
        monkeypatch.setattr(module, "waits", lambda numbers: True)


def test_answers_come_at_the_end_and_in_order(like_a_gpu: None) -> None:
    told: list[list[float]] = []
    with step():
        look(torch.tensor([1.0]), told.append)
        with step():
            look(torch.tensor([2.0, 3.0]), told.append)
        look(torch.tensor([True]), told.append)
        assert not told
    assert told == [[1], [2, 3], [1]]
    look(torch.tensor([4.0]), told.append)
    assert told[-1] == [4]


def test_on_a_cpu_they_come_at_once() -> None:
    told: list[list[float]] = []
    with step():
        look(torch.tensor([1.0]), told.append)
        assert told


def test_what_is_wrong_is_said_even_where_the_step_fails(like_a_gpu: None) -> None:
    @step()
    def fail(*values: float) -> None:
        require_finite("it holds NaN", torch.ones(2), torch.tensor(values))
        raise KeyError("a consequence")

    with pytest.raises(ValueError, match="holds NaN") as caught:
        fail(torch.nan)
    assert isinstance(caught.value.__context__, KeyError)
    with pytest.raises(KeyError):
        fail(-3e38, -3e38, 3e38)
    require_finite("it is another step", torch.ones(1))


def test_the_first_time_is_told_once_in_a_step() -> None:
    assert first_time(1)
    assert first_time(1)
    with step():
        assert [first_time(1), first_time(2), first_time(1)] == [True, True, False]
    with step():
        assert first_time(1)


def xface(siamese: SiameseCosine, threshold: float) -> OcclusionPairAttribution:
    return OcclusionPairAttribution(siamese, 1, (3, 6), 4)


QUICK = "xssab iag_decision iag_polarity sensitivity saliency input_x_gradient agreement centre"
BUILDERS = {name: METHODS[name] for name in QUICK.split()} | {"xface": xface}


@pytest.mark.parametrize("name", BUILDERS)
def test_maps_and_errors_are_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    siamese, pair = SiameseCosine(small_siamese().backbone, 0.5, 0.5), random_pair(2)
    method = BUILDERS[name](siamese, THRESHOLD)

    def said_of(value: float) -> str:
        images = pair[0].clone()
        images[1, 0, 3, 3] = value
        try:
            method.attribute((images, pair[1]))
        except ValueError as error:
            return str(error)
        return "nothing"

    def everything() -> tuple[tuple[Tensor, Tensor], list[str]]:
        return method.attribute(pair), [said_of(x) for x in (torch.nan, torch.inf, 255.0)]

    expected, messages = everything()
    for module in (waiting, checks):
        monkeypatch.setattr(module, "waits", lambda numbers: True)
    found, said = everything()
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
    assert said == messages
    assert all("NaN or infinite" in message for message in said[:2])
    assert "up to 255" in said[2]


class Overflows(SmallNet):
    """Of white images it makes NaN."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images) / (images.mean((1, 2, 3)) < 0.9)[:, None]


def test_dpr_is_the_same_and_refuses_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    img_a, img_b = random_pair(4)
    maps = torch.rand(4, 1, *img_a.shape[2:])
    genuine = np.array([True, False, True, False])

    def measure(net: Callable[[], nn.Module], original: Tensor) -> Tensor:
        torch.manual_seed(0)
        siamese, pair = SiameseCosine(net().eval()), (img_a, img_b)
        result = decision_patch_replacement(siamese, pair, original, maps, THRESHOLD, genuine)
        return torch.from_numpy(result.scores)

    expected = measure(SmallNet, img_b)
    for module in (waiting, checks):
        monkeypatch.setattr(module, "waits", lambda numbers: True)
    torch.testing.assert_close(measure(SmallNet, img_b), expected, rtol=0, atol=0)
    with pytest.raises(ValueError, match="NaN or infinite"):
        measure(Overflows, torch.ones_like(img_a))


def test_warnings_come_too(like_a_gpu: None) -> None:
    img_a, _ = random_pair(1)
    with pytest.warns(UserWarning, match="the same photo in 1 of 1 pairs"):
        METHODS["xssab"](small_siamese(), THRESHOLD).attribute(img_a, img_a)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        METHODS["xssab"](small_siamese(), THRESHOLD).attribute(random_pair(1))
