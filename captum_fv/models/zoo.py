"""The one way in: a name or a file becomes a frozen embedder that knows its own input."""

from __future__ import annotations

import difflib
from functools import cache
from pathlib import Path

import torch
from torch import nn

from captum_fv.models.catalogue import ARCHITECTURES, CATALOGUE, Entry
from captum_fv.models.demo import load_demo_backbone
from captum_fv.models.loading import (
    StateDict,
    compare,
    fit,
    read_weights,
    readings,
)
from captum_fv.models.onnx_model import read_onnx
from captum_fv.models.programs import program_kind, read_program

Scale = float | tuple[float, float, float]


def load_backbone(
    name_or_path: str | Path,
    checkpoint: str | Path | None = None,
    *,
    architecture: str | None = None,
    mean: Scale | None = None,
    std: Scale | None = None,
    channel_order: str | None = None,
    device: str | torch.device = "cpu",
) -> nn.Module:
    """Load a face embedder, in evaluation mode and with frozen weights.

    It takes RGB images and says which: `mean` and `std` of the [0, 1] pixels and `size` (height,
    width), each None where it is not known, as of most programs; `channel_order` is "RGB". All but
    programs have `features` (images -> last spatial grid) and `head` (grid -> embeddings).

    Checkpoints and safetensors are data, and nothing in them ever runs. Programs are code, as a
    Python file is; pickles inside them are refused all the same.

    Args:
        name_or_path: "demo", a name from CATALOGUE, or a file: a checkpoint (.pt, .pth, .ckpt,
            .safetensors), a program (torch.export or TorchScript) or an .onnx model, which gives
            no gradient. Load a program only if it comes from somebody whom you trust.
        checkpoint: The authors' checkpoint, for a name.
        architecture: A key of ARCHITECTURES for a checkpoint without a name; else recognised.
        mean, std: Instead of the authors'; a program carries none.
        channel_order: Instead of the authors': "RGB" or "BGR", the order that the model was
            trained with.
        device: Where the model goes.

    Returns:
        (N, 3, H, W) images -> (N, d) embeddings, not normalised.

    Raises:
        FileNotFoundError: There is no such file.
        ImportError: It needs timm or onnxruntime, which are not installed.
        ValueError: The name is unknown, or the file is damaged, carries Python code or does not
            fit the architecture.

    >>> load_backbone("arcface-r100")
    Traceback (most recent call last):
    ...
    ValueError: arcface-r100: its checkpoint is the authors', get it from https://github.com/...
    """
    if (mean is None) != (std is None):
        raise ValueError(f"mean={mean}, std={std}: got one of them; give both or neither")
    check_device(device)
    if channel_order not in (None, "RGB", "BGR"):
        raise ValueError(f'channel_order: got {channel_order!r}; want "RGB" or "BGR"')
    model: nn.Module
    contract: dict[str, object] = {"channel_order": "RGB"}
    if name_or_path == "demo":
        if checkpoint or architecture or channel_order:
            raise ValueError("demo: it has its own weights; give mean, std and device at most")
        model = load_demo_backbone()
    else:
        name, path = _resolve(str(name_or_path), checkpoint)
        if name is None and (path.suffix == ".onnx" or program_kind(path)):
            if architecture:
                raise ValueError(f"{path}: a program takes no architecture")
            if path.suffix == ".onnx":
                model, size = read_onnx(path)
            else:
                model, size = read_program(path, device)
            model.takes_bgr = channel_order == "BGR"
            contract |= {"mean": None, "std": None, "size": size}
        else:
            model, entry = _load(name, path, architecture, channel_order)
            contract |= {"mean": entry.mean, "std": entry.std, "size": entry.size}
    if mean is not None:
        contract |= {"mean": mean, "std": std}
    vars(model).update(contract)
    return model.eval().requires_grad_(False).to(device)


def check_device(device: str | torch.device) -> None:
    """Raise a ValueError for a device that PyTorch does not find here."""
    try:
        torch.empty(0, device=device)
    except (AssertionError, RuntimeError, TypeError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise ValueError(f"device: got {device!r} ({reason}); want one of this machine") from error


def _resolve(given: str, checkpoint: str | Path | None) -> tuple[str | None, Path]:
    """A name, if one is given, and the file to read."""
    if given in CATALOGUE:
        if checkpoint is None:
            raise ValueError(
                f"{given}: its checkpoint is the authors', get it from {CATALOGUE[given].source}, "
                f'then write load_backbone("{given}", checkpoint="the/file"), or in a command '
                "--checkpoint the/file"
            )
        name, path = given, Path(checkpoint)
    else:
        name, path = None, Path(given)
        if checkpoint is not None or not (path.exists() or path.suffix or len(path.parts) > 1):
            near = difflib.get_close_matches(given, [*CATALOGUE, "demo"], 1)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise ValueError(
                f"{given}: no such model.{hint} Names: demo, {', '.join(CATALOGUE)}; else a file"
            )
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; want a checkpoint or a program")
    return name, path


def _load(
    name: str | None, path: Path, architecture: str | None, channel_order: str | None
) -> tuple[nn.Module, Entry]:
    if architecture is None and name:
        architecture = CATALOGUE[name].architecture
    if architecture not in (None, *ARCHITECTURES):
        raise ValueError(
            f"architecture: got {architecture!r}; want one of {', '.join(ARCHITECTURES)}"
        )
    content = read_weights(path)
    architecture, prefix, weights = _recognise(content, path, architecture)
    fitting = [key for key, entry in CATALOGUE.items() if entry.architecture == architecture]
    entry = CATALOGUE[name or fitting[0]]
    if entry.architecture != architecture:
        raise ValueError(
            f"architecture: got {architecture!r}, but {name} is {entry.architecture}; leave it out"
        )
    # MagFace's names begin so; its images are other than those of ArcFace's same architecture.
    other = "magface" if architecture == "iresnet100" and "features." in prefix else fitting[0]
    if name is None and channel_order is None and CATALOGUE[other].channel_order == "BGR":
        raise ValueError(
            f"{path}: {architecture} is trained on BGR by some and on RGB by others; say whose it "
            f'is: load_backbone("{other}", checkpoint=...), or --model {other} '
            f'--checkpoint ..., for {CATALOGUE[other].source}; else channel_order="RGB" or "BGR"'
        )
    model = _skeleton(architecture)
    outside = {key: value for key, value in content.items() if not key.startswith(prefix)}
    fit(model, weights, path, architecture, outside)
    if (channel_order or entry.channel_order) == "BGR":
        # Reversed weights on RGB are the same convolution as the authors' weights on BGR.
        for layer in model.modules():
            if isinstance(layer, nn.Conv2d) and layer.in_channels == 3:
                layer.weight.data = layer.weight.data.flip(1)
    return model, entry


def _recognise(
    weights: StateDict, path: Path, architecture: str | None
) -> tuple[str, str, StateDict]:
    """The architecture that the weights fit, this one if given, the prefix taken off, and they."""
    wanted = _built_here(weights) if architecture is None else [architecture]
    fitting: dict[str, tuple[str, str, StateDict]] = {}
    for prefix, reading in readings(weights).items():
        found = _respelled(reading)
        verdicts = {name: compare(_pattern(name), found) for name in wanted}
        beside = {name: len(keys) for name, (problems, keys) in verdicts.items() if not problems}
        if beside:
            fitting[prefix] = min(beside, key=lambda name: beside[name]), prefix, found
        if "" in fitting:
            break
    if len(fitting) > 1:
        raise ValueError(
            f"{path}: holds several networks, under {' and '.join(fitting)}; save the one you mean "
            "alone, its names without the prefix"
        )
    if fitting:
        return next(iter(fitting.values()))
    if architecture is not None:
        return architecture, "", _respelled(weights)
    first = ", ".join(list(weights)[:3])
    raise ValueError(
        f"{path}: weights of no architecture known here (its keys: {first}, ...). For the "
        "difference from one, write architecture= and one of " + ", ".join(ARCHITECTURES)
    )


def _built_here(weights: StateDict) -> list[str]:
    """The architectures to try; EdgeFace's, which is timm's, only for weights that look like it."""
    alike = any(key.endswith("stages.0.blocks.0.conv_dw.weight") for key in weights)
    return [name for name in ARCHITECTURES if name != "edgeface-xxs" or alike]


@cache
def _pattern(architecture: str) -> nn.Module:
    """One to compare with, and never to hand out."""
    return _skeleton(architecture)


def _skeleton(architecture: str) -> nn.Module:
    with torch.device("meta"):  # no weights yet: some 30 ms
        return ARCHITECTURES[architecture]()


def _respelled(weights: StateDict) -> StateDict:
    """The checkpoints of MobileFaceNet that have its head's layers at the top, in our names."""
    if "conv_6_dw.conv.weight" not in weights:
        return weights
    head = ("conv_6_dw", "linear", "bn")
    return {
        f"output_layer.{key}" if key.partition(".")[0] in head else key: value
        for key, value in weights.items()
    }
