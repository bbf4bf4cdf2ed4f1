"""Which of many records have a header of some name: found by a kernel, so that others cost nearly nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numba import types

from infra.kafka.record_batches import RawRecords
from schemas.compiled import compiled
from schemas.spans import Bytes, Int64s, Spans

_READABLE = types.Array(types.uint8, 1, "C", readonly=True)
_EMPTY: Final[Bytes] = np.empty(0, np.uint8)


@dataclass(frozen=True, slots=True)
class HeaderRows:
    """The records that have a header.

    Attributes:
        rows: Their rows, ascending.
        values: The header's value in each; of several of the name the first.
    """

    rows: Int64s
    values: Spans

    def __len__(self) -> int:
        return int(self.rows.size)

    def by_row(self) -> dict[int, bytes]:
        """The values by row: for topics whose records are few."""
        return {row: self.values.value(index) or b"" for index, row in enumerate(self.rows.tolist())}


@compiled(types.UniTuple(types.int64, 2)(_READABLE, types.int64, types.int64))
def _read_length(data: Any, position: int, end: int) -> Any:
    """(length, position after it); position -1 where it is cut or too long."""
    shift, found = np.uint64(0), np.uint64(0)
    while position < end and shift < np.uint64(35):
        byte = np.uint64(data[position])
        position += 1
        found |= (byte & np.uint64(0x7F)) << shift
        if byte < np.uint64(128):
            length = np.int64(found >> np.uint64(1)) ^ -np.int64(found & np.uint64(1))
            return (length, position) if length <= end - position else (length, -1)
        shift += np.uint64(7)
    return np.int64(0), -1


@compiled(
    types.int64(
        _READABLE,
        types.int64[::1],
        types.int64[::1],
        types.int64[::1],
        _READABLE,
        types.int64[::1],
        types.int64[::1],
        types.int64[::1],
    )
)
def _find(
    data: Any, counts: Any, begins: Any, ends: Any, name: Any, rows: Any, starts: Any, lengths: Any
) -> int:
    """Walk the headers of `rows`; returns how many have one of the name, moved to the front."""
    found = 0
    for row in rows:
        position, end = begins[row], min(ends[row], data.size)
        for _ in range(counts[row]):
            size, position = _read_length(data, position, end)
            if position < 0 or size < 0:
                break
            same = size == name.size
            if same:
                for i in range(size):
                    if data[position + i] != name[i]:
                        same = False
                        break
            length, position = _read_length(data, position + size, end)
            if position < 0:
                break
            if same and length >= 0:
                rows[found], starts[found], lengths[found] = row, position, length
                found += 1
                break
            position += max(length, 0)
    return found


def find_header(records: RawRecords, name: bytes) -> HeaderRows:
    """The records that have a header of this name, with a value."""
    counts = records.header_count
    rows = np.flatnonzero(counts)
    if not rows.size:
        return HeaderRows(rows, Spans(_EMPTY, rows, rows))
    starts, lengths = np.empty((2, rows.size), np.int64)
    found = _find(
        records.data,
        counts,
        records.header_start,
        records.header_end,
        np.frombuffer(name, np.uint8),
        rows,
        starts,
        lengths,
    )
    return HeaderRows(rows[:found], Spans(records.data, starts[:found], lengths[:found]))
