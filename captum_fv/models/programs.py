"""Programs, torch.export's and TorchScript's: code like a Python file, and loaded as such."""

from __future__ import annotations

import logging
import os
import pickle
import sys
import threading
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

from captum_fv.models.download import sha256_of
from captum_fv.siamese.devices import follow_weights

# Parts of a .pt2 archive that torch.export.load would unpickle or link without a check.
_CODE_PARTS = ("/custom_obj_", "/opaque_obj_", "/aotinductor/")

# These print a traceback of their own before they raise.
_TALKATIVE = (
    "torch.export",
    "torch.export.pt2_archive._package",
    "torch._export.serde.serialize",
)

_this_thread = threading.local()


class LoadedProgram(nn.Module):
    """An exported, scripted or ONNX model as a plain module, always in evaluation mode.

    `train()` and `eval()` change nothing: a program keeps the mode that it was exported in.

    Args:
        program: What `torch.export.load(path).module()` or `torch.jit.load(path)` returned.
        batch: For how many images at a time it was exported, if for one number only. With 1,
            images go in one by one. A trace does not say, and is found out.
        takes_bgr: Whether RGB images are turned round for it.
    """

    def __init__(
        self, program: nn.Module, batch: int | None = None, takes_bgr: bool = False
    ) -> None:
        super().__init__()
        self.program = program
        self.batch = batch
        self.takes_bgr = takes_bgr
        for module in self.modules():
            module.training = False  # a torch.export module refuses eval()

    def forward(self, x: Tensor) -> Any:
        """Images (N, 3, H, W) -> what the program returns: for a face model, (N, d)."""
        x = x.flip(1) if self.takes_bgr else x
        if len(x) == 1 or len(x) == self.batch:
            return self.program(x)
        if self.batch == 1:
            return self._one_by_one(x)
        if self.batch is None:
            return self._together(x)
        raise RuntimeError(
            f"exported for {self.batch} images at a time, got {len(x)}; export it with a "
            'dynamic batch: dynamic_shapes=({0: torch.export.Dim("batch")},)'
        )

    def _one_by_one(self, x: Tensor) -> Any:
        outputs = [self.program(x[i : i + 1]) for i in range(len(x))]
        return tree_map(lambda *parts: torch.cat(parts), *outputs)

    def _together(self, x: Tensor) -> Any:
        """The output for several images, one by one from the first time on that it takes no more.

        A trace of one image may hold its number, as `x.view(1, -1)` does: then it fails for
        several, or gives one long row.
        """
        output, failure = None, None
        try:
            output = self.program(x)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            failure = error
        if failure or not _has_rows(output, len(x)):
            with suppress(RuntimeError):
                alone = self._one_by_one(x)
                if _has_rows(alone, len(x)):
                    self.batch = 1
                    return alone
        if failure:
            raise failure
        return output

    def _apply(self, fn: Any, recurse: bool = True) -> LoadedProgram:
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        follow_weights(self, fn)
        return self

    def train(self, mode: bool = True) -> LoadedProgram:
        """Leave the program as it was exported."""
        return self


def _has_rows(output: Any, count: int) -> bool:
    """Whether any tensor in a program's output has a row for each image."""
    tensors = [part for part in tree_leaves(output) if isinstance(part, Tensor) and part.ndim]
    return any(len(tensor) == count for tensor in tensors)


def program_kind(path: Path) -> str | None:
    """What the file's records say it is: "torch.export", "TorchScript", or None for no program.

    Both are loaded by PyTorch's own reader of archives, so that is asked, and no other.
    """
    try:
        parts = set(_records(path))
    except RuntimeError:
        # Archives of torch before 2.7 have no top folder, and are read by Python's zipfile.
        parts = set()
        if path.suffix == ".pt2" and zipfile.is_zipfile(path):
            return "torch.export"
    if "archive_format" in parts or (parts and path.suffix == ".pt2"):
        return "torch.export"
    return "TorchScript" if "constants.pkl" in parts else None


def read_program(
    path: Path, device: str | torch.device = "cpu"
) -> tuple[LoadedProgram, tuple[int, int] | None]:
    """Load a torch.export or TorchScript archive, and say for which image size it was exported.

    A program is code, as a Python file is: PyTorch evaluates a .pt2's symbolic sizes as Python.
    Load only what comes from somebody whom you trust. Python objects pickled into an archive, and
    compiled libraries, are refused all the same.

    Returns:
        The program with its `file_sha256`, and its (height, width), None where it takes several or
        does not say.

    Raises:
        ValueError: The archive is damaged, or holds Python objects.
    """
    kind = program_kind(path)
    told: list[BaseException] = []
    try:
        with _nothing_unpickled(), _silenced(told):
            if kind == "TorchScript":
                loaded = torch.jit.load(path, map_location=device)  # type: ignore[no-untyped-call]
                program, size = LoadedProgram(loaded), None
            else:
                program, size = _read_export(path)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"{path}: refused, for loading it would run code beside the model "
            f"({brief(error)}). Export the model again, with tensors alone as inputs and weights"
        ) from error
    except Exception as error:  # a damaged archive fails anywhere within torch
        reason = told[0] if told else error
        raise ValueError(
            f"{path}: no readable {kind} program ({brief(reason)}). Copy or export it again"
        ) from error
    vars(program)["file_sha256"] = sha256_of(path)
    return program, size


def brief(error: BaseException) -> str:
    """An error in one line."""
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"


def _read_export(path: Path) -> tuple[LoadedProgram, tuple[int, int] | None]:
    try:
        # The reader finds "opaque_obj_0" under OPAQUE_OBJ_0 too.
        names = [f"/{name.casefold()}" for name in _records(path)]
    except RuntimeError:  # of torch before 2.7: nothing in it is linked, and no pickle runs
        names = []
    if any(part in name for name in names for part in _CODE_PARTS):
        raise pickle.UnpicklingError("it holds Python objects or a compiled library")
    exported = torch.export.load(path)
    batch, _, height, width = _input_shape(exported)
    size = None if height is None or width is None else (height, width)
    return LoadedProgram(exported.module(), batch), size


def _input_shape(exported: torch.export.ExportedProgram) -> tuple[int | None, ...]:
    """Of the images that it takes: (N, C, H, W), None for what may vary."""
    inputs = set(exported.graph_signature.user_inputs)
    for node in exported.graph.nodes:
        if node.op == "placeholder" and node.name in inputs and node.meta["val"].ndim == 4:
            return tuple(n if isinstance(n, int) else None for n in node.meta["val"].shape)
    return (None, None, None, None)


def _records(path: Path) -> list[str]:
    """What PyTorch's own reader finds in an archive; a RuntimeError if it cannot read it."""
    try:
        names: list[str] = torch._C.PyTorchFileReader(os.fspath(path)).get_all_records()
    except UnicodeDecodeError as error:
        raise RuntimeError(str(error)) from error
    return names


@contextmanager
def _nothing_unpickled() -> Iterator[None]:
    """Have every unpickler in this thread refuse to look up a class or function."""
    _install_refusal()
    # torch.load would fall back to running the pickles that weights_only refuses.
    name = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
    before = os.environ.get(name)
    os.environ[name] = "1"
    _this_thread.refuses = True
    try:
        yield
    finally:
        _this_thread.refuses = False
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


@cache  # an audit hook stays for ever
def _install_refusal() -> None:
    def refuse(event: str, arguments: tuple[Any, ...]) -> None:
        # Every unpickler raises this event, however it was imported and whoever calls it.
        if event == "pickle.find_class" and getattr(_this_thread, "refuses", False):
            module, name = arguments
            raise pickle.UnpicklingError(f"it holds a pickle of {module}.{name}")

    sys.addaudithook(refuse)


@contextmanager
def _silenced(told: list[BaseException]) -> Iterator[None]:
    """Keep to ourselves what torch.export logs while it reads; its errors are appended."""

    def keep(record: logging.LogRecord) -> bool:
        if record.exc_info and record.exc_info[1]:
            told.append(record.exc_info[1])
        return False

    loggers = [logging.getLogger(name) for name in _TALKATIVE]
    for logger in loggers:
        logger.addFilter(keep)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger in loggers:
            logger.removeFilter(keep)
