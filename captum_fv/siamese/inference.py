"""A model that computes the same in less time: batch norms folded, channels last, CUDA graphs."""

from __future__ import annotations

import copy
import warnings
from collections import Counter
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.utils._pytree import tree_leaves

from captum_fv.core.arithmetic import without_autocast
from captum_fv.siamese.backbone import OptimisedBackbone, check_mode
from captum_fv.siamese.model import SiameseCosine, check_siamese
from captum_fv.siamese.replay import Replays

CLOSE = 5e-3
"""How far the quick network may be from the backbone, as a share of the largest value: rounding is
2e-6 of it in float32, and 1e-3 in TF32."""


def optimise_for_inference(siamese: SiameseCosine) -> SiameseCosine:
    """A model that gives the same embeddings and gradients in less time.

    Batch norms behind a convolution become part of it, and images go through with their channels
    last: on one core an image of IResNet-50 took .79 to .86 of the time, and one of the demo model
    .66 to .75. On CUDA, xSSAB's forward and backwards of a few pairs are one CUDA graph besides.
    The first call compares both networks; where one cannot be made or gives other figures, a
    warning says why, and the backbone itself goes on. So it is with exported programs, which are
    optimised by `torch.compile`: `SiameseCosine(torch.compile(backbone))`.

    Methods of Captum with hooks, and layers, want the model as it was.

    Args:
        siamese: In evaluation mode. Its backbone stays as it is, and is kept beside the quicker
            network, which has weights of its own.

    Raises:
        TypeError: No SiameseCosine.
        ValueError: It is in training mode.

    >>> import captum_fv as fv
    >>> siamese = fv.SiameseCosine(fv.load_backbone("demo"))
    >>> pair = fv.generated_pairs(2).tensors([0])
    >>> torch.allclose(optimise_for_inference(siamese)(*pair), siamese(*pair), atol=1e-5)
    True
    """
    check_siamese(siamese)
    check_mode(siamese)
    quick = SiameseCosine(
        QuickBackbone(siamese.backbone),
        siamese.mean,
        siamese.std,
        siamese.output,
        siamese.channel_order,
        siamese.precision,
    )
    quick.replays = Replays()
    return quick


class QuickBackbone(OptimisedBackbone):
    """A backbone and, beside it, a quicker network that gives the same.

    Args:
        module: The backbone, as it is.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module
        self.quick: nn.Module | None = None
        self._compared = False
        self.training = False
        try:
            with warnings.catch_warnings():  # torch.fx deprecates calls of torch's own programs
                warnings.simplefilter("ignore", FutureWarning)
                traced = folded(module)
            self.quick = traced.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        except Exception as error:  # whatever a network does that torch.fx cannot follow
            self._give_up(f"torch.fx cannot follow it ({str(error).strip().partition(chr(10))[0]})")

    def __reduce__(self) -> tuple[type[QuickBackbone], tuple[nn.Module]]:
        # A copy or a file makes it anew: its network, traced, cannot be pickled.
        return QuickBackbone, (self.module,)

    def forward(self, images: Tensor) -> Any:
        """What the backbone gives for images (N, C, H, W)."""
        if self.quick is None:
            return self.module(images)
        channels_last = images.contiguous(memory_format=torch.channels_last)
        if not self._compared:
            self._compared = True
            with without_autocast(images.device), torch.no_grad():
                alike = _alike(self.quick(channels_last), self.module(images))
            if not alike:
                self._give_up("the quicker network gives other figures")
                return self.module(images)
        return self.quick(channels_last)

    def _give_up(self, reason: str) -> None:
        self.quick = None
        warnings.warn(
            f"{type(self.module).__name__} is not optimised: {reason}; it goes on as it is",
            stacklevel=3,
        )


def folded(backbone: nn.Module) -> torch.fx.GraphModule:
    """A copy, traced by torch.fx, without the batch norms that stand right behind a convolution."""
    traced = torch.fx.symbolic_trace(copy.deepcopy(backbone))
    modules = dict(traced.named_modules())
    calls = Counter(node.target for node in traced.graph.nodes if node.op == "call_module")
    for node in list(traced.graph.nodes):
        before = node.args[0] if node.args else None
        if not (node.op == "call_module" and isinstance(before, torch.fx.Node)):
            continue
        if before.op != "call_module" or len(before.users) > 1:
            continue
        conv, norm = modules[str(before.target)], modules[str(node.target)]
        # A convolution that serves twice may have its batch norm behind it only once.
        once = calls[before.target] == 1
        if once and isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            parent, _, name = str(before.target).rpartition(".")
            setattr(traced.get_submodule(parent), name, fuse_conv_bn_eval(conv, norm))
            node.replace_all_uses_with(before)
            traced.graph.erase_node(node)
    traced.delete_all_unused_submodules()
    traced.recompile()
    return traced.eval()  # torch.fx makes modules of its own, for the names that it copies


def _alike(answer: Any, expected: Any) -> bool:
    """Whether all tensors in two answers are alike, up to rounding."""
    found, wanted = (
        [x.detach().float() for x in tree_leaves(part) if isinstance(x, Tensor) and x.numel()]
        for part in (answer, expected)
    )
    return len(found) == len(wanted) and all(
        bool((one - other).abs().max() <= CLOSE * other.abs().max())
        for one, other in zip(found, wanted, strict=True)
    )
