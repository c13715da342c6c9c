"""PReLU, which all of ArcFace's family has, for methods of Captum that know only ReLU."""

from __future__ import annotations

import copy
from typing import Any, TypeVar

from torch import Tensor, nn

Model = TypeVar("Model", bound=nn.Module)


class TwoReLU(nn.Module):
    """PReLU(x) = ReLU(x) - weight * ReLU(-x), of modules that Captum has rules for."""

    def __init__(self, weight: nn.Parameter) -> None:
        super().__init__()
        self.weight = weight
        self.positive = nn.ReLU()
        self.negative = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """The rectified values, in the shape of x."""
        weight = self.weight.reshape(-1, *[1] * (x.ndim - 2))
        # Captum rewrites the gradient of a rectifier's input tensor, so each gets one of its own.
        rectified: Tensor = self.positive(x.clone()) - weight * self.negative(-x)
        return rectified


def unfold_prelu(model: Model) -> Model:
    """A copy that computes the same, on the same weights, with two ReLUs in place of each PReLU.

    DeepLift's rescale rule is then exact for PReLU; GuidedBackprop and Deconvolution take each half
    for the rectifier it is.

    Args:
        model: A backbone or a SiameseCosine. Look up layers in the copy.

    Raises:
        ValueError: A model without PReLU modules.

    >>> import torch
    >>> net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.PReLU(4)).eval()
    >>> photo = torch.rand(1, 3, 8, 8)
    >>> torch.allclose(unfold_prelu(net)(photo), net(photo))
    True
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model: got {type(model).__name__}; want an nn.Module")
    shared: dict[int, Any] = {id(weight): weight for weight in model.parameters()}
    unfolded = copy.deepcopy(model, shared)
    modules = unfolded.named_modules(remove_duplicate=False)
    prelus = [(path, module) for path, module in modules if isinstance(module, nn.PReLU)]
    if not prelus:
        raise ValueError(f"{type(model).__name__} has no nn.PReLU module; use it as it is")
    for path, prelu in prelus:
        parent, _, name = path.rpartition(".")
        setattr(unfolded.get_submodule(parent), name, TwoReLU(prelu.weight).train(prelu.training))
    return unfolded
