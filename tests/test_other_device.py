"""A device without double precision, such as Apple's GPUs: the same figures, computed on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from captum_fv.attr import OcclusionBank, spatial_decomposition
from captum_fv.attr.bank_masks import square_masks
from captum_fv.attr.strangers import significant_share, split_half_reliability, z_map
from captum_fv.benchmark import BenchmarkSettings, run_benchmark
from captum_fv.data import generated_pairs, patch_pairs
from captum_fv.metrics import (
    decision_patch_replacement,
    deletion_insertion,
    least_replacement,
    patch_localisation,
    sanity_suite,
)
from captum_fv.models import load_backbone
from captum_fv.siamese import SiameseCosine
from tests.support.nets import THRESHOLD, random_pair, small_siamese
from tests.support.other_device import DEVICE, OtherTensor, other_device
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
