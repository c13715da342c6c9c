"""ONNX models, run by onnxruntime as black boxes."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from captum_fv.models.download import sha256_of
from captum_fv.models.programs import brief


class OnnxModel(nn.Module):
    """An ONNX model as a module that gives embeddings and no gradient.

    Methods that only ask for scores, as xFace and the occlusions do, work; those that need a
    gradient refuse. onnx2torch converts most models into modules that have one.

    Args:
        session: An `onnxruntime.InferenceSession`.
    """

    def __init__(self, session: Any) -> None:
        super().__init__()
        self._session = session
        entry = session.get_inputs()[0]
        self._name: str = entry.name
        # Names, and not numbers, stand for what may vary.
        batch, _, *size = (n if isinstance(n, int) else None for n in entry.shape)
        self._batch: int | None = batch
        self.size = (size[0], size[1]) if len(size) == 2 and None not in size else None

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, 3, H, W) -> the model's first output: for a face model, (N, d)."""
        parts = [x] if self._batch in (None, len(x)) else [x[i : i + 1] for i in range(len(x))]
        outputs = [self._run(part) for part in parts]
        return torch.cat(outputs).to(x)

    def _run(self, images: Tensor) -> Tensor:
        array = images.detach().cpu().float().contiguous().numpy()
        return torch.from_numpy(self._session.run(None, {self._name: array})[0])


def read_onnx(path: Path) -> OnnxModel:
    """Load an ONNX model, on the CPU.

    Raises:
        ImportError: onnxruntime is not installed.
        ValueError: The file is damaged, or needs operators that onnxruntime lacks.
    """
    try:
        runtime = importlib.import_module("onnxruntime")
    except ImportError as error:
        raise ImportError(
            f'{path}: an ONNX model needs onnxruntime; write pip install "captum_fv[onnx]"'
        ) from error
    try:
        session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        model = OnnxModel(session)
    except Exception as error:  # onnxruntime raises types of its own
        raise ValueError(
            f"{path}: no readable ONNX model ({brief(error)}). Copy or export it again"
        ) from error
    vars(model)["file_sha256"] = sha256_of(path)
    return model
