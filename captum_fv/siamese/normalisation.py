"""How photos in [0, 1] become what a backbone takes: its own mean and deviation, or none known."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor, nn

from captum_fv.core.checks import all_finite
from captum_fv.siamese.backbone import Normalisation, contract, hidden_contract


def own_normalisation(backbone: nn.Module) -> tuple[Normalisation, Normalisation]:
    """The mean and deviation that a backbone carries, or two times None.

    Raises:
        ValueError: Only a part of it carries them.

    Warns:
        UserWarning: It has tensors of these names, which may or may not be meant so.
    """
    carried = contract(backbone)
    if carried.mean is not None:
        return carried.mean, carried.std
    if hidden := hidden_contract(backbone):
        name, inner = hidden
        raise ValueError(
            f"{type(backbone).__name__} does not say how photos are normalised, and its part "
            f"{name!r} does, mean={inner.mean}, std={inner.std}; write SiameseCosine(backbone, "
            f"mean={inner.mean}, std={inner.std}), or mean=0, std=1 if photos in [0, 1] are "
            "normalised before they come there"
        )
    if all(isinstance(vars(backbone).get(name), Tensor) for name in ("mean", "std")):
        warnings.warn(
            f"{type(backbone).__name__} has tensors called mean and std, which are taken for its "
            "own use; if images in [0, 1] are to be normalised by them, write SiameseCosine("
            "backbone, backbone.mean, backbone.std)",
            stacklevel=3,
        )
    return None, None


def per_channel(name: str, value: Normalisation) -> Tensor | None:
    """A mean or deviation as (1, 1, 1) or (C, 1, 1); a TypeError or ValueError for no numbers."""
    if value is None:
        return None
    try:
        values = torch.as_tensor(value, dtype=torch.float32).reshape(-1, 1, 1)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(f"{name}: got {value!r}; want a number, or one for each channel") from error
    if not len(values) or not all_finite(values):
        raise ValueError(f"{name}: got {value}; want finite numbers")
    return values
