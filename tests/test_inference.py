"""The quicker network beside a backbone, and recorded work, on a double of CUDA's graphs."""

from __future__ import annotations

import copy
import pickle
import warnings
from collections.abc import Callable

import pytest
import torch
from captum.attr import LayerGradCam
from torch import Tensor, nn

from captum_fv.attr import IntegratedArgumentGradient, SimilarityArgumentGradient
from captum_fv.data import generated_pairs
from captum_fv.models import load_backbone
from captum_fv.siamese import SiameseCosine, inference, optimise_for_inference
from captum_fv.siamese.inference import folded
from captum_fv.siamese.replay import Replays
from tests.support.nets import THRESHOLD, SmallNet, random_pair, small_siamese


def norms(model: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in model.modules())


def test_the_quicker_network_gives_the_same() -> None:
    siamese = SiameseCosine(load_backbone("demo"))
    before = {name: value.clone() for name, value in siamese.state_dict().items()}
    quick, pair = optimise_for_inference(siamese), generated_pairs(2).tensors([0, 1])
    assert norms(siamese.backbone)
    assert not norms(quick.backbone.quick)
    torch.testing.assert_close(quick(*pair), siamese(*pair), atol=1e-5, rtol=0)
    ours, theirs = (SimilarityArgumentGradient(m, 0.3).attribute(pair) for m in (quick, siamese))
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5 * float(other.abs().max()), rtol=0)
    assert all(torch.equal(value, before[name]) for name, value in siamese.state_dict().items())
    assert quick.black == siamese.black
    torch.testing.assert_close(quick.grids(pair[0]), siamese.grids(pair[0]))


def test_a_copy_and_a_file_give_the_same() -> None:
    quick, pair = optimise_for_inference(small_siamese()), random_pair()
    for again in (copy.deepcopy(quick), pickle.loads(pickle.dumps(quick))):
        assert isinstance(again.backbone.quick, nn.Module)
        torch.testing.assert_close(again(*pair), quick(*pair), rtol=0, atol=0)


class Shared(nn.Module):
    """One convolution that serves twice, with a batch norm behind it once."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)
        self.norm = nn.BatchNorm2d(3)
        self.norm.running_var.fill_(4.0)

    def forward(self, images: Tensor) -> Tensor:
        return self.conv(self.norm(self.conv(images))).flatten(1)


def test_only_what_can_be_is_folded() -> None:
    net, images = Shared().eval(), random_pair()[0]
    quick = folded(net)
    assert norms(quick) == 1
    torch.testing.assert_close(quick(images), net(images))
    assert norms(folded(SmallNet().eval())) == 0


class Flagged(SmallNet):
    """It answers with a flag and a tensor without numbers beside the embeddings."""

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        embeddings = super().forward(images)
        return embeddings, embeddings > 0, embeddings[:, :0]


def test_answers_of_any_kind_are_compared() -> None:
    siamese = SiameseCosine(Flagged().eval(), output=0)
    quick, pair = optimise_for_inference(siamese), random_pair()
    torch.testing.assert_close(quick(*pair), siamese(*pair))
    answer = quick.backbone.quick(pair[0])
    assert not inference._unlike(answer, answer)
    assert "other figures" in inference._unlike(answer, (answer[0], ~answer[1], answer[2]))


def test_compiled_it_gives_the_same() -> None:
    siamese = SiameseCosine(load_backbone("demo"))
    quick, pair = optimise_for_inference(siamese, compile=True), generated_pairs(2).tensors([0, 1])
    torch.testing.assert_close(quick(*pair), siamese(*pair), atol=1e-5, rtol=0)
    ours, theirs = (SimilarityArgumentGradient(m, 0.3).attribute(pair) for m in (quick, siamese))
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5 * float(other.abs().max()), rtol=0)
    assert copy.deepcopy(quick).backbone.options == (True, True)


def test_without_a_compiler_the_backbone_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(network: nn.Module) -> nn.Module:
        def forward(images: Tensor) -> Tensor:
            raise RuntimeError("no C++ compiler\nmore")

        network.forward = forward  # type: ignore[method-assign]
        return network

    monkeypatch.setattr(torch, "compile", broken)
    siamese, pair = small_siamese(), random_pair()
    quick = optimise_for_inference(siamese, compile=True)
    with pytest.warns(
        UserWarning, match=r"not optimised: its first call failed \(no C\+\+ compile"
    ):
        scores = quick(*pair)
    torch.testing.assert_close(scores, small_siamese()(*pair), rtol=0, atol=0)


class Turns(SmallNet):
    """What it does depends on its images, which no trace follows."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images if images.mean() > 0 else -images)


def test_where_it_cannot_be_made_the_backbone_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    pair = random_pair()
    siamese = SiameseCosine(Turns().eval(), mean=0.5, std=0.5)
    with pytest.warns(UserWarning, match=r"Turns is not optimised: torch\.fx cannot follow it"):
        quick = optimise_for_inference(siamese)
    torch.testing.assert_close(quick(*pair), siamese(*pair), rtol=0, atol=0)
    other = small_siamese(seed=3)
    monkeypatch.setattr(inference, "folded", lambda backbone: other.backbone)
    quick = optimise_for_inference(small_siamese())
    with pytest.warns(UserWarning, match="gives other figures; it goes on"):
        scores = quick(*pair)
    torch.testing.assert_close(scores, small_siamese()(*pair))


def test_methods_with_hooks_are_refused() -> None:
    siamese = small_siamese()
    quick = optimise_for_inference(siamese)
    with pytest.raises(ValueError, match="as it was before optimise_for_inference"):
        LayerGradCam(quick, siamese.backbone.layers[0]).attribute(random_pair())
    with pytest.raises(TypeError, match="want a SiameseCosine"):
        optimise_for_inference(siamese.backbone)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"siamese\.eval\(\)"):
        optimise_for_inference(small_siamese().train())


def on_the_cpu(work: Callable[[], tuple[Tensor, ...]]) -> Callable[[], tuple[Tensor, ...]]:
    """Like a CUDA graph: whatever is replayed, the results are in the same memory."""
    results = work()

    def replay() -> tuple[Tensor, ...]:
        for memory, new in zip(results, work(), strict=True):
            memory.copy_(new)
        return results

    return replay


class Everywhere(Replays):
    """Recordings for images on any device."""

    def serve(self, images: Tensor) -> bool:
        return len(images) <= 8


def test_recorded_work_gives_the_same_maps_for_each_pair() -> None:
    siamese, (img_a, img_b) = small_siamese(), random_pair(6)
    method = SimilarityArgumentGradient(siamese, THRESHOLD)
    expected = [method.attribute(a[None], b[None]) for a, b in zip(img_a, img_b, strict=True)]
    siamese.replays = Everywhere(on_the_cpu)
    found = [method.attribute(a[None], b[None]) for a, b in zip(img_a, img_b, strict=True)]
    for maps, wanted in zip(found, expected, strict=True):
        torch.testing.assert_close(maps, wanted)
    # Other thresholds, polarities and numbers of pairs are other work, or other inputs.
    plain = SimilarityArgumentGradient(small_siamese(), 0.0, "similarity").attribute(img_a, img_b)
    ours = SimilarityArgumentGradient(siamese, 0.0, "similarity").attribute(img_a, img_b)
    torch.testing.assert_close(ours, plain)
    assert method.attribute(img_a[:1], img_b[:1], threshold=0.9)[0].shape == (1, 3, 20, 18)
    assert not copy.deepcopy(siamese).replays._kept


@pytest.mark.parametrize("output", ["decision", "polarity"])
def test_recorded_integrals_are_the_same(output: str) -> None:
    img_a, img_b = random_pair(4)
    plain = IntegratedArgumentGradient(small_siamese(), THRESHOLD, output)  # type: ignore[arg-type]
    siamese = small_siamese()
    siamese.replays = Everywhere(on_the_cpu)
    method = IntegratedArgumentGradient(siamese, THRESHOLD, output)  # type: ignore[arg-type]
    for one in range(4):
        pair = img_a[[one]], img_b[[one]]
        torch.testing.assert_close(method.attribute(pair), plain.attribute(pair))
    names = {key[0] for key in siamese.replays._kept}
    assert names == {"IntegratedArgumentGradient all float32", "embeddings float32"}


def test_a_recording_is_no_way_round_the_checks() -> None:
    siamese = SiameseCosine(SmallNet().eval(), mean=0.5, std=0.5)
    siamese.replays = Everywhere(on_the_cpu)
    method, (img_a, img_b) = SimilarityArgumentGradient(siamese, THRESHOLD), random_pair(1)
    method.attribute(img_a, img_b)
    with pytest.raises(ValueError, match="hold values up to"):
        method.attribute(255 * img_a, img_b)
    siamese.train()
    with pytest.raises(ValueError, match="training mode"):
        method.attribute(img_a, img_b)
    siamese.eval()
    assert siamese.replays._kept
    # Weights that are moved lie elsewhere, and a graph would read where they were.
    assert not siamese.double().replays._kept
    assert isinstance(siamese.replays, Everywhere)


def test_a_recording_knows_of_autocast_and_precision() -> None:
    siamese, pair = small_siamese(), random_pair(1)
    siamese.replays = Everywhere(on_the_cpu)
    method = SimilarityArgumentGradient(siamese, THRESHOLD)
    method.attribute(pair)
    with torch.autocast("cpu", torch.bfloat16):
        method.attribute(pair)
    siamese.precision = "tf32"
    method.attribute(pair)
    assert len(siamese.replays._kept) == 3


def test_without_a_recording_the_work_goes_on() -> None:
    x, calls = torch.ones(2), []

    def work(values: Tensor) -> tuple[Tensor, ...]:
        calls.append(1)
        return (2 * values,)

    def fails(work: object) -> Callable[[], tuple[Tensor, ...]]:
        raise RuntimeError("operation not permitted when stream is capturing\nmore")

    replays = Replays(fails)
    with pytest.warns(UserWarning, match="no CUDA graph: operation not permitted when stream is c"):
        assert replays.run("doubled", work, x)[0].tolist() == [2, 2]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert replays.run("doubled", work, 3 * x)[0].tolist() == [6, 6]
    assert len(calls) == 2

    stale = Replays(lambda work: lambda: (torch.zeros(2),))
    with pytest.warns(UserWarning, match="it gives other figures than the work itself"):
        assert stale.run("doubled", work, x)[0].tolist() == [2, 2]
    assert stale.run("doubled", work, 3 * x)[0].tolist() == [6, 6]
