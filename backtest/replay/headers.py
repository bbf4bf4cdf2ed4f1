"""The headers of replayed records: those they had, the name of the replay, and where the record stood.

`replay_id` names the replay (`plan.py`), `replay_position` is the record's position in its source as a
decimal number. The last record of a partition so says how far the replay came. Both are written for whole
portions by a compiled kernel, a few bytes a record once the batch is compressed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import numpy as np
from numba import types

from backtest.replay.source import Portion
from schemas.compiled import compiled
from schemas.spans import Spans

REPLAY_ID: Final = "replay_id"
REPLAY_POSITION: Final = "replay_position"
_MOST_BYTES: Final = 10 + 20
"""Of the number of headers, and of a position with its length."""

_READABLE = types.Array(types.uint8, 1, "C", readonly=True)


@compiled(
    types.int64(
        _READABLE,
        types.int64[::1],
        types.int64[::1],
        types.int64[::1],
        _READABLE,
        types.int64[::1],
        types.uint8[::1],
        types.int64[::1],
        types.int64[::1],
    )
)
def _write(
    before: Any,
    before_starts: Any,
    before_lengths: Any,
    before_counts: Any,
    ours: Any,
    positions: Any,
    data: Any,
    starts: Any,
    lengths: Any,
) -> int:
    """Headers of all rows into `data`, which is large enough; the bytes used, -1: a span lies outside."""
    place = 0
    for row in range(positions.size):
        starts[row] = place
        length = before_lengths[row]
        if length > 0 and (before_starts[row] < 0 or before_starts[row] > before.size - length):
            return -1
        rest = np.uint64(before_counts[row] + 2) << np.uint64(1)
        while rest > np.uint64(0x7F):
            data[place] = np.uint8(rest & np.uint64(0x7F)) | np.uint8(0x80)
            place += 1
            rest >>= np.uint64(7)
        data[place] = np.uint8(rest)
        place += 1
        for i in range(length):
            data[place + i] = before[before_starts[row] + i]
        place += max(length, 0)
        for i in range(ours.size):
            data[place + i] = ours[i]
        place += ours.size
        digits = 1
        left = positions[row] // 10
        while left > 0:
            digits += 1
            left //= 10
        data[place] = np.uint8(digits << 1)
        place += 1
        left = positions[row]
        for i in range(digits):
            data[place + digits - 1 - i] = np.uint8(48 + left % 10)
            left //= 10
        place += digits
        lengths[row] = place - starts[row]
    return place


class HeaderWriter:
    """Writes the headers of one replay.

    Args:
        replay_id: Its name, ASCII, at most 63 characters.
    """

    def __init__(self, replay_id: str) -> None:
        ours = _text(REPLAY_ID) + _text(replay_id) + _text(REPLAY_POSITION)
        self._ours = np.frombuffer(ours, np.uint8)

    def write(self, portion: Portion) -> Spans:
        """For each record of a portion the number of its headers and the headers, as a record batch has them.

        Raises:
            ValueError: The headers that a record had lie outside of their buffer.
        """
        rows = len(portion)
        room = int(np.maximum(portion.headers.lengths, 0).sum()) + rows * (self._ours.size + _MOST_BYTES)
        data = np.empty(room, np.uint8)
        spans = np.empty((2, rows), np.int64)
        used = _write(
            portion.headers.data,
            np.ascontiguousarray(portion.headers.starts),
            np.ascontiguousarray(portion.headers.lengths),
            np.ascontiguousarray(portion.header_counts),
            self._ours,
            np.ascontiguousarray(portion.positions),
            data,
            *spans,
        )
        if used < 0:
            raise ValueError("headers of a record lie outside of their buffer")
        return Spans(data[:used], spans[0], spans[1])


def standing(headers: Iterable[tuple[str, bytes | None]]) -> tuple[str, int] | None:
    """Replay and position that a record's headers tell; None: it was not written by a replay.

    A replay of a replay writes its own behind the older ones: the last ones count.
    """
    told = dict(headers)
    replay_id, position = told.get(REPLAY_ID), told.get(REPLAY_POSITION)
    if replay_id is None or position is None or not position.isdigit():
        return None
    return replay_id.decode("utf-8", "replace"), int(position)


def _text(text: str) -> bytes:
    """A text of less than 64 bytes with its length, as names and values of headers stand."""
    data = text.encode("ascii")
    return bytes([len(data) << 1]) + data
