"""xCos: a cosine that a face model can be asked about cell by cell."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor, nn

from captum_fv.core.checks import check_counts, check_size
from captum_fv.core.files import write_atomically
from captum_fv.core.vectors import unit_length


class PatchedCosine(NamedTuple):
    """What xCos says of pairs: a cosine and a weight for each cell, each (N, h, w)."""

    similarity: Tensor
    """S: the cosine of the two faces in this cell, in [-1, 1]."""
    weight: Tensor
    """W: how much the cell counts, above 0; the weights of a pair add up to 1."""

    @property
    def score(self) -> Tensor:
        """xCos, the weighted mean of the cells' cosines, (N,) in [-1, 1]."""
        return (self.similarity * self.weight).sum((1, 2))


class PatchedCosineHead(nn.Module):
    r"""xCos: reduces a backbone's spatial grid, compares it cell by cell and weighs the cells.

    .. math:: G = PReLU(BN(Conv_{1 \times 1}(grid))), \quad
        S_{ij} = \cos(G^A_{:,ij}, G^B_{:,ij}), \quad xCos = \sum_{ij} S_{ij} W_{ij}

    where W is a softmax over the cells of an attention that reads both grids: each described by
    the same 3x3 convolution, the two put side by side, and two more convolutions. W(A, B) is not
    W(B, A).

    Parameters are named as the authors' modules are: `conv1x1` is that of :class:`XCosBody`, and
    `attention.embedding_net` and `attention.attention` are the parts of their attention module.

    Args:
        channels: Of the backbone's grid, `(channels, *size)`.
        size: Rows and columns of the grid.
        reduced: Channels of G; published with 32.
        neck: Channels of a 3x3 layer before all this; 0 leaves it out, as published. The authors
            train the backbone along with the head. Over one that stays as it is, the neck takes
            that part.

    Reference:
        Lin et al., "xCos: An Explainable Cosine Metric for Face Verification Task", ACM TOMM 2021.

    >>> head = PatchedCosineHead(channels=80, size=(7, 7)).eval()
    >>> result = head(*torch.rand(2, 5, 80, 7, 7))
    >>> result.similarity.shape, result.score.shape
    (torch.Size([5, 7, 7]), torch.Size([5]))
    """

    def __init__(
        self, channels: int, size: tuple[int, int], reduced: int = 32, neck: int = 0
    ) -> None:
        super().__init__()
        check_counts(channels=channels, reduced=reduced)
        check_size("size", size)
        if neck < 0:
            raise ValueError(f"neck: got {neck}; want a number of channels, or 0 for none")
        self.channels = channels
        self.size = size
        self.reduced = reduced
        self.neck = _layer(channels, neck, 3, neck) if neck else nn.Sequential()
        self.conv1x1 = _layer(neck or channels, reduced, 1, reduced)
        self.attention = _Attention(reduced)

    def project(self, grid: Tensor) -> Tensor:
        """The backbone's grid (N, channels, h, w) -> G (N, reduced, h, w).

        Raises:
            ValueError: A grid of another shape than the head was made for.
        """
        wanted = (self.channels, *self.size)
        if grid.ndim != 4 or grid.shape[1:] != wanted:
            raise ValueError(
                f"the backbone's grid is {tuple(grid.shape)}; this xCos head wants (N, "
                f"{', '.join(map(str, wanted))}). A head fits the backbone it was trained over: "
                "train one for yours with `captum-fv xcos-train`"
            )
        # A head may live on another device, or in another precision, than its backbone.
        projected: Tensor = self.conv1x1(self.neck(grid.to(next(self.parameters()))))
        return projected

    def compare(self, projected_a: Tensor, projected_b: Tensor) -> PatchedCosine:
        """S and W of grids that :meth:`project` gave."""
        similarity = (unit_length(projected_a) * unit_length(projected_b)).sum(1)
        weight = self.attention(projected_a, projected_b).flatten(1).softmax(1)
        return PatchedCosine(similarity, weight.view_as(similarity))

    def forward(self, grid_a: Tensor, grid_b: Tensor) -> PatchedCosine:
        """S and W of pairs of the backbone's grids, each (N, channels, h, w)."""
        return self.compare(self.project(grid_a), self.project(grid_b))


class _Attention(nn.Module):
    def __init__(self, reduced: int) -> None:
        super().__init__()
        self.embedding_net = _layer(reduced, 16, 3)
        self.attention = nn.Sequential(*_layer(2 * 16, 16, 3), *_layer(16, 1, 3))

    def forward(self, projected_a: Tensor, projected_b: Tensor) -> Tensor:
        described = [self.embedding_net(grid) for grid in (projected_a, projected_b)]
        logits: Tensor = self.attention(torch.cat(described, 1))
        return logits


def _layer(inputs: int, outputs: int, kernel: int, slopes: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2),
        nn.BatchNorm2d(outputs),
        nn.PReLU(slopes),
    )


def save_patched_cosine_head(
    head: PatchedCosineHead, path: str | Path, trained_over: str = ""
) -> None:
    """Write a head to a .safetensors file.

    Args:
        head: Its weights and its shape are written.
        path: The file.
        trained_over: The backbone's :func:`fingerprint`, for :func:`attach_head` to check.
    """
    weights = {name: value.cpu().contiguous() for name, value in head.state_dict().items()}
    rows, columns = head.size
    metadata = {"rows": str(rows), "columns": str(columns), "trained_over": trained_over}
    write_atomically(Path(path), save(weights, metadata))


def load_patched_cosine_head(path: str | Path) -> PatchedCosineHead:
    """Read a head that `captum-fv xcos-train` wrote, in evaluation mode and frozen.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file holds something else.
    """
    return _read(Path(path))[0]


def attach_head(backbone: nn.Module, path: str | Path) -> None:
    """Give a backbone the head in a file, so that whatever explains the backbone finds it.

    It is kept beside the backbone's own modules: weights, hooks and parameters stay as they are.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file holds something else, or a head of another backbone.
    """
    head, trained_over = _read(Path(path))
    if trained_over and trained_over != fingerprint(backbone):
        raise ValueError(
            f"{path}: this xCos head was trained over another backbone, whose grids mean something "
            "else; train one for this backbone with `captum-fv xcos-train`"
        )
    vars(backbone)["patched_cosine_head"] = head


def fingerprint(backbone: nn.Module) -> str:
    """What tells one backbone from another, 16 hexadecimal digits.

    Its weights and, of a program, whose code and constants no state dict holds: the file that
    `load_backbone` read, or else the code.
    """
    digest = hashlib.sha256()
    for part in backbone.modules():
        digest.update(_program(part))
    for name, value in sorted(backbone.state_dict().items()):
        digest.update(name.encode())
        digest.update(_content(value))
    return digest.hexdigest()[:16]


def _content(value: Any) -> bytes:
    """The bytes of what a state dict holds: a tensor, or a quantised layer's tuple of them."""
    if isinstance(value, tuple | list):
        return b"".join(map(_content, value))
    if not isinstance(value, Tensor):
        return str(value).encode() if isinstance(value, str | int | float | torch.dtype) else b""
    value = value.dequantize() if value.is_quantized else value
    content: bytes = value.detach().cpu().float().numpy().tobytes()
    return content


def _program(part: nn.Module) -> bytes:
    """What tells a program from another beside its state dict; nothing for an ordinary module."""
    if file_sha256 := vars(part).get("file_sha256"):
        return f"{file_sha256}{' BGR' * vars(part)['takes_bgr']}".encode()
    constants: Mapping[str, Tensor]
    if isinstance(part, torch.fx.GraphModule):
        code, constants = part.code, dict(part.named_buffers())
    elif isinstance(part, torch.jit.ScriptModule) and hasattr(part, "forward"):
        code, constants = part.code_with_constants[0], part.code_with_constants[1].const_mapping
    else:
        return b""
    values = (constants[name].detach().cpu().reshape(-1) for name in sorted(constants))
    return code.encode() + b"".join(value.view(torch.uint8).numpy().tobytes() for value in values)


def _read(path: Path) -> tuple[PatchedCosineHead, str]:
    """The head in a file, and the fingerprint of the backbone it was trained over."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; want an xCos head (.safetensors)")
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata()
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        reduced, channels = weights["conv1x1.0.weight"].shape[:2]
        neck = 0
        if "neck.0.weight" in weights:
            neck, channels = weights["neck.0.weight"].shape[:2]
        size = int(metadata["rows"]), int(metadata["columns"])
        head = PatchedCosineHead(channels, size, reduced, neck)
        head.load_state_dict(weights)
    except Exception as error:  # a foreign file fails anywhere on the way
        raise ValueError(
            f"{path}: no xCos head ({type(error).__name__}); want the .safetensors file that "
            "`captum-fv xcos-train` wrote"
        ) from error
    return head.eval().requires_grad_(False), metadata["trained_over"]
