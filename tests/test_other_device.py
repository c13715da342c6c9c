"""A device without double precision, such as Apple's GPUs: the same figures, computed on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from captum_fv import attr
from captum_fv.attr import OcclusionBank
from captum_fv.attr.bank_masks import square_masks
from captum_fv.attr.methods import METHODS
from captum_fv.attr.strangers import significant_share, split_half_reliability, z_map
from captum_fv.benchmark import BenchmarkSettings, run_benchmark
from captum_fv.core import checks, waiting
from captum_fv.data import generated_pairs, patch_pairs
from captum_fv.metrics import (
    decision_patch_replacement,
    deletion_insertion,
    least_replacement,
    patch_localisation,
    replacement,
    sanity_suite,
    sensitivity_strata,
)
from captum_fv.metrics.replacement import ranked_together
from captum_fv.models import load_backbone
from captum_fv.siamese import SiameseCosine
from tests.support.nets import THRESHOLD, random_pair, small_siamese
from tests.support.other_device import DEVICE, WAITS, OtherTensor, other_device
from tests.test_contract import CASES


@pytest.fixture(autouse=True)
def _device() -> Iterator[None]:
    with other_device():
        yield


def test_the_device_refuses_double_precision_and_mixing() -> None:
    values = torch.rand(2, 3).to(DEVICE)
    assert isinstance(values + torch.ones(2, 3, device=DEVICE), OtherTensor)
    with pytest.raises(TypeError, match="no float64"):
        values.double()
    with pytest.raises(RuntimeError, match="same device"):
        values + torch.ones(2, 3)


@pytest.mark.parametrize("name", CASES)
def test_every_method_stays_in_single_precision(name: str) -> None:
    case, pair = CASES[name], random_pair()
    expected = case.build(small_siamese()).attribute(*pair, **case.extras)
    extras = {key: value.to(DEVICE) for key, value in case.extras.items()}
    there = [image.to(DEVICE) for image in pair]
    maps = case.build(small_siamese().to(DEVICE)).attribute(*there, **extras)
    for mapped, wanted in zip(maps, expected, strict=True):
        assert isinstance(mapped, OtherTensor)
        torch.testing.assert_close(mapped.cpu(), wanted)


def test_metrics_give_the_same_figures() -> None:
    pair, original = random_pair(6), random_pair(6, seed=3)[0]
    maps = random_pair(6, seed=5)[0]
    genuine = [True, False] * 3
    mask = (maps[:, :1] > 0.5).bool()

    def figures(siamese: SiameseCosine, device: str | torch.device) -> list[np.ndarray]:
        there = tuple(image.to(device) for image in pair)
        end, said = original.to(device), maps.to(device)
        dpr = decision_patch_replacement(siamese, there, end, said, THRESHOLD, genuine)
        curves = deletion_insertion(siamese, there, said, THRESHOLD, genuine, "genuine")
        found = patch_localisation(said, mask.to(device), genuine)
        one = tuple(image[:1] for image in there)
        flip = least_replacement(siamese, one, end[:1], said[:1], float(dpr.scores[10, 0]) - 1e-3)
        sane = sanity_suite(
            CASES["sensitivity"].build, siamese, there, end, mask.to(device), THRESHOLD
        )
        assert isinstance(sensitivity_strata(siamese, there, 4), torch.Tensor)
        shares = [0.0, 0.0] if flip is None else [flip.share, flip.patch_share]
        return [
            dpr.scores, curves.deletion, curves.insertion, *found, np.array(shares),
            sane.randomised_signed, sane.swap_error, *sane.patched,
        ]  # fmt: skip

    for here, there in zip(
        figures(small_siamese(), "cpu"), figures(small_siamese().to(DEVICE), DEVICE), strict=True
    ):
        np.testing.assert_allclose(there, here, atol=1e-5)


@pytest.fixture
def like_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its values are computed while the CPU goes on."""
    for module in (waiting, checks, attr.pair):
        monkeypatch.setattr(module, "waits", lambda numbers: isinstance(numbers, OtherTensor))

    def sent(values: torch.Tensor, device: torch.device) -> torch.Tensor:
        return values if isinstance(values, OtherTensor) else OtherTensor(values)

    for module in (replacement, attr.pair, attr.iag, attr.smoothing, attr.bank):
        monkeypatch.setattr(module, "sent", sent)


QUICK = "xssab iag_decision iag_polarity iag_relevance sensitivity saliency agreement centre"


@pytest.mark.parametrize("name", QUICK.split())
def test_a_call_waits_once(name: str, like_a_gpu: None) -> None:
    method = METHODS[name](small_siamese().to(DEVICE), THRESHOLD)
    pair = [image.to(DEVICE) for image in random_pair(3)]
    method.attribute(*pair)  # the first one asks the model several times
    WAITS.clear()
    method.attribute(*pair)
    assert WAITS == ["tolist"]


def test_dpr_waits_for_nothing_between_its_batches(like_a_gpu: None) -> None:
    siamese, count = small_siamese().to(DEVICE), 48
    pair = tuple(image.to(DEVICE) for image in random_pair(count))
    original = random_pair(count, seed=3)[0].to(DEVICE)
    maps, genuine = random_pair(count, seed=5)[0], [True, False] * (count // 2)
    siamese(*pair)  # the first call asks the model several times
    siamese.backbone.register_forward_hook(lambda *_: WAITS.append("forward"))
    WAITS.clear()
    decision_patch_replacement(siamese, pair, original, maps, THRESHOLD, genuine, batch_size=320)
    assert len(ranked_together(count, 20, 320)) == 3
    batches = [k for k, what in enumerate(WAITS) if what == "forward"][1:]
    assert len(batches) >= 3
    assert batches == list(range(batches[0], batches[-1] + 1))


def test_banks_and_strangers_give_the_same_figures() -> None:
    image, others = random_pair(1)[0][0], random_pair(9, seed=4)[0]
    masks = square_masks(30, (20, 18))

    def figures(siamese: SiameseCosine, device: str | torch.device) -> list[float]:
        cohort = siamese.embed_images(others.to(device)).detach()
        bank = OcclusionBank.of(siamese, image.to(device), masks.to(device), fill=0.5)
        z = z_map(bank, cohort[0], cohort[1:])
        share = significant_share(bank, cohort[0], cohort[1:])
        halves = split_half_reliability(bank, cohort[0])
        return [float(z.abs().mean()), *share, halves]

    there = figures(small_siamese().to(DEVICE), DEVICE)
    assert there == pytest.approx(figures(small_siamese(), "cpu"), abs=1e-3)


def test_a_benchmark_gives_the_same_tables(tmp_path: Path) -> None:
    pairs = patch_pairs(generated_pairs(2))
    settings = BenchmarkSettings(latency_pairs=1)
    runs = []
    for device in ("cpu", DEVICE):
        siamese = SiameseCosine(load_backbone("demo")).to(device)
        names = ["xssab", "oracle"]
        out = tmp_path / str(device)
        runs.append(run_benchmark({"demo": siamese}, pairs, names, out, settings, device=device))
    here, there = (run.models["demo"] for run in runs)
    np.testing.assert_allclose(there.clean_scores, here.clean_scores, atol=1e-5)
    for name, result in here.methods.items():
        np.testing.assert_allclose(there.methods[name].dpr.scores, result.dpr.scores, atol=1e-4)
