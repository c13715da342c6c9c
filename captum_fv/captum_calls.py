"""Calls of Captum's methods that would give a wrong map without a word.

`docs/captum_methods.md` has the table that tells which these are.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterable
from types import FrameType
from typing import Any

import captum.attr as captum
import torch
from torch import Tensor, nn

from captum_fv.prelu import TwoReLU

# An activation in the backbone has a row for each image, 2N for N pairs; these expect N of them.
MIX_UP_IMAGES = (
    captum.GuidedGradCam,
    captum.InternalInfluence,
    captum.LayerConductance,
    captum.LayerDeepLiftShap,
    captum.LayerFeatureAblation,
    captum.LayerFeaturePermutation,
    captum.LayerGradientShap,
    captum.LayerLRP,
    captum.NeuronConductance,
    captum.NeuronFeatureAblation,
)

# These attribute the change of the score since both images were the baseline.
FROM_BASELINES = (
    captum.DeepLift,
    captum.GradientShap,
    captum.IntegratedGradients,
    captum.KernelShap,
    captum.LayerIntegratedGradients,
    captum.ShapleyValueSampling,
)

# These replace the gradient of the activations they know, which must be modules.
RECTIFIER_METHODS = (captum.GuidedBackprop, captum.Deconvolution)
Kinds = tuple[type[nn.Module], ...]
RECTIFIERS: Kinds = (nn.ReLU,)
PASSED_BY_THEIR_GRADIENT: Kinds = (nn.Sigmoid, nn.Hardsigmoid, nn.Tanh, nn.Softmax)
DEEP_LIFT_RULES: Kinds = (
    nn.ELU,
    nn.LeakyReLU,
    nn.MaxPool1d,
    nn.MaxPool2d,
    nn.MaxPool3d,
    nn.ReLU,
    nn.Sigmoid,
    nn.Softmax,
    nn.Softplus,
    nn.Tanh,
)


def check_captum_call(backbone: nn.Module, *, pair: bool) -> None:
    """Raise or warn if the method of Captum that asks for a score will get its map wrong.

    Captum tells a model nothing but the images, so the method is read off the calls under way.

    Args:
        backbone: What the score comes from.
        pair: Whether the score is asked of a pair, not of one image and an embedding.

    Raises:
        ValueError: The method cannot work on a pair.
    """
    calls, user_level = _captum_calls()
    if not calls:
        return
    methods = [call["self"] for call in calls]
    if pair:
        _refuse_mixed_up_images(methods)
        _refuse_half_a_mask(calls)
    _refuse_relevance_of_halves(methods, backbone)
    for told in (
        _same_baseline_twice(calls) if pair else None,
        _activations_without_a_rule(methods, backbone),
    ):
        if told:
            warnings.warn(told, stacklevel=user_level)


def called_by_captum() -> bool:
    """Whether a method of Captum is under way, whose hooks leave notes in the modules."""
    return bool(_captum_calls()[0])


def called_by_noise_tunnel() -> bool:
    """Whether a NoiseTunnel is under way, which repeats nothing but its first argument."""
    calls, _ = _captum_calls()
    return any(isinstance(call["self"], captum.NoiseTunnel) for call in calls)


def _captum_calls() -> tuple[list[dict[str, Any]], int]:
    """Variables of each `attribute` of Captum under way, innermost first, and the user's level."""
    calls: list[dict[str, Any]] = []
    user_level = level = 1
    if torch.compiler.is_compiling():
        return calls, user_level
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_globals.get("__name__", "").startswith("captum."):
            user_level = level + 1
            if frame.f_code.co_name == "attribute":
                calls.append(frame.f_locals)
        frame, level = frame.f_back, level + 1
    return calls, user_level


def _refuse_mixed_up_images(methods: list[Any]) -> None:
    mixing = [method for method in methods if isinstance(method, MIX_UP_IMAGES)]
    if not mixing and any(isinstance(method, captum.NoiseTunnel) for method in methods):
        mixing = [method for method in methods if isinstance(method, captum.LayerAttribution)]
    if mixing:
        name = type(mixing[-1]).__name__
        raise ValueError(
            f"{name} mixes up the two images of a pair, whose activations it takes for one's; "
            f"explain one image at a time: {name}(PartnerView(siamese), layer).attribute(img_a, "
            "..., additional_forward_args=(siamese.embed_images(img_b),))"
        )


def _refuse_half_a_mask(calls: list[dict[str, Any]]) -> None:
    for call in calls:
        mask = call.get("feature_mask")
        if _is_pair(call.get("inputs")) and (
            isinstance(mask, Tensor) or (isinstance(mask, tuple) and len(mask) == 1)
        ):
            raise ValueError(
                "feature_mask: got one for two images, which leaves image B whole; write "
                "feature_mask=pair_feature_masks(mask), or a mask for each image"
            )


def _refuse_relevance_of_halves(methods: list[Any], backbone: nn.Module) -> None:
    relevance = any(isinstance(method, captum.LRP) for method in methods)
    if relevance and any(isinstance(module, TwoReLU) for module in backbone.modules()):
        raise ValueError(
            "LRP gives both halves of an unfolded PReLU all of its relevance; take the model as it "
            "was, and give each nn.PReLU module.rule = IdentityRule() of "
            "captum.attr._utils.lrp_rules before the call"
        )


def _same_baseline_twice(calls: list[dict[str, Any]]) -> str | None:
    if any(isinstance(call["self"], captum.NeuronAttribution) for call in calls):
        return None  # one image's neuron, which has no partner
    for call in calls:
        method = call["self"]
        takes_baselines = isinstance(method, FROM_BASELINES) and "baselines" in call
        if not (takes_baselines and _is_pair(call["inputs"])):
            continue
        baselines = call["baselines"]
        equal = _always_equal if isinstance(method, captum.GradientShap) else _equal
        if baselines is None or (_is_pair(baselines) and equal(*baselines)):
            name = type(method).__name__
            return (
                f"{name} starts where both images are the same baseline, which scores 1: its maps "
                "explain score - 1, never above 0. Hold one image: base_a, base_b = "
                "one_sided_baselines(img_a, img_b), then map_a, _ = "
                f"{name}(siamese).attribute((img_a, img_b), baselines=base_a)"
            )
    return None


def _activations_without_a_rule(methods: list[Any], backbone: nn.Module) -> str | None:
    for method in methods:
        if isinstance(method, RECTIFIER_METHODS):
            rules, fine = RECTIFIERS, (*RECTIFIERS, *PASSED_BY_THEIR_GRADIENT)
        elif isinstance(method, captum.DeepLift):
            rules = fine = DEEP_LIFT_RULES
        else:
            continue
        missed = sorted({type(m).__name__ for m in _activations(backbone) if type(m) not in fine})
        if missed:
            what = ", ".join(missed)
        elif not any(isinstance(m, rules) for m in backbone.modules()) and _has_own_code(backbone):
            what = "activations, in functions or a program where it cannot see them,"
        else:
            continue
        known = ", ".join(rule.__name__ for rule in rules)
        cure = "IntegratedGradients needs no rules"
        if missed == ["PReLU"]:
            cure = "Write unfold_prelu(siamese) for siamese"
        return (
            f"{type(method).__name__} has rules for modules {known}; to this backbone's {what} it "
            f"applies the plain gradient. {cure}"
        )
    return None


def _activations(backbone: nn.Module) -> Iterable[nn.Module]:
    return (m for m in backbone.modules() if type(m).__module__ == nn.ReLU.__module__)


def _has_own_code(backbone: nn.Module) -> bool:
    """Whether any part is not PyTorch's own, so that activations may be called as functions."""
    return any(not type(m).__module__.startswith("torch.nn.modules") for m in backbone.modules())


def _is_pair(value: Any) -> bool:
    return isinstance(value, tuple) and len(value) == 2


def _equal(base_a: Any, base_b: Any) -> bool:
    return bool((torch.as_tensor(base_a) == torch.as_tensor(base_b)).all())


def _always_equal(several_a: Tensor, several_b: Tensor) -> bool:
    """Whether a baseline drawn for A is B's, whichever each draws of its own."""
    several = torch.cat([several_a, several_b])
    return bool((several == several[0]).all())
