"""Arrays of doubles as PostgreSQL takes them in COPY."""

from __future__ import annotations

import struct

import numpy as np

from sinks.timescale.table import double_arrays


def test_arrays_have_the_bytes_of_array_send() -> None:
    pool = np.array([1.5, -0.0, 7.25, float("nan")])
    made = double_arrays(pool, np.array([2, 0, 0]), np.array([1, 0, 2]))
    found = [
        made.data[start : start + length].tobytes()
        for start, length in zip(made.starts.tolist(), made.lengths.tolist(), strict=True)
    ]
    one = struct.pack(">iiiiiid", 1, 0, 701, 1, 1, 8, 7.25)
    two = struct.pack(">iiiiiidid", 1, 0, 701, 2, 1, 8, 1.5, 8, -0.0)
    assert found == [one, struct.pack(">iii", 0, 0, 701), two]


def test_no_rows_are_no_bytes() -> None:
    empty = np.empty(0, np.int64)
    assert double_arrays(np.empty(0), empty, empty).data.size == 0
