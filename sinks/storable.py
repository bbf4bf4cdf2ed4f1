"""What PostgreSQL, and its indexes, take as a time or a name; checked over whole columns, or for a signal."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
from numba import types

from schemas.compiled import compiled
from schemas.records import Signal

LONGEST_BYTES: Final = 200
"""Of names and ids: an index takes no entry beyond 2.7 kB, and no name of ours is a tenth of that."""

TIME_MIN_US: Final = -5_364_662_400_000_000
"""1800-01-01 UTC: no market's records are older."""
TIME_MAX_US: Final = 7_258_118_400_000_000
"""2200-01-01 UTC, exclusive: a later time is a mistake of units."""


def signal_fault(signal: Signal) -> str | None:
    """Why a signal cannot be stored, if it cannot."""
    for time in (signal.open_time, signal.event_time):
        if not TIME_MIN_US <= time < TIME_MAX_US:
            return f"a time is not between the years 1800 and 2200: {time} µs"
    texts = (signal.id, signal.venue, signal.symbol, signal.interval, signal.rule, signal.candle_id)
    for text in (*texts, *signal.values):
        if not text or "\0" in text or len(text.encode("utf-8", "surrogatepass")) > LONGEST_BYTES:
            return (
                f"a text is empty, holds a zero byte or is longer than {LONGEST_BYTES} bytes: {text[:50]!r}"
            )
    return None


def unfit_texts(
    data: npt.NDArray[np.uint8], starts: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64]
) -> npt.NDArray[np.bool_]:
    """Which texts cannot be stored as a name or an id: with a zero byte, empty, or too long; nulls pass.

    Args:
        data: Bytes that hold the texts, UTF-8.
        starts: Positions in `data`, n rows.
        lengths: Bytes of each, -1: null.
    """
    found = np.empty(starts.size, np.bool_)
    _unfit(
        np.ascontiguousarray(data),
        np.ascontiguousarray(starts),
        np.ascontiguousarray(lengths),
        LONGEST_BYTES,
        found,
    )
    return found


@compiled(
    types.void(
        types.Array(types.uint8, 1, "C", readonly=True),
        types.int64[::1],
        types.int64[::1],
        types.int64,
        types.boolean[::1],
    )
)
def _unfit(data: Any, starts: Any, lengths: Any, longest: int, found: Any) -> None:
    for row in range(starts.size):
        length = lengths[row]
        unfit = length == 0 or length > longest
        if not unfit:
            for i in range(starts[row], starts[row] + length):
                if data[i] == 0:
                    unfit = True
                    break
        found[row] = unfit
