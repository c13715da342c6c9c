"""Tables as columns: plain dicts of arrays, in files that any tool can open."""

from __future__ import annotations

import hashlib
import importlib.util
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from captum_fv.core.files import reading

Table = dict[str, npt.NDArray[Any]]
"""Column name -> values; all columns have one row for the same things."""


def has_parquet() -> bool:
    """Whether pyarrow is installed (the extra `parquet`)."""
    return importlib.util.find_spec("pyarrow") is not None


def npz_bytes(table: Table) -> bytes:
    """A table as an .npz file; equal tables give equal bytes."""
    buffer = io.BytesIO()
    # Not allow_pickle=False: before NumPy 2.2 that would be a column.
    np.savez(buffer, **table)  # type: ignore[arg-type]
    return buffer.getvalue()


def parquet_bytes(table: Table) -> bytes:
    """A table as a Parquet file; a column (N, k) becomes lists of k numbers."""
    import pyarrow
    import pyarrow.parquet

    columns = {}
    for name, values in table.items():
        if values.ndim == 2:
            flat = pyarrow.array(values.ravel())
            columns[name] = pyarrow.FixedSizeListArray.from_arrays(flat, values.shape[1])
        else:
            columns[name] = pyarrow.array(values.tolist() if values.dtype.kind == "U" else values)
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(columns), buffer)
    return buffer.getvalue()


def read_table(stem: Path) -> Table:
    """The table in stem.parquet or stem.npz, whichever is there.

    Raises:
        FileNotFoundError: Neither is there.
        ValueError: It is damaged, or a Parquet file, and pyarrow is missing.
    """
    parquet, npz = stem.with_suffix(".parquet"), stem.with_suffix(".npz")
    if parquet.is_file():
        if not has_parquet():
            raise ValueError(f"{parquet}: to read it, pip install 'captum_fv[parquet]'")
        with reading(parquet):
            return _read_parquet(parquet)
    if not npz.is_file():
        raise FileNotFoundError(f"{npz} (or .parquet): no such table; the run has not ended")
    with reading(npz), np.load(npz, allow_pickle=False) as columns:
        return dict(columns)


def _read_parquet(path: Path) -> Table:
    import pyarrow
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(path, memory_map=False)
    columns: Table = {}
    for name in table.column_names:
        column = table[name].combine_chunks()
        if pyarrow.types.is_fixed_size_list(column.type):
            values = column.flatten().to_numpy(zero_copy_only=False)
            columns[name] = values.reshape(-1, column.type.list_size)
        elif pyarrow.types.is_string(column.type):
            columns[name] = np.array(column.to_pylist(), dtype=str)
        else:
            columns[name] = column.to_numpy(zero_copy_only=False)
    return columns


def concatenate(tables: Sequence[Table]) -> Table:
    """Tables of the same columns below each other."""
    return {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}


def stacked(column: str, tables: Mapping[str, Table]) -> Table:
    """Tables below each other, by name, which a column before the others repeats in every row."""
    lengths = [len(next(iter(table.values()))) for table in tables.values()]
    return {column: np.repeat(list(tables), lengths), **concatenate(list(tables.values()))}


def sha256(arrays: Mapping[str, npt.NDArray[Any]]) -> str:
    """One hash over the names, types, shapes and bytes of arrays, in the order of their names."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        values = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {values.dtype.str} {arrays[name].shape}\n".encode())
        digest.update(values.tobytes())
    return digest.hexdigest()
