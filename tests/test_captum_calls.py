"""Calls of Captum that would give a wrong map: told when wrong, silence when right."""

import warnings

import captum.attr as captum
import pytest
import torch
import torch.nn.functional as F
from captum.attr._core.deep_lift import SUPPORTED_NON_LINEAR
from torch import nn

import captum_fv.attr
from captum_fv.attr import SimilarityArgumentGradient
from captum_fv.attr.captum_tools import one_sided_baselines, pair_feature_masks
from captum_fv.siamese import PartnerView, SiameseCosine, captum_guard
from captum_fv.siamese.captum_guard import DEEP_LIFT_RULES
from captum_fv.siamese.prelu import unfold_prelu
from tests.support.nets import THRESHOLD, random_pair, small_siamese

HALVES = torch.arange(20).reshape(1, 1, 20, 1) // 10
MASKS = pair_feature_masks(HALVES)


@pytest.fixture
def pair():
    return random_pair(2)


def told(call):
    """What this package warned of while Captum ran; Captum's own warnings are its own affair."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    return {str(warning.message) for warning in caught if warning.filename == __file__}


class Own(nn.Module):
    """A backbone of one's own code, with a module of activation and then a function of one."""

    def __init__(self, module, function):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, stride=4)
        self.module, self.function = module, function
        self.head = nn.Linear(4 * 5 * 4, 8)

    def forward(self, images):
        return self.head(self.function(self.module(self.conv(images))).flatten(1))


class OwnReLU(nn.ReLU):
    """Which is a ReLU to all but DeepLift."""


def plain(values):
    return values


functional = Own(nn.Identity(), F.relu).eval()
BACKBONES = {
    "linear": lambda: nn.Sequential(nn.Flatten(), nn.Linear(1080, 8)),
    "own code": lambda: Own(nn.Identity(), plain),
    "own code, module": lambda: Own(nn.ReLU(inplace=True), plain),
    "own code, derived": lambda: Own(OwnReLU(), plain),
    "functional": lambda: functional,
    "mixed": lambda: Own(nn.ReLU(), F.leaky_relu),
    "mixed, gate": lambda: Own(nn.ReLU(), torch.sigmoid),
    "mixed, in place": lambda: Own(nn.PReLU(), torch.relu_),
    "method": lambda: Own(nn.ReLU(), torch.Tensor.relu),
    "graph": lambda: torch.fx.symbolic_trace(functional),
    "exported": lambda: torch.export.export(
        functional, (torch.rand(4, 3, 20, 18),), dynamic_shapes=({0: torch.export.Dim("n")},)
    ).module(),
    "scripted": lambda: torch.jit.trace(functional, torch.rand(4, 3, 20, 18)),
    "ReLU, gate": lambda: nn.Sequential(small_siamese(activation=nn.ReLU).backbone, nn.Sigmoid()),
}


def backbone(kind):
    torch.manual_seed(0)
    if kind in BACKBONES:
        return BACKBONES[kind]()
    return small_siamese(activation=getattr(nn, kind)).backbone


RULES = {  # method, backbone -> what the warning names; None: right, so silence
    ("GuidedBackprop", "PReLU"): "PReLU",
    ("Deconvolution", "PReLU"): "PReLU",
    ("DeepLift", "PReLU"): "PReLU",
    ("GuidedBackprop", "LeakyReLU"): "LeakyReLU",
    ("DeepLift", "LeakyReLU"): None,
    ("DeepLift", "GELU"): "GELU",
    ("GuidedBackprop", "ReLU, gate"): None,
    ("GuidedBackprop", "ReLU"): None,
    ("Deconvolution", "ReLU"): None,
    ("DeepLift", "ReLU"): None,
    ("GuidedBackprop", "functional"): "(relu called as a function)",
    ("DeepLift", "functional"): "(relu called as a function)",
    ("GuidedBackprop", "mixed"): "(leaky_relu called as a function)",
    ("DeepLift", "mixed"): "(leaky_relu called as a function)",
    ("GuidedBackprop", "mixed, gate"): None,
    ("DeepLift", "mixed, gate"): "(sigmoid called as a function)",
    ("Deconvolution", "mixed, in place"): "(PReLU, relu called as a function) it",
    ("GuidedBackprop", "method"): "(relu called as a function)",
    ("GuidedBackprop", "graph"): "(relu called as a function)",
    ("DeepLift", "exported"): "(relu called as a function)",
    ("GuidedBackprop", "scripted"): "(those of a scripted program)",
    ("GuidedBackprop", "own code"): None,
    ("DeepLift", "own code"): None,
    ("Deconvolution", "own code, module"): None,
    ("DeepLift", "own code, module"): None,
    ("GuidedBackprop", "own code, derived"): None,
    ("DeepLift", "own code, derived"): "(OwnReLU)",
    ("GuidedBackprop", "linear"): None,
    ("DeepLift", "linear"): None,
    ("Saliency", "PReLU"): None,
}


@pytest.mark.parametrize("viewed", [False, True], ids=["pair", "view"])
@pytest.mark.parametrize(("name", "kind"), RULES)
def test_activations_without_a_rule_are_named(pair, name, kind, viewed):
    siamese = SiameseCosine(backbone(kind)).eval()
    options = {"baselines": (pair[0] * 0, pair[1])} if name == "DeepLift" else {}
    if viewed:
        options["additional_forward_args"] = siamese.embed_images(pair[1])
        options |= {"baselines": pair[0] * 0} if name == "DeepLift" else {}
        model, inputs = PartnerView(siamese), pair[0]
    else:
        model, inputs = siamese, pair
    caught = told(lambda: getattr(captum, name)(model).attribute(inputs, **options))
    names = RULES[name, kind]
    assert len(caught) == (names is not None)
    if names:
        (message,) = caught
        assert names in message
        assert name in message


class OfEmbeddings(nn.Module):
    """A model of one's own around embeddings or grids."""

    def __init__(self, siamese, read):
        super().__init__()
        self.siamese, self.read = siamese, read

    def forward(self, images):
        return self.read(self.siamese, images).flatten(1).sum(1)


@pytest.mark.parametrize("name", ["embed", "embed_images", "grids"])
def test_the_door_is_guarded_whatever_is_asked(pair, name):
    def read(siamese, images):
        ask = getattr(siamese, name)
        return ask(images, images.flip(3))[0] if name == "embed" else ask(images)

    model = OfEmbeddings(small_siamese(), read)
    (message,) = told(lambda: captum.GuidedBackprop(model).attribute(pair[0]))
    assert "(PReLU)" in message
    unfolded = captum.GuidedBackprop(unfold_prelu(model))
    assert not told(lambda: unfolded.attribute(pair[0]))
    compiled = OfEmbeddings(small_siamese(), read)
    compiled.siamese.backbone.compile(backend="eager")
    with pytest.raises(ValueError, match=r"GuidedBackprop needs hooks.*before torch\.compile"):
        captum.GuidedBackprop(compiled).attribute(pair[0])


def test_the_stack_is_read_once_a_call(pair, monkeypatch):
    siamese, reads = small_siamese(), []
    partner = siamese.embed_images(pair[1]).detach()
    read = captum_guard._calls_under_way
    monkeypatch.setattr(captum_guard, "_calls_under_way", lambda: reads.append(1) or read())
    for ask in (
        lambda: captum.GuidedBackprop(siamese).attribute(pair),
        lambda: PartnerView(siamese)(pair[0], partner),
        lambda: siamese.embed(*pair),
    ):
        reads.clear()
        ask()
        assert len(reads) == 1


@pytest.mark.parametrize("name", ["GuidedBackprop", "Deconvolution", "DeepLift"])
def test_prelu_gets_the_plain_gradient_and_unfolded_does_not(pair, name):
    siamese = small_siamese()
    base = (torch.zeros_like(pair[0]), pair[1])
    options = {"baselines": base} if name == "DeepLift" else {}
    method = getattr(captum, name)
    folded = method(siamese).attribute(pair, **options)
    plain = captum.Saliency(siamese).attribute(pair, abs=False)
    if name == "DeepLift":
        plain = tuple(g * (x - b) for g, x, b in zip(plain, pair, base, strict=True))
    torch.testing.assert_close(folded[0], plain[0])
    unfolded = unfold_prelu(siamese)
    assert not told(lambda: method(unfolded).attribute(pair, **options))
    right = method(unfolded).attribute(pair, **options)
    assert (right[0] - plain[0]).abs().max() > 0.1 * plain[0].abs().max()


def test_deep_lift_knows_what_we_say_it_knows():
    assert set(DEEP_LIFT_RULES) == set(SUPPORTED_NON_LINEAR)


FROM_BASELINES = ["IntegratedGradients", "DeepLift", "GradientShap", "ShapleyValueSampling"]
FROM_BASELINES += ["ShapleyValues", "DeepLiftShap", "LayerIntegratedGradients", "LayerDeepLift"]
FROM_BASELINES += ["KernelShap"]
OF_FEATURES = ["KernelShap", "ShapleyValueSampling", "ShapleyValues"]


@pytest.mark.extended
@pytest.mark.parametrize("name", FROM_BASELINES)
def test_the_same_baseline_on_both_sides_is_named(pair, name):
    if name == "KernelShap":
        pytest.importorskip("sklearn", reason="KernelShap needs scikit-learn")
    siamese = small_siamese(activation=nn.ReLU)
    layer = [siamese.backbone.layers[3]] if name.startswith("Layer") else []
    method = getattr(captum, name)(siamese, *layer)
    options = {"feature_mask": MASKS} if name in OF_FEATURES else {}
    grey = torch.full_like(pair[0], 0.5)
    base_a, base_b = one_sided_baselines(*pair)
    same = [(grey, grey), (0.5, 0.5), (grey, 0.5), None]
    if name in ("GradientShap", "DeepLiftShap"):
        same = [(grey, grey)]
    if "Shap" not in name:
        in_one_pair = torch.cat([grey[:1], pair[0][1:]]), torch.cat([grey[:1], pair[1][1:]])
        same.append(in_one_pair)
    for baselines in same:
        (message,) = told(lambda b=baselines: method.attribute(pair, baselines=b, **options))
        assert "score - 1" in message
        assert name in message
    for baselines in (base_a, base_b, (grey, grey * 0.9)):
        assert not told(lambda b=baselines: method.attribute(pair, baselines=b, **options))


def test_baselines_that_each_image_draws_for_itself_are_not_the_same(pair):
    method = captum.GradientShap(small_siamese())
    for several in ((pair[0], pair[0]), (pair[0], random_pair(3)[1])):
        assert not told(lambda several=several: method.attribute(pair, several))


def test_baselines_of_no_pair_are_nobodys_business(pair):
    siamese = small_siamese(activation=nn.ReLU)
    ig = captum.IntegratedGradients
    assert not told(lambda: ig(siamese).attribute(pair[0], additional_forward_args=pair[1]))
    partner = siamese.embed_images(pair[1])
    view = PartnerView(siamese)
    assert not told(lambda: ig(view).attribute(pair[0], additional_forward_args=partner))
    assert not told(lambda: captum.FeatureAblation(siamese).attribute(pair, feature_mask=MASKS))
    neuron = captum.NeuronIntegratedGradients(siamese, siamese.backbone.layers[3])
    assert not told(lambda: neuron.attribute(pair, (0, 1, 1)))


@pytest.mark.parametrize("name", ["FeatureAblation", "FeaturePermutation", "ShapleyValues"])
def test_one_mask_for_two_images_is_an_error(pair, name):
    method = getattr(captum, name)(small_siamese())
    for mask in (HALVES, (HALVES,)):
        with pytest.raises(ValueError, match="pair_feature_masks"):
            method.attribute(pair, feature_mask=mask)
    assert method.attribute(pair, feature_mask=MASKS)[1].abs().sum() > 0


@pytest.mark.parametrize("name", ["FeatureAblation", "ShapleyValues", "DataLoaderAttribution"])
def test_features_of_both_images_are_named(pair, name):
    siamese = small_siamese()

    def attribute(masks):
        if name == "DataLoaderAttribution":
            data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(*pair), 2)
            method = captum.DataLoaderAttribution(captum.FeatureAblation(siamese))
            return method.attribute(data, input_roles=(0, 0), feature_mask=masks)
        base = (0.0, 0.3)
        return getattr(captum, name)(siamese).attribute(pair, base, feature_mask=masks)

    (message,) = told(lambda: attribute((HALVES, HALVES)))
    assert "pair_feature_masks" in message
    together = attribute((HALVES, HALVES))
    assert torch.equal(together[0], together[1])
    for masks in (MASKS, MASKS[::-1], (HALVES * 2, HALVES * 2 + 1)):
        assert not told(lambda masks=masks: attribute(masks))
        apart = attribute(masks)
        assert not torch.allclose(apart[0], apart[1])


HOOKING = ["GuidedBackprop", "DeepLift", "LRP", "LayerGradCam", "LayerActivation"]


@pytest.mark.parametrize("viewed", [False, True], ids=["pair", "view"])
@pytest.mark.parametrize("in_place", [False, True])
def test_hooks_do_not_reach_a_compiled_backbone(pair, in_place, viewed):
    net = Own(nn.ReLU(), plain).eval()
    if in_place:
        net.compile(backend="eager")
    siamese = SiameseCosine(net if in_place else torch.compile(net, backend="eager"))
    model, inputs = (PartnerView(siamese), pair[0]) if viewed else (siamese, pair)
    extra = siamese.embed_images(pair[1]) if viewed else None
    for name in HOOKING:
        method = getattr(captum, name)(model, *([net.conv] if "Layer" in name else []))
        with pytest.raises(ValueError, match=rf"{name} needs hooks.*before torch\.compile"):
            method.attribute(inputs, additional_forward_args=extra)
    for method in (captum.Saliency(model), captum.IntegratedGradients(model)):
        options = {} if viewed or "Sal" in method.get_name() else {"baselines": (0, pair[1])}
        assert not told(
            lambda m=method, o=options: m.attribute(inputs, additional_forward_args=extra, **o)
        )


def test_activations_in_place_that_captum_cannot_work_with_are_named(pair):
    siamese = SiameseCosine(Own(nn.ReLU(inplace=True), plain).eval())
    method = captum.LayerIntegratedGradients(siamese, siamese.backbone.conv)
    with pytest.raises(ValueError, match="set inplace=False"):
        method.attribute(pair, baselines=one_sided_baselines(*pair)[0])
    siamese.backbone.module.inplace = False
    maps = method.attribute(pair, baselines=one_sided_baselines(*pair)[0])
    assert maps.any()


def test_wrong_calls_show_the_right_one(pair):
    siamese = small_siamese()
    for name in ("Saliency", "IntegratedGradients", "DeepLift", "FeatureAblation"):
        method = getattr(captum, name)(siamese)
        for wrong in (lambda m=method: m.attribute(*pair), lambda m=method: m.attribute(pair[0])):
            with pytest.raises(ValueError, match=r"\.attribute\(\(img_a, img_b\)\)"):
                wrong()
    for inputs in (pair, pair[0]):
        with pytest.raises(ValueError, match=r"additional_forward_args=\(siamese\.embed_images"):
            captum.Saliency(PartnerView(siamese)).attribute(inputs)
    xssab = SimilarityArgumentGradient(siamese, THRESHOLD)
    with pytest.raises(ValueError, match="NoiseTunnel repeats only its first argument"):
        captum.NoiseTunnel(xssab).attribute(pair[0], img_b=pair[1])
    with pytest.raises(TypeError, match=r"\.attribute\(\(img_a, img_b\)\)"):
        captum.NoiseTunnel(xssab).attribute(pair[0])


def test_the_warning_points_at_the_users_line(pair):
    siamese = small_siamese()
    with pytest.warns(UserWarning, match="same baseline") as caught:
        captum.NoiseTunnel(captum.IntegratedGradients(siamese)).attribute(pair, n_steps=2)
    assert {w.filename for w in caught if "same baseline" in str(w.message)} == {__file__}


def test_attr_re_exports_nothing_of_captum():
    assert not set(dir(captum_fv.attr)) & set(captum.__all__)
    for name in captum_fv.attr.__all__:
        assert getattr(captum_fv.attr, name).__module__.startswith("captum_fv.")
