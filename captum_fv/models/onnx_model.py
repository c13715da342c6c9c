"""ONNX models, run by onnxruntime as black boxes."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from captum_fv.models.download import sha256_of
from captum_fv.models.programs import LoadedProgram, brief


class OnnxSession(nn.Module):
    """An ONNX model as a module that gives embeddings and no gradient.

    Methods that only ask for scores, as xFace and the occlusions do, work; those that need a
    gradient refuse. onnx2torch converts most models into modules that have one.

    Args:
        session: An `onnxruntime.InferenceSession`.
    """

    def __init__(self, session: Any) -> None:
        super().__init__()
        self._session = session

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, 3, H, W) -> the model's first output: for a face model, (N, d)."""
        images = x.detach().cpu().float().contiguous().numpy()
        try:
            output = self._session.run(None, {self._session.get_inputs()[0].name: images})[0]
        except Exception as error:  # onnxruntime raises types of its own
            raise RuntimeError(brief(error)) from error
        return torch.from_numpy(output).to(x)


def read_onnx(path: Path) -> tuple[LoadedProgram, tuple[int, int] | None]:
    """Load an ONNX model, on the CPU, and say which image size it takes.

    Returns:
        The model with its `file_sha256`, and its (height, width), None where it takes several.

    Raises:
        ImportError: onnxruntime is not installed.
        ValueError: The file is damaged, needs operators that onnxruntime lacks, or takes something
            else than images (N, 3, H, W).
    """
    try:
        runtime = importlib.import_module("onnxruntime")
    except ImportError as error:
        raise ImportError(
            f'{path}: an ONNX model needs onnxruntime; write pip install "captum_fv[onnx]"'
        ) from error
    try:
        session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        # Names, and not numbers, stand for what may vary.
        shape = [n if isinstance(n, int) else None for n in session.get_inputs()[0].shape]
    except Exception as error:  # onnxruntime raises types of its own
        raise ValueError(
            f"{path}: no readable ONNX model ({brief(error)}). Copy or export it again"
        ) from error
    if len(shape) != 4 or shape[1] not in (3, None):
        raise ValueError(
            f"{path}: it takes {session.get_inputs()[0].shape}; want images (N, 3, H, W). For one "
            "that has the channels last, tf2onnx writes them first with --inputs-as-nchw"
        )
    model = LoadedProgram(OnnxSession(session), batch=shape[0])
    vars(model)["file_sha256"] = sha256_of(path)
    height, width = shape[2:]
    return model, None if height is None or width is None else (height, width)
