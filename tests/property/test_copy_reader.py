"""Bytes of COPY read back are what was laid out; other bytes are refused, never run over."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import DecodeError
from schemas.spans import Spans
from sinks.timescale.copy_binary import HEADER, TRAILER, Bytes, Text, doubles, integers, lay_out, times
from sinks.timescale.copy_reader import read_rows

WIDTHS = (8, 8, 4, 1, 0)
rows = st.lists(
    st.tuples(
        st.integers(-(2**53), 2**53),
        st.none() | st.floats(),
        st.none() | st.integers(-(2**31), 2**31 - 1),
        st.integers(-128, 127),
        st.none() | st.binary(max_size=12),
    ),
    max_size=6,
)
Row = tuple[int, float | None, int | None, int, bytes | None]


def laid_out(found: list[Row]) -> Bytes:
    spans = Spans.of([row[4] for row in found])
    given_2, given_3 = (np.array([row[at] is not None for row in found], np.bool_) for at in (1, 2))
    return lay_out(
        [
            times(np.array([row[0] for row in found], np.int64)),
            doubles(np.array([row[1] or 0.0 for row in found], np.float64), given_2),
            integers(np.array([row[2] or 0 for row in found], np.int64), 4, given_3),
            integers(np.array([row[3] for row in found], np.int64), 1),
            Text(spans.starts, spans.lengths),
        ],
        spans.data,
    )


@given(rows)
def test_columns_are_what_was_laid_out(found: list[Row]) -> None:
    data = laid_out(found)
    framed = np.frombuffer(HEADER + data.tobytes() + TRAILER, np.uint8)
    for each in (data, framed):
        read = read_rows(each, WIDTHS)
        assert read.cells.shape == (5, len(found))
        assert (read.cells[0] + 946_684_800_000_000).tolist() == [row[0] for row in found]
        bits = read.cells[1].view(np.float64)
        for place, row in enumerate(found):
            assert (read.lengths[1, place] < 0) == (row[1] is None)
            assert row[1] is None or row[1] == bits[place] or row[1] != row[1]
            assert row[2] is None or read.cells[2, place] == row[2]
            assert read.cells[3, place] == row[3]
            start, length = read.cells[4, place], read.lengths[4, place]
            assert (each[start : start + length].tobytes() if length >= 0 else None) == row[4]


@given(rows.filter(bool), st.data())
def test_cut_or_damaged_bytes_are_refused_or_read_within_their_bounds(
    found: list[Row], data: st.DataObject
) -> None:
    whole = laid_out(found)
    cut = whole[: data.draw(st.integers(0, whole.size - 1))].copy()
    place = data.draw(st.integers(0, whole.size - 1))
    damaged = whole.copy()
    damaged[place] ^= data.draw(st.integers(1, 255))
    for each in (cut, damaged):
        try:
            read = read_rows(each, WIDTHS)
        except DecodeError:
            continue
        held = read.lengths[4] >= 0
        assert (read.cells[4] + read.lengths[4])[held].max(initial=0) <= each.size


def test_other_columns_are_refused() -> None:
    data = laid_out([(1, 2.0, 3, 4, b"x")])
    for widths in ((8, 8, 4, 1), (8, 8, 8, 1, 0), (8, 8, 4, 1, 8)):
        with pytest.raises(DecodeError, match="not rows of the"):
            read_rows(data, widths)
