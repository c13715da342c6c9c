"""A model that computes the same in less time: folded norms, channels last, graphs, compiled."""

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


def optimise_for_inference(siamese: SiameseCosine, compile: bool = False) -> SiameseCosine:
    """A model that gives the same embeddings and gradients in less time.

    Batch norms behind a convolution become part of it, and images go through with their channels
    last, where that pays: on a CPU, and on CUDA in TF32 and half precision. On one core an image of
    IResNet-50 took .79 to .86 of the time, and one of the demo model .66 to .75. On CUDA, the
    forwards and backwards of a few pairs by xSSAB and the integrated arguments are one CUDA graph
    besides. The first call compares both networks; where one cannot be made or gives other figures,
    a warning says why, and the backbone itself goes on. So it is with exported programs, which only
    `compile` and graphs make quicker.

    Methods of Captum with hooks, and layers, want the model as it was.

    Args:
        siamese: In evaluation mode. Its backbone stays as it is, and is kept beside the quicker
            network, which has weights of its own.
        compile: Also have `torch.compile` make kernels for the quicker network. It takes a minute
            or so at the first call, and again for the first batches of other sizes, so it is for
            thousands of pairs; it needs a C++ compiler, on CUDA Triton.

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
        QuickBackbone(siamese.backbone, compile, _last_pays(siamese)),
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
        compile: Whether the quicker network is compiled.
        channels_last: Whether it computes with the channels of its images last.
    """

    def __init__(
        self, module: nn.Module, compile: bool = False, channels_last: bool = True
    ) -> None:
        super().__init__()
        self.module = module
        self.options = compile, channels_last
        self.format = torch.channels_last if channels_last else torch.contiguous_format
        self.quick: nn.Module | None = None
        self._compared = False
        self.training = False
        try:
            with warnings.catch_warnings():  # torch.fx deprecates calls of torch's own programs
                warnings.simplefilter("ignore", FutureWarning)
                traced = folded(module)
            self.quick = traced.to(memory_format=self.format)  # type: ignore[call-overload]
        except Exception as error:  # whatever a network does that torch.fx cannot follow
            if compile:
                self.quick = module
            else:
                self._give_up(f"torch.fx cannot follow it ({_first_line(error)})")
        if compile:
            self.quick = torch.compile(self.quick)  # type: ignore[assignment]

    def __reduce__(self) -> tuple[type[QuickBackbone], tuple[nn.Module, bool, bool]]:
        # A copy or a file makes it anew: its network, traced, cannot be pickled.
        return QuickBackbone, (self.module, *self.options)

    def forward(self, images: Tensor) -> Any:
        """What the backbone gives for images (N, C, H, W)."""
        if self.quick is None:
            return self.module(images)
        images = images.contiguous(memory_format=self.format)
        if not self._compared:
            if reason := self._compare(images):
                self._give_up(reason)
                return self.module(images)
            self._compared = True
        return self.quick(images)

    @torch.no_grad()
    def _compare(self, images: Tensor) -> str:
        """Why the quicker network will not do; nothing if it does."""
        assert self.quick is not None
        with without_autocast(images.device):
            expected = self.module(images)
            try:
                return _unlike(self.quick(images), expected)
            except torch.OutOfMemoryError:
                raise
            except Exception as error:  # of a compiler that is missing, or lost its way
                return f"its first call failed ({_first_line(error)})"

    def _give_up(self, reason: str) -> None:
        self.quick = None
        warnings.warn(
            f"{type(self.module).__name__} is not optimised: {reason}; it goes on as it is",
            stacklevel=3,
        )


def _last_pays(siamese: SiameseCosine) -> bool:
    """Whether a model is quicker with the channels of its images last."""
    weight = next(siamese.backbone.parameters(), None)
    # CUDA's kernels for single precision are made for channels first, its tensor cores for last.
    return siamese.precision != "float32" or weight is None or not weight.is_cuda


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


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


def _unlike(answer: Any, expected: Any) -> str:
    """What to say if not all tensors in two answers are alike, up to rounding; else nothing."""
    found, wanted = (
        [x.detach().float() for x in tree_leaves(part) if isinstance(x, Tensor) and x.numel()]
        for part in (answer, expected)
    )
    alike = len(found) == len(wanted) and all(
        bool((one - other).abs().max() <= CLOSE * other.abs().max())
        for one, other in zip(found, wanted, strict=True)
    )
    return "" if alike else "the quicker network gives other figures"
