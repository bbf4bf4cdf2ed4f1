"""The bytes of `COPY ... (FORMAT binary)` back to columns, by a compiled kernel; see `copy_binary`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from numba import types

from schemas.compiled import compiled
from schemas.errors import DecodeError
from sinks.timescale.copy_binary import HEADER

Int64s = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]

WIDTHS: Final = {
    "timestamp with time zone": 8,
    "double precision": 8,
    "bigint": 8,
    "integer": 4,
    "smallint": 2,
    "boolean": 1,
    '"char"': 1,
}
"""Bytes of the types of a fixed width; all others are spans."""


@dataclass(frozen=True, slots=True)
class CopiedColumns:
    """Rows as columns; the first index is the column, the second the row.

    Attributes:
        data: The bytes.
        cells: int64: whole numbers, the bits of doubles, or where a span begins in `data`.
        lengths: int64: bytes of each field, -1: null.
    """

    data: Bytes
    cells: Int64s
    lengths: Int64s


def read_rows(data: Bytes, widths: Sequence[int]) -> CopiedColumns:
    """Columns of whole rows, with or without the header and the trailer of a COPY.

    Args:
        data: The bytes, contiguous.
        widths: Of each column, 0 for a span.

    Raises:
        DecodeError: They are not rows of such columns.
    """
    start = len(HEADER) if data[: len(HEADER)].tobytes() == HEADER else 0
    needed = np.array(widths, np.int64)
    count = _count_rows(data, start, len(needed))
    cells = np.zeros((len(needed), max(count, 0)), np.int64)
    lengths = np.zeros_like(cells)
    if count < 0 or _read_rows(data, start, needed, cells, lengths) < 0:
        raise DecodeError(f"what COPY gave is not rows of the {len(needed)} columns that are declared")
    return CopiedColumns(data, cells, lengths)


_DATA = types.Array(types.uint8, 1, "C", readonly=True)


@compiled(types.int64(_DATA, types.int64, types.int64))
def _number(data: Any, position: int, width: int) -> Any:
    """A big-endian number with a sign; the caller checks bounds."""
    found = np.int64(data[position])
    if found >= 128:
        found -= 256
    for i in range(1, width):
        found = (found << 8) | np.int64(data[position + i])
    return found


@compiled(types.int64(_DATA, types.int64, types.int64))
def _count_rows(data: Any, position: int, columns: int) -> int:
    """Rows up to the trailer or the end; -1 if the bytes are not rows of so many columns."""
    rows = 0
    while position + 2 <= data.size:
        fields = _number(data, position, 2)
        position += 2
        if fields == -1:
            return rows if position == data.size else -1
        if fields != columns:
            return -1
        for _ in range(fields):
            if position + 4 > data.size:
                return -1
            length = _number(data, position, 4)
            position += 4 + max(length, 0)
            if length < -1 or position > data.size:
                return -1
        rows += 1
    return rows if position == data.size else -1


@compiled(types.int64(_DATA, types.int64, types.int64[::1], types.int64[:, ::1], types.int64[:, ::1]))
def _read_rows(data: Any, position: int, widths: Any, cells: Any, lengths: Any) -> int:
    """Fill the columns; the bytes are rows, as counted. -1 if a field has another width."""
    for row in range(cells.shape[1]):
        position += 2
        for column in range(widths.size):
            length = _number(data, position, 4)
            position += 4
            lengths[column, row] = length
            if length < 0:
                continue
            if widths[column] == 0:
                cells[column, row] = position
            elif length == widths[column]:
                cells[column, row] = _number(data, position, length)
            else:
                return -1
            position += length
    return 0
