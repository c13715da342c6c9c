"""What a model, a calibration and a threshold stand for, as users give them."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from captum_fv.core.checks import as_number
from captum_fv.explain.document import ONLY_GENERATED, Threshold
from captum_fv.metrics import Calibration
from captum_fv.models.zoo import load_backbone
from captum_fv.siamese.backbone import contract, hidden_contract
from captum_fv.siamese.model import SiameseCosine


def as_siamese(
    model: SiameseCosine | nn.Module | str | Path, device: str | torch.device, name: str | None
) -> tuple[SiameseCosine, str]:
    """The model, and what it is called."""
    if isinstance(model, SiameseCosine):
        return model, name or type(model.backbone).__name__
    if isinstance(model, nn.Module):
        return SiameseCosine(model), name or type(model).__name__
    backbone = load_backbone(model, device=device)
    unknown = contract(backbone).mean is None and hidden_contract(backbone) is None
    usual = 0.5 if unknown else None
    path = Path(model)
    return SiameseCosine(backbone, usual, usual), name or (path.stem if path.suffix else str(model))


def as_calibration(given: Calibration | str | Path | None) -> Calibration | None:
    """What a calibration's file holds."""
    return Calibration.load(given) if isinstance(given, str | Path) else given


def choose_threshold(
    given: float | None,
    calibration: Calibration | None,
    own: float | None,
    name: str,
    is_demo: bool,
) -> Threshold:
    """The user's threshold, else the calibration's, else the model's own."""
    if given is not None:
        try:
            value = as_number("--threshold", given)
        except ValueError as error:
            raise ValueError(f"--threshold: got {given}; want a cosine, in [-1, 1]") from error
        threshold = Threshold(value, "as given")
    elif calibration is not None:
        at = f"an FMR of at most {calibration.fmr:g} on {calibration.source}"
        threshold = Threshold(calibration.threshold, at)
    elif own is not None:
        source = "the model's own"
        threshold = Threshold(float(own), f"{source}; {ONLY_GENERATED}" if is_demo else source)
    else:
        raise ValueError(
            f"--threshold is missing: {name} does not say from which cosine it matches; "
            "`captum-fv dpr` finds it on your pairs, and `captum-fv calibrate` a likelihood ratio "
            "beside it"
        )
    if not -1 <= threshold.value <= 1:
        whose = "--threshold" if given is not None else f"the threshold ({threshold.source})"
        raise ValueError(f"{whose}: got {threshold.value}; want a cosine, in [-1, 1]")
    return threshold
