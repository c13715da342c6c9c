"""Which method of Captum is calling: refused or warned of where its map would be wrong.

Captum tells a model nothing but the images, so the methods under way are read off the stack: once
for each question to the backbone, at its one door. `docs/captum_methods.md` has the table of what
each method gives.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from types import FrameType
from typing import Any, TypeGuard

import captum.attr as captum
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from captum_fv.siamese.backbone import OptimisedBackbone
from captum_fv.siamese.prelu import TwoReLU

# fmt: off
# An activation in the backbone has a row for each image, 2N for N pairs; these expect N of them.
MIX_UP_IMAGES = (
    captum.GuidedGradCam, captum.InternalInfluence, captum.LayerConductance,
    captum.LayerDeepLiftShap, captum.LayerFeatureAblation, captum.LayerFeaturePermutation,
    captum.LayerGradientShap, captum.LayerLRP, captum.NeuronConductance,
    captum.NeuronFeatureAblation,
)
# These attribute the change of the score since both images were the baseline.
FROM_BASELINES = (
    captum.DeepLift, captum.GradientShap, captum.IntegratedGradients, captum.KernelShap,
    captum.LayerIntegratedGradients, captum.ShapleyValueSampling,
)
# These put hooks on modules.
HOOKING = (
    captum.DeepLift, captum.Deconvolution, captum.GuidedBackprop, captum.GuidedGradCam,
    captum.LayerAttribution, captum.LRP, captum.NeuronAttribution,
)
# These have rules for some modules of activation, and pass all other activations by their gradient.
WITH_RULES = (captum.GuidedBackprop, captum.Deconvolution, captum.DeepLift)
DEEP_LIFT_RULES = (
    nn.ELU, nn.LeakyReLU, nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d, nn.ReLU, nn.Sigmoid,
    nn.Softmax, nn.Softplus, nn.Tanh,
)
# fmt: on
ACTIVATIONS = {getattr(nn, name) for name in nn.modules.activation.__all__}
# GuidedBackprop and Deconvolution change gradients of rectifiers alone, which these are not.
PASSED_BY_THEIR_GRADIENT = {nn.Sigmoid, nn.Hardsigmoid, nn.Tanh, nn.Softmax}

Call = dict[str, Any]
"""The variables of an `attribute` of Captum under way; "self" is the method."""


@contextmanager
def guard(backbone: nn.Module, *, pair: bool) -> Iterator[bool]:
    """Around a question to the backbone: refuse a method of Captum, or warn of its map.

    Args:
        backbone: Whose activations the method may have rules for.
        pair: Whether pairs are scored, and not images embedded.

    Yields:
        Whether a method of Captum is under way, whose hooks leave notes in the modules.

    Raises:
        ValueError: The method cannot work on this model, or not on a pair.
    """
    calls, user_level = _calls_under_way()
    methods = [call["self"] for call in calls]
    if not methods:
        yield False
        return
    _refuse_compiled(methods, backbone)
    _refuse_relevance_of_halves(methods, backbone)
    if pair:
        _refuse_mixed_up_images(methods)
        _refuse_half_a_mask(calls)
        for told in (_same_baseline_twice(calls), _features_of_both(calls)):
            if told:
                warnings.warn(told, stacklevel=user_level)
    watch = next((_ActivationWatch(m) for m in methods if isinstance(m, WITH_RULES)), None)
    with watch or nullcontext():
        yield True
    if watch and (told := watch.left_out(backbone)):
        warnings.warn(told, stacklevel=user_level)


def _calls_under_way() -> tuple[list[Call], int]:
    """Captum's calls, innermost first, and the level of the user's line, for the caller to warn."""
    calls: list[Call] = []
    user_level = level = 1
    frame = None if torch.compiler.is_compiling() else sys._getframe(1)
    while frame is not None:
        if frame.f_globals.get("__name__", "").startswith("captum."):
            user_level = level + 1
            if frame.f_code.co_name == "attribute":
                calls.append(frame.f_locals)
        frame, level = frame.f_back, level + 1
    return calls, user_level


def _refuse_compiled(methods: list[Any], backbone: nn.Module) -> None:
    hooking = [method for method in methods if isinstance(method, HOOKING)]
    if hooking and any(
        hasattr(module, "_orig_mod") or module._compiled_call_impl is not None
        for module in backbone.modules()
    ):
        raise ValueError(
            f"{type(hooking[0]).__name__} needs hooks, which torch.compile leaves out; want the "
            "backbone as it was before torch.compile"
        )
    if hooking and any(isinstance(module, OptimisedBackbone) for module in backbone.modules()):
        raise ValueError(
            f"{type(hooking[0]).__name__} needs hooks on the backbone, beside which a quicker "
            "network runs here; want the model as it was before optimise_for_inference"
        )


def _refuse_relevance_of_halves(methods: list[Any], backbone: nn.Module) -> None:
    relevance = any(isinstance(method, captum.LRP) for method in methods)
    if relevance and any(isinstance(module, TwoReLU) for module in backbone.modules()):
        raise ValueError(
            "LRP gives both halves of an unfolded PReLU all of its relevance; take the model as it "
            "was, and give each nn.PReLU module.rule = IdentityRule() of "
            "captum.attr._utils.lrp_rules before the call"
        )


def _refuse_mixed_up_images(methods: list[Any]) -> None:
    noisy = any(isinstance(method, captum.NoiseTunnel) for method in methods)
    kinds = (*MIX_UP_IMAGES, captum.LayerAttribution) if noisy else MIX_UP_IMAGES
    if mixing := [method for method in methods if isinstance(method, kinds)]:
        name = type(mixing[-1]).__name__
        raise ValueError(
            f"{name} mixes up the two images of a pair, whose activations it takes for one's; "
            f"explain one image at a time: {name}(PartnerView(siamese), layer).attribute(img_a, "
            "..., additional_forward_args=(siamese.embed_images(img_b),))"
        )


def _refuse_half_a_mask(calls: list[Call]) -> None:
    for call in calls:
        mask = call.get("feature_mask")
        is_one = isinstance(mask, Tensor) or (isinstance(mask, tuple) and len(mask) == 1)
        if is_one and _is_pair(call.get("inputs")):
            raise ValueError(
                "feature_mask: got one for two images, which leaves image B whole; write "
                "feature_mask=pair_feature_masks(mask)"
            )


def _same_baseline_twice(calls: list[Call]) -> str | None:
    if any(isinstance(call["self"], captum.NeuronAttribution) for call in calls):
        return None  # one image's neuron, which has no partner
    for call in calls:
        method = call["self"]
        of_pair = isinstance(method, FROM_BASELINES) and _is_pair(call["inputs"])
        if of_pair and "baselines" in call and _are_one(method, call["baselines"]):
            name = type(method).__name__
            return (
                f"{name} starts where both images are the same baseline, which scores 1: its maps "
                "explain score - 1, never above 0. Hold one image: base_a, base_b = "
                "one_sided_baselines(img_a, img_b), then map_a, _ = "
                f"{name}(siamese).attribute((img_a, img_b), baselines=base_a)"
            )
    return None


def _features_of_both(calls: list[Call]) -> str | None:
    for call in calls:
        masks = call.get("feature_mask")
        if not _is_pair(masks) or not all(isinstance(mask, Tensor) for mask in masks):
            continue
        mask_a, mask_b = masks
        # As pair_feature_masks gives them; looking closer takes as long as a forward.
        apart = mask_a.max() < mask_b.min() or mask_b.max() < mask_a.min()
        if not apart and torch.isin(mask_a, mask_b).any():
            return (
                "feature_mask: A and B share features, which Captum changes in both images at "
                "once: both maps get what both do together. To tell the images apart write "
                "feature_mask=pair_feature_masks(mask_a, mask_b)"
            )
    return None


def _is_pair(value: Any) -> TypeGuard[tuple[Any, Any]]:
    return isinstance(value, tuple) and len(value) == 2


def _are_one(method: Any, baselines: Any) -> bool:
    """Whether some pair starts from the same baseline in both images."""
    if not _is_pair(baselines):
        return baselines is None
    base_a, base_b = (torch.as_tensor(baseline) for baseline in baselines)
    if isinstance(method, captum.GradientShap):  # each image draws of several for itself
        several = torch.cat([base_a, base_b])
        return bool((several == several[0]).all())
    same = base_a == base_b
    return bool((same.flatten(1).all(1) if same.ndim > 1 else same).any())


class _ActivationWatch(TorchFunctionMode):
    """Sees the activations in a forward for which a method of Captum has no rule."""

    def __init__(self, method: Any) -> None:
        super().__init__()
        self.method = method
        self.is_deep = isinstance(method, captum.DeepLift)
        self.rules = DEEP_LIFT_RULES if self.is_deep else (nn.ReLU,)
        fine = set() if self.is_deep else PASSED_BY_THEIR_GRADIENT
        self.kinds = tuple((ACTIVATIONS | {*self.rules}) - fine)
        self.names = {kind.__name__.lower() for kind in self.kinds}
        self.functions: set[str] = set()

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        # As in leaky_relu, relu_ and aten's relu.default, for LeakyReLU and ReLU.
        name = getattr(func, "__name__", "").partition(".")[0].strip("_")
        if name.replace("_", "") in self.names and not _within_a_module(sys._getframe(1)):
            self.functions.add(name)
        return func(*args, **(kwargs or {}))

    def left_out(self, backbone: nn.Module) -> str | None:
        """What to warn of: modules of the backbone without a rule, and functions that were seen."""
        without_rule = {
            type(module).__name__
            for module in backbone.modules()
            if isinstance(module, self.kinds)
            # DeepLift looks for these very types, the others for what is derived from them too.
            and not (type(module) in self.rules if self.is_deep else isinstance(module, self.rules))
        }
        unseen = sorted(without_rule)
        unseen += [f"{name} called as a function" for name in sorted(self.functions)]
        if any(isinstance(module, torch.jit.ScriptModule) for module in backbone.modules()):
            unseen.append("those of a scripted program")
        if not unseen:
            return None
        cure = "IntegratedGradients needs no rules"
        if unseen == ["PReLU"]:
            cure = "Write unfold_prelu(siamese) for siamese"
        known = ", ".join(kind.__name__ for kind in self.rules)
        return (
            f"{type(self.method).__name__} has rules for modules {known}; to this backbone's other "
            f"activations ({', '.join(unseen)}) it applies the plain gradient. {cure}"
        )


def _within_a_module(frame: FrameType | None) -> bool:
    """Whether the innermost `forward` under way is that of an activation or pooling module."""
    while frame is not None and frame.f_code.co_name != "forward":
        frame = frame.f_back
    modules = (nn.modules.activation.__name__, nn.modules.pooling.__name__)
    return frame is not None and frame.f_globals.get("__name__") in modules
