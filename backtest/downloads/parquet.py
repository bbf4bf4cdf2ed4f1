"""Columns of numbers in Parquet files that are whole or absent."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from infra.extras import missing
from schemas.errors import ConflictError

Columns = Mapping[str, npt.NDArray[Any]]


def need_pyarrow() -> None:
    """See that pyarrow is there.

    Raises:
        ConfigurationError: It is not installed.
    """
    try:
        import pyarrow  # type: ignore[import-untyped]  # noqa: F401
    except ImportError:
        raise missing("Parquet", "pyarrow", "archive") from None


def read_columns(path: Path) -> dict[str, npt.NDArray[Any]]:
    """The columns of a file; none if there is no file.

    Raises:
        ConflictError: It is no Parquet file: somebody has changed it by hand, or the disk has.
    """
    need_pyarrow()
    import pyarrow as pa
    from pyarrow import parquet

    if not path.exists():
        return {}
    try:
        table = parquet.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise ConflictError(f"{path} cannot be read: {error}; delete its folder and download again") from None
    return {name: table.column(name).to_numpy() for name in table.column_names}


def write_columns(path: Path, columns: Columns) -> None:
    """Write a file over the one that may be there; it is on disk when this returns."""
    need_pyarrow()
    import pyarrow as pa
    from pyarrow import parquet

    table = pa.table({name: pa.array(column) for name, column in columns.items()})
    sink = pa.BufferOutputStream()
    parquet.write_table(table, sink, compression="zstd")
    write_whole(path, sink.getvalue().to_pybytes())


def write_whole(path: Path, data: bytes) -> None:
    """Write bytes beside a file, sync them, and give them its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    made = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with made.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        made.replace(path)
    finally:
        with contextlib.suppress(OSError):
            made.unlink(missing_ok=True)


def joined(old: Columns, new: Columns, key: str) -> dict[str, npt.NDArray[Any]]:
    """Rows of both in order of a column, one of each value; the new one where both have it."""
    if not old:
        old = {name: column[:0] for name, column in new.items()}
    both = {name: np.concatenate((old[name], column)) for name, column in new.items()}
    order = np.argsort(both[key], kind="stable")
    keys = both[key][order]
    last = np.concatenate((keys[1:] != keys[:-1], [True])) if len(keys) else np.zeros(0, np.bool_)
    return {name: column[order[last]] for name, column in both.items()}
