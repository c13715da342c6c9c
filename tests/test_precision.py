"""What a model computes in: half precision for forwards alone, single for gradients and results."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch import Tensor, nn

from captum_fv.attr import OcclusionPairAttribution, SimilarityArgumentGradient
from captum_fv.cli import main
from captum_fv.core import arithmetic
from captum_fv.core.arithmetic import HALF, backward_arithmetic, forward_arithmetic
from captum_fv.data import read_pairs
from captum_fv.models import load_backbone
from captum_fv.siamese import SiameseCosine
from tests.support.nets import THRESHOLD, SmallNet, random_pair, small_siamese
from tests.support.shared import SHARED, needs_shared


class Seen(SmallNet):
    """Notes the types that its first convolution gives."""

    def __init__(self) -> None:
        super().__init__()
        self.types: list[torch.dtype] = []

    def forward(self, images: Tensor) -> Tensor:
        self.types.append(self.layers[0](images).dtype)
        return super().forward(images)


@pytest.mark.parametrize("precision", ["float32", "tf32", "float16", "bfloat16"])
def test_half_precision_is_for_forwards_alone(precision: str) -> None:
    torch.manual_seed(0)
    net = Seen().eval()
    siamese = SiameseCosine(net, mean=0.5, std=0.5, precision=precision)  # type: ignore[arg-type]
    pair, exact = random_pair(), SiameseCosine(net, mean=0.5, std=0.5)
    expected = exact(*pair).detach()
    net.types.clear()
    with torch.no_grad():
        scores = siamese(*pair)
    assert set(net.types) == {HALF.get(precision, torch.float32)}
    assert scores.dtype == torch.float32
    torch.testing.assert_close(scores, expected, atol=0.02, rtol=0)
    net.types.clear()
    maps = SimilarityArgumentGradient(siamese, THRESHOLD).attribute(pair)
    assert set(net.types) == {torch.float32}
    torch.testing.assert_close(maps, SimilarityArgumentGradient(exact, THRESHOLD).attribute(pair))
    assert siamese.grids(pair[0]).dtype == torch.float32


def test_gradients_may_be_asked_for_first() -> None:
    siamese, pair = small_siamese(), random_pair()
    siamese.precision = "float16"
    SimilarityArgumentGradient(siamese, THRESHOLD).attribute(pair)
    with torch.no_grad():
        torch.testing.assert_close(siamese(*pair), small_siamese()(*pair), atol=0.01, rtol=0)


def test_no_other_precision() -> None:
    with pytest.raises(ValueError, match=r"precision: got 'half'; want one of \('float32'"):
        SiameseCosine(nn.Flatten().eval(), precision="half")  # type: ignore[arg-type]


@pytest.mark.parametrize("precision", ["float32", "tf32"])
def test_tf32_holds_for_forward_and_backward_and_no_longer(precision: str) -> None:
    """The switches of CUDA, which can be set without it."""
    cuda, cpu = torch.device("cuda"), torch.device("cpu")
    switches = torch.backends.cudnn.conv, torch.backends.cuda.matmul
    before = [switch.fp32_precision for switch in switches]
    wanted = ["tf32" if precision == "tf32" else "ieee"] * 2
    with forward_arithmetic(precision, cuda, True):  # type: ignore[arg-type]
        assert [switch.fp32_precision for switch in switches] == wanted
    assert [switch.fp32_precision for switch in switches] == before
    with backward_arithmetic(cuda):
        assert [switch.fp32_precision for switch in switches] == wanted
    with backward_arithmetic(cpu):
        assert [switch.fp32_precision for switch in switches] == before
    assert [switch.fp32_precision for switch in switches] == before
    assert arithmetic.autocast_type(cpu) is None


def test_the_commands_take_and_tell_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    command = (
        f"dpr --limit 4 --methods rnd --out {out} --precision float16 --optimise --device auto"
    )
    assert main(command.split()) == 0
    said = capsys.readouterr()
    assert "computed in float16" in said.out
    assert ("most CPUs only emulate it" in said.err) == (not torch.cuda.is_available())
    model = json.loads((out / "config.json").read_text())["models"]["demo"]
    assert (model["precision"], model["optimised"]) == ("float16", True)
    for option in ("--precision half", "--device nowhere", "--workers -1"):
        with pytest.raises(SystemExit) as stopped:
            main(f"dpr --out {out} {option}".split())
        assert stopped.value.code == 2
        assert capsys.readouterr().err.count("\n") == 1


@needs_shared
@pytest.mark.extended
def test_float16_keeps_the_order_of_a_real_models_maps() -> None:
    folder = SHARED / "data" / "lfw_aligned_112"
    pairs = read_pairs(folder, SHARED / "data" / "pairs_folds_1_4.txt")
    images = pairs.tensors([0, 1500])

    def maps(precision: str) -> Tensor:
        backbone = load_backbone(SHARED / "models" / "edgeface_xxs.pt2")
        siamese = SiameseCosine(backbone, 0.5, 0.5, precision=precision)  # type: ignore[arg-type]
        occlusion = OcclusionPairAttribution(siamese, 2, (28,), 14, normalise_coverage=True)
        return occlusion.attribute(images, explain="a")[0][:, 0]

    for exact, half in zip(maps("float32"), maps("float16"), strict=True):
        found = spearmanr(exact.flatten(), half.flatten()).statistic
        assert found >= 0.999
    assert np.isfinite(found)
