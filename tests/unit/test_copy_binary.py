"""The bytes of COPY BINARY, against PostgreSQL's own definition of them."""

from __future__ import annotations

import struct

import numpy as np

from sinks.storable import LONGEST_BYTES, unfit_texts
from sinks.timescale.copy_binary import (
    Fixed,
    Text,
    doubles,
    integers,
    is_decimal_of,
    lay_out,
    times,
)


def spans(*texts: bytes | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    data = np.frombuffer(b"".join(text or b"" for text in texts), np.uint8)
    lengths = np.array([-1 if text is None else len(text) for text in texts], np.int64)
    starts = np.concatenate(([0], np.cumsum(np.maximum(lengths, 0))[:-1])).astype(np.int64)
    return data, starts, lengths


def test_each_type_has_the_bytes_of_the_manual() -> None:
    data, starts, lengths = spans(b"1m", None)
    micros = np.array([946_684_800_000_001, 0], np.int64)
    fields: list[Fixed | Text] = [
        times(micros),
        doubles(np.array([1.5, -0.0])),
        integers(np.array([7, -2], np.int32), 4),
        integers(np.array([True, False]), 1),
        integers(np.array([9, 9]), 8, np.array([False, True])),
        Text(starts, lengths),
    ]
    first = struct.pack(">hiqidiiibii2s", 6, 8, 1, 8, 1.5, 4, 7, 1, 1, -1, 2, b"1m")
    second = struct.pack(">hiqidiiibiqi", 6, 8, -946_684_800_000_000, 8, -0.0, 4, -2, 1, 0, 8, 9, -1)
    assert lay_out(fields, data).tobytes() == first + second
    assert lay_out(fields, data, np.array([False, True])).tobytes() == second
    assert lay_out(fields, data, np.array([False, False])).tobytes() == b""


def test_texts_that_postgresql_or_its_indexes_refuse_are_found() -> None:
    texts = spans(b"ab", b"a\0b", b"", None, b"\0", b"x" * LONGEST_BYTES, b"x" * (LONGEST_BYTES + 1))
    assert unfit_texts(*texts).tolist() == [False, True, True, False, True, False, True]


def test_only_the_canonical_decimal_stands_for_its_number() -> None:
    texts = [b"0", b"12", b"12", b"012", b"", b"9223372036854775807", b"-1", b"1x", b"2", b"112", None]
    numbers = [0, 12, 13, 12, 0, 2**63 - 1, -1, 1, 12, 12, 0]
    data, starts, lengths = spans(*texts)
    found = is_decimal_of(data, starts, lengths, np.array(numbers, np.int64))
    assert found.tolist() == [
        text == str(n).encode() and n >= 0 for text, n in zip(texts, numbers, strict=True)
    ]
