"""The Siamese model: numbers, kinds of backbone, Captum on it, and errors."""

import ast
import copy
import re
import warnings
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from captum.attr import DeepLift, IntegratedGradients, LayerActivation, LayerGradCam
from torch import nn

import captum_fv
from captum_fv.attr import SimilarityArgumentGradient
from captum_fv.models import MobileFaceNetCASIA
from captum_fv.siamese import PartnerView, SiameseCosine
from captum_fv.siamese.backbone import MayCarry, ask, contract
from tests.support.nets import SmallNet, random_pair, small_siamese


@pytest.fixture
def pair():
    return random_pair()


def numpy_cosine(siamese, img_a, img_b):
    with torch.no_grad():
        u, v = (siamese.backbone((image - 0.5) / 0.5).double().numpy() for image in (img_a, img_b))
    return (u * v).sum(1) / np.linalg.norm(u, axis=1) / np.linalg.norm(v, axis=1)


def test_the_score_is_the_cosine_of_the_embeddings(pair):
    siamese = small_siamese()
    expected = numpy_cosine(siamese, *pair)
    np.testing.assert_allclose(siamese(*pair).detach(), expected, rtol=1e-5)
    np.testing.assert_allclose(siamese(pair).detach(), expected, rtol=1e-5)


def test_embeddings_have_unit_length_and_one_backbone_call(pair):
    siamese = small_siamese()
    siamese(*pair)  # the first call asks more often
    calls = []
    siamese.backbone.register_forward_hook(lambda module, args, out: calls.append(args[0]))
    u, v = siamese.embed(*pair)
    torch.testing.assert_close(torch.cat([u, v]).norm(dim=1), torch.ones(8))
    assert len(calls) == 1
    interleaved = (calls[0] * 0.5 + 0.5).unflatten(0, (-1, 2))
    torch.testing.assert_close(interleaved[:, 0], pair[0])
    torch.testing.assert_close(interleaved[:, 1], pair[1])


@pytest.mark.parametrize("output", [0, -2, lambda out: out[0]])
def test_backbones_that_return_tuples(pair, output):
    class Curricular(SmallNet):
        def forward(self, images):
            return super().forward(images), images

    torch.manual_seed(0)
    net = Curricular().eval()
    siamese = SiameseCosine(net, output=output)
    plain = SiameseCosine(net, output=lambda out: out[0])
    assert torch.equal(siamese(*pair), plain(*pair))
    with pytest.raises(TypeError, match=r"tuple of 2; .* output=0"):
        SiameseCosine(net)(*pair)


def test_backbones_that_return_dicts(pair):
    class Named(SmallNet):
        def forward(self, images):
            return {"embedding": super().forward(images)}

    net = Named().eval()
    assert SiameseCosine(net, output="embedding")(*pair).shape == (4,)
    with pytest.raises(TypeError, match=r"keys \['embedding'\]; .*output='embedding'\)"):
        SiameseCosine(net)(*pair)


class Returning(SmallNet):
    """Gives its embeddings among other things."""

    def __init__(self, wrap):
        super().__init__()
        self.wrap = wrap

    def forward(self, images):
        return self.wrap(super().forward(images))


@pytest.mark.parametrize(
    ("wrap", "key"),
    [
        (lambda e: {"last_hidden_state": e[..., None], "pooler_output": e}, "'pooler_output'"),
        (lambda e: OrderedDict(norm=e.norm(dim=1), feature=e), "'feature'"),
        (lambda e: (e.norm(dim=1), e), "1"),
        (lambda e: [None, e[..., None, None]], "1"),
    ],
)
def test_the_part_that_is_proposed_is_there(pair, wrap, key):
    net = Returning(wrap).eval()
    with pytest.raises(TypeError, match=re.escape(f"SiameseCosine(backbone, output={key})")):
        SiameseCosine(net)(*pair)
    if key != "1" or wrap(torch.rand(8, 3))[0] is not None:
        siamese, plain = SiameseCosine(net, output=ast.literal_eval(key)), SiameseCosine(net.layers)
        torch.testing.assert_close(siamese(*pair), plain(*pair))


def test_images_are_turned_round_for_a_backbone_that_takes_bgr(pair):
    net = small_siamese().backbone
    mean, std = (0.5, 0.4, 0.3), (0.5, 0.6, 0.7)
    u, v = (
        net(((image - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)).flip(1))
        for image in pair
    )
    expected = nn.functional.cosine_similarity(u, v)
    torch.testing.assert_close(SiameseCosine(net, mean, std, channel_order="BGR")(*pair), expected)
    assert not torch.allclose(SiameseCosine(net, mean, std, channel_order="RGB")(*pair), expected)
    plain = SiameseCosine(net, channel_order="BGR")
    torch.testing.assert_close(plain(*pair), SiameseCosine(net)(*(x.flip(1) for x in pair)))
    with pytest.raises(ValueError, match='channel_order: got \'rgb\'; want "RGB" or "BGR"'):
        SiameseCosine(net, channel_order="rgb")
    with pytest.raises(ValueError, match="have 1 channels; want the three of RGB"):
        plain(*(image[:, :1] for image in pair))
    net.channel_order = "BGR"
    torch.testing.assert_close(SiameseCosine(net, mean, std)(*pair), expected)


@pytest.mark.parametrize("scripted", [True, False])
def test_a_device_that_is_burnt_in_is_named(pair, scripted, monkeypatch):
    """As a program traced on the CPU says on CUDA, within its interpreter."""
    net = small_siamese().backbone
    net = torch.jit.trace(net, torch.rand(2, 3, 20, 18)) if scripted else net

    def fails(images):
        raise RuntimeError(
            "The following operation failed in the TorchScript interpreter.\n_1 = torch.arange(4, "
            'dtype=6, device=torch.device("cpu"), pin_memory=False)\nRuntimeError: '
            "Expected all tensors to be on the same device, but found at least two devices, "
            "cuda:0 and cpu!"
        )

    says = r"program \(torch.arange on cpu\): trace it on CPU, or export it to .pt2"
    with pytest.raises(ValueError, match=says if scripted else "register_buffer lets it follow"):
        ask(net, fails, pair[0])


@pytest.mark.parametrize("kind", ["program", "module of a program", "torchscript"])
def test_exported_backbones_give_scores_and_gradients(pair, kind):
    net = small_siamese().backbone
    example = torch.rand(2, 3, 20, 18)
    if kind == "torchscript":
        backbone = torch.jit.trace(net, example)
    else:
        batch = torch.export.Dim("batch", min=2, max=1024)
        backbone = torch.export.export(net, (example,), dynamic_shapes=({0: batch},))
        backbone = backbone if kind == "program" else backbone.module()
    exported = SiameseCosine(backbone, mean=0.5, std=0.5).eval()
    plain = SiameseCosine(net, mean=0.5, std=0.5)
    gradients = []
    for siamese in (exported, plain):
        img_a = pair[0].clone().requires_grad_()
        scores = siamese(img_a, pair[1])
        gradients.append(torch.autograd.grad(scores.sum(), img_a)[0])
    torch.testing.assert_close(scores, exported(*pair))
    torch.testing.assert_close(gradients[0], gradients[1])


def test_a_frozen_torchscript_module_is_a_backbone(pair):
    """`torch.jit.freeze` leaves no training flag."""
    plain = small_siamese()
    frozen = SiameseCosine(torch.jit.freeze(torch.jit.script(plain.backbone)), 0.5, 0.5)
    torch.testing.assert_close(frozen(*pair), plain(*pair).detach())
    torch.testing.assert_close(frozen.eval()(*pair), plain(*pair).detach())
    maps, expected = (
        SimilarityArgumentGradient(siamese, 0.1).attribute(*pair) for siamese in (frozen, plain)
    )
    torch.testing.assert_close(maps, expected)


def test_a_backbone_brings_its_own_normalisation(pair):
    net = small_siamese().backbone
    net.mean, net.std = 0.5, (0.5, 0.5, 0.5)
    explicit = SiameseCosine(net, mean=[0.5] * 3, std=torch.full((3,), 0.5))
    assert torch.equal(SiameseCosine(net)(*pair), explicit(*pair))
    assert SiameseCosine(net).black == 0
    overruled = SiameseCosine(net, mean=0, std=1)
    assert not torch.allclose(overruled(*pair), explicit(*pair))


def test_half_precision_keeps_the_cosine_in_single(pair):
    siamese = small_siamese().to(torch.bfloat16)
    scores = siamese(*(image.to(torch.bfloat16) for image in pair))
    assert scores.dtype == torch.float32


def test_partner_view_is_the_same_score_and_gradient(pair):
    siamese = small_siamese()
    partner = siamese.embed_images(pair[1]).detach()
    views, pairs = pair[0].clone().requires_grad_(), pair[0].clone().requires_grad_()
    view = PartnerView(siamese)(views, 3 * partner)
    torch.testing.assert_close(view, siamese(pairs, pair[1]))
    (grad_view,) = torch.autograd.grad(view.sum(), views)
    (grad_pair,) = torch.autograd.grad(siamese(pairs, pair[1]).sum(), pairs)
    torch.testing.assert_close(grad_view, grad_pair)
    with pytest.raises(ValueError, match="one row per image"):
        PartnerView(siamese)(pair[0], partner[:1])


def test_what_a_backbone_may_carry_is_read_by_one_function():
    names = {*MayCarry.__annotations__}
    assert {"mean", "std", "channel_order", "size", "threshold"} <= names
    assert {"features", "patched_cosine_head"} <= names
    for file in Path(captum_fv.__file__).parent.rglob("*.py"):
        read = re.findall(r'getattr\([\w.]*(?:backbone|model), "(\w+)"', file.read_text("utf-8"))
        assert not names & {*read}, file
    carried = contract(captum_fv.load_backbone("demo"))
    assert all(getattr(carried, name) is not None for name in names)


class Twin(nn.Module):
    """The Siamese model without sharing: each image has a copy of the backbone of its own."""

    def __init__(self, siamese):
        super().__init__()
        self.sides = nn.ModuleList(copy.deepcopy(siamese.backbone) for _ in range(2))

    def forward(self, img_a, img_b):
        u, v = (net((x - 0.5) / 0.5) for net, x in zip(self.sides, (img_a, img_b), strict=True))
        return nn.functional.cosine_similarity(u, v)


def test_captums_methods_equal_an_unshared_twin(pair):
    torch.manual_seed(0)
    siamese = SiameseCosine(SmallNet(nn.ReLU).eval(), mean=0.5, std=0.5)
    twin = Twin(siamese)
    base = (torch.zeros_like(pair[0]), torch.full_like(pair[1], 0.3))
    for method in (IntegratedGradients, DeepLift):
        ours = method(siamese).attribute(pair, baselines=base)
        theirs = method(twin).attribute(pair, baselines=base)
        for mine, other in zip(ours, theirs, strict=True):
            torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-6)


def test_layer_maps_hold_both_images(pair):
    siamese = small_siamese()
    layer = siamese.backbone.layers[3]
    activation = LayerActivation(siamese, layer).attribute(pair)
    per_image = activation.unflatten(0, (-1, 2))
    with torch.no_grad():
        expected = siamese.backbone.layers[:4]((pair[1] - 0.5) / 0.5)
    torch.testing.assert_close(per_image[:, 1], expected)
    assert LayerGradCam(siamese, layer).attribute(pair).shape[0] == 8


@pytest.mark.extended
def test_it_can_be_mapped_and_recorded(pair):
    siamese = small_siamese()
    expected = siamese(*pair)
    mapped = torch.func.vmap(lambda a, b: siamese(a[None], b[None]))(*pair)
    torch.testing.assert_close(mapped[:, 0], expected)
    torch.testing.assert_close(torch.compile(siamese, backend="eager")(*pair), expected)


def test_errors_say_what_to_write(pair):
    siamese = small_siamese()
    with pytest.raises(TypeError, match="hand the function itself"):
        SiameseCosine(lambda images: images)
    with pytest.raises(ValueError, match="both or neither"):
        SiameseCosine(siamese.backbone, mean=0.5)
    with pytest.raises(ValueError, match="above 0"):
        SiameseCosine(siamese.backbone, mean=0.5, std=0.0)
    with pytest.raises(ValueError, match=r"0\.5 and not 127\.5"):
        SiameseCosine(siamese.backbone, mean=127.5, std=127.5)
    with pytest.raises(ValueError, match=r"mean: got 127\.5; want numbers in \[0, 1\]"):
        SiameseCosine(siamese.backbone, mean=127.5, std=0.5)
    with pytest.raises(ValueError, match="one number for each image, whose cosine is its sign"):
        SiameseCosine(siamese.backbone, 0.5, 0.5, output=lambda out: out[:, :1])(*pair)
    with pytest.raises(ValueError, match=r"siamese\(img_a, img_b\)"):
        siamese(pair[0])
    with pytest.raises(ValueError, match="equal shapes"):
        siamese(pair[0], pair[1][:2])
    with pytest.raises(ValueError, match="no pair"):
        siamese((pair[0], pair[1], pair[1]))
    with pytest.raises(ValueError, match=r"output=lambda out: out.flatten\(1\)"):
        SiameseCosine(nn.Conv2d(3, 4, 3).eval())(*pair)
    with pytest.raises(ValueError, match="floating point"):
        siamese.embed_images((pair[0] * 255).byte())


def test_photos_in_another_range_than_the_model_takes(pair):
    siamese, plain = small_siamese(), SiameseCosine(small_siamese().backbone)
    bytes_like = [image * 255 for image in pair]
    with pytest.raises(ValueError, match=r"up to 25\d.*photos in \[0, 1\].*images / 255"):
        siamese(*bytes_like)
    normalised = [image * 2 - 1 for image in pair]
    with pytest.warns(UserWarning, match=r"photos in \[0, 1\] and normalises them itself"):
        siamese(*normalised)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        siamese(*(image + 0.5 * torch.randn_like(image) for image in pair))
        torch.testing.assert_close(plain(*normalised), siamese(*pair))
        plain(*bytes_like)


def test_training_mode_is_an_error_even_for_one_layer(pair):
    siamese = small_siamese()
    siamese.backbone.layers[1].train()
    with pytest.raises(ValueError, match=r"siamese.eval\(\)"):
        siamese(*pair)
    assert siamese.eval()(*pair).shape == (4,)


def test_a_zero_embedding_gives_no_nan(pair):
    siamese = SiameseCosine(nn.Sequential(nn.Flatten(), nn.Linear(1080, 4, bias=False)).eval())
    scores = siamese(torch.zeros_like(pair[0]), pair[1])
    assert torch.equal(scores, torch.zeros(4))


def test_images_of_another_size_than_the_backbone_takes_are_refused():
    # Wider faces would give this one longer embeddings without a word.
    backbone = MobileFaceNetCASIA().eval()
    backbone.size = (112, 96)
    wide = torch.rand(2, 3, 112, 112)
    assert backbone(wide).shape == (2, 256)
    siamese = SiameseCosine(backbone)
    with pytest.raises(
        ValueError, match=r"images are 112x112, and MobileFaceNetCASIA takes 112x96"
    ):
        siamese(wide, wide)
    assert siamese(wide[..., 8:104], wide[..., 8:104]).shape == (2,)
