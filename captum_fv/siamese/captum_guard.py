"""Calls of Captum's methods that would give a wrong map without a word.

`docs/captum_methods.md` has the table that tells which these are.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, TypeGuard

import captum.attr as captum
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from captum_fv.siamese.prelu import TwoReLU

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

# These put hooks on modules.
HOOKING = (
    captum.DeepLift,
    captum.Deconvolution,
    captum.GuidedBackprop,
    captum.GuidedGradCam,
    captum.LayerAttribution,
    captum.LRP,
    captum.NeuronAttribution,
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
    calls, user_level = calls_under_way()
    if not calls:
        return
    methods = [call["self"] for call in calls]
    _refuse_compiled(methods, backbone)
    _refuse_relevance_of_halves(methods, backbone)
    if not pair:
        return
    _refuse_mixed_up_images(methods)
    _refuse_half_a_mask(calls)
    for told in (_same_baseline_twice(calls), _features_of_both(calls)):
        if told:
            warnings.warn(told, stacklevel=user_level)


def called_by_captum() -> bool:
    """Whether a method of Captum is under way, whose hooks leave notes in the modules."""
    return bool(calls_under_way()[0])


def called_by_noise_tunnel() -> bool:
    """Whether a NoiseTunnel is under way, which repeats nothing but its first argument."""
    calls, _ = calls_under_way()
    return any(isinstance(call["self"], captum.NoiseTunnel) for call in calls)


def calls_under_way() -> tuple[list[dict[str, Any]], int]:
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


def _refuse_compiled(methods: list[Any], backbone: nn.Module) -> None:
    hooking = [method for method in methods if isinstance(method, HOOKING)]
    if hooking and any(_is_compiled(module) for module in backbone.modules()):
        raise ValueError(
            f"{type(hooking[0]).__name__} needs hooks, which torch.compile leaves out; want the "
            "backbone as it was before torch.compile"
        )


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
                "feature_mask=pair_feature_masks(mask)"
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


def _features_of_both(calls: list[dict[str, Any]]) -> str | None:
    for call in calls:
        masks = call.get("feature_mask")
        if _is_pair(masks) and _share_numbers(*masks):
            return (
                "feature_mask: A and B share features, which Captum changes in both images at "
                "once: both maps get what both do together. To tell the images apart write "
                "feature_mask=pair_feature_masks(mask_a, mask_b)"
            )
    return None


def _is_compiled(module: nn.Module) -> bool:
    return hasattr(module, "_orig_mod") or module._compiled_call_impl is not None


def _is_pair(value: Any) -> TypeGuard[tuple[Any, Any]]:
    return isinstance(value, tuple) and len(value) == 2


def _equal(base_a: Any, base_b: Any) -> bool:
    """Whether any pair has the same baseline twice."""
    same = torch.as_tensor(base_a) == torch.as_tensor(base_b)
    return bool((same.flatten(1).all(1) if same.ndim > 1 else same).any())


def _always_equal(several_a: Tensor, several_b: Tensor) -> bool:
    """Whether a baseline drawn for A is B's, whichever each draws of its own."""
    several = torch.cat([several_a, several_b])
    return bool((several == several[0]).all())


def _share_numbers(mask_a: Any, mask_b: Any) -> bool:
    if not (isinstance(mask_a, Tensor) and isinstance(mask_b, Tensor)):
        return False
    if mask_a.max() < mask_b.min() or mask_b.max() < mask_a.min():
        return False  # as pair_feature_masks gives them; looking closer takes as long as a forward
    return bool(torch.isin(mask_a, mask_b).any())


Kinds = tuple[type[nn.Module], ...]

ACTIVATIONS: Kinds = tuple(getattr(nn, name) for name in nn.modules.activation.__all__)
RECTIFIER_METHODS = (captum.GuidedBackprop, captum.Deconvolution)
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


@contextmanager
def activations_in_sight(backbone: nn.Module) -> Iterator[None]:
    """Around a forward of the backbone: warn of what the method of Captum under way cannot see."""
    calls, _ = calls_under_way()
    methods = (call["self"] for call in calls)
    method = next(
        (m for m in methods if isinstance(m, (*RECTIFIER_METHODS, captum.DeepLift))), None
    )
    if method is None:
        yield
        return
    deep = isinstance(method, captum.DeepLift)
    rules, fine = (DEEP_LIFT_RULES, ()) if deep else (RECTIFIERS, PASSED_BY_THEIR_GRADIENT)
    kinds = tuple({*ACTIVATIONS, *rules} - {*fine})
    with _Functions(kinds) as functions:
        yield
    # DeepLift looks for these very types, the others for what is derived from them as well.
    missed = {
        type(module).__name__
        for module in backbone.modules()
        if isinstance(module, kinds)
        and not (type(module) in rules if deep else isinstance(module, rules))
    }
    unseen = sorted(missed) + [f"{name} called as a function" for name in sorted(functions.found)]
    if any(isinstance(module, torch.jit.ScriptModule) for module in backbone.modules()):
        unseen.append("those of a scripted program")
    if unseen:
        cure = "IntegratedGradients needs no rules"
        if unseen == ["PReLU"]:
            cure = "Write unfold_prelu(siamese) for siamese"
        known = ", ".join(kind.__name__ for kind in rules)
        _, user_level = calls_under_way()
        warnings.warn(
            f"{type(method).__name__} has rules for modules {known}; to this backbone's other "
            f"activations ({', '.join(unseen)}) it applies the plain gradient. {cure}",
            stacklevel=user_level,
        )


class _Functions(TorchFunctionMode):
    """Finds functions that do what modules of these kinds do, and are called by none of them."""

    def __init__(self, kinds: Kinds) -> None:
        super().__init__()
        self.names = {kind.__name__.lower() for kind in kinds}
        self.found: set[str] = set()

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        # As in leaky_relu, relu_ and aten's relu.default, for LeakyReLU and ReLU.
        name = getattr(func, "__name__", "").partition(".")[0].strip("_")
        if name.replace("_", "") in self.names and not _within_a_module(sys._getframe(1)):
            self.found.add(name)
        return func(*args, **(kwargs or {}))


def _within_a_module(frame: FrameType | None) -> bool:
    """Whether the innermost `forward` under way is that of an activation or pooling module."""
    while frame is not None and frame.f_code.co_name != "forward":
        frame = frame.f_back
    modules = (nn.modules.activation.__name__, nn.modules.pooling.__name__)
    return frame is not None and frame.f_globals.get("__name__") in modules
