"""The memory of the candle fold: what each word of each table means, and the codes of the kernel.

One candle is one row of 24 eight-byte words (three cache lines): a trade touches its symbol's row and the
row of its shortest candle, and nothing else, so the cost of a trade hardly depends on how many symbols
there are. Whole words and doubles share the memory of a row (`pool` and `values`).
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np
import numpy.typing as npt
from numba import njit, types

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

NONE = -(1 << 62)
"""No time yet."""
LAST_TIME = 1 << 52
"""Times from here on (the year 2112) are refused; it also keeps the sort key within 64 bits."""

# Kinds of rows.
SKIP, TRADE, MARK, GAP = 0, 1, 2, 3

# Why the kernel stops.
DONE, NEED_CANDLES, NEED_RANGES, NEED_OUT, NEED_KEY, AT_GAP, AT_MARK, AT_AHEAD = 0, 1, 2, 3, 4, 5, 6, 7
DROPPED, NEED_LIVE = 8, 9

# Why a trade is refused.
TOO_LATE, TOO_FAR_AHEAD, BAD_NUMBER, BAD_KEY, OTHER_VALUES = 1, 2, 3, 4, 5

# Words of a candle.
SERIES, OPEN_TIME, FLAGS, REVISION, COUNT = 0, 1, 2, 3, 4
OPENED, OPENED_SEQUENCE, CLOSED, CLOSED_SEQUENCE = 5, 6, 7, 8
FIRST_SEQUENCE, LAST_SEQUENCE, NEWER, OLDER = 9, 10, 11, 12
OPEN, HIGH, LOW, CLOSE = 13, 14, 15, 16
VOLUME, QUOTE_VOLUME, TAKER_BUY_VOLUME = 17, 19, 21  # double-double: each has its low part in the next word
WORDS = 24
SLAB = 1_024
"""Rows of the pool that are filled together and saved together, see `slabs`."""
# What FLAGS and NEWER hold in a row of `out`: whether the candle is complete, and the row of the mark.
COMPLETE, MARK_ROW = FLAGS, NEWER
# What REVISION holds in a row of `live`: the watermark.
AS_OF = REVISION

# Bits of FLAGS: has changed since it was written; has been rolled up; has changed since it was written live.
PENDING, MERGED, UNTOLD = 1, 2, 4

# Words of a symbol. The highest id range has its end and its newest time here, not in `ranges`.
VENUE, RANGE_START, RANGE_COUNT, RANGE_SPACE, HIGHEST, HIGHEST_NEWEST, GAP_COUNT = 0, 1, 2, 3, 4, 5, 6
SYMBOL_WORDS = 8
# Words of a venue and of a source.
WATERMARK, NEWEST, ENDED, SWEPT, AHEAD, ENDED_AT = 0, 1, 2, 3, 4, 5
VENUE_WORDS = 8
SOURCE_VENUE, SOURCE_TIME, SOURCE_JOINED = 0, 1, 2
# Words of `rules`.
GRACE, HOLD, LEAD, SWEEP, CARRY = 0, 1, 2, 3, 4
# Words of `counters`: candles held, fill levels, then what has been counted since the first record.
HELD, PENDING_LEVEL, OUT_LEVEL, REFUSED_LEVEL, SOURCES, BREAKS, GAPS, LIVE_LEVEL = range(8)
TRADES, REPEATS, LATE_APPLIED, LATE_REFUSED, AHEAD_REFUSED, INVALID, CANDLES, REVISIONS = range(8, 16)
CONFLICTS, REMEMBERED = 16, 17
COUNTERS = 24

MEMORY = 1 << 16
"""Trades of which is known what they said, the newest ones; a power of two."""


class CandleState(NamedTuple):
    """The arrays of one partition; Python makes them larger, the kernel fills them."""

    counters: Ints
    rules: Ints
    intervals: Ints  # [n, 2]: length and anchor, microseconds; the first is the shortest
    symbols: Ints  # [symbols, SYMBOL_WORDS]
    ranks: Ints  # [symbols]: place in the order of key bytes
    next_empty: Ints  # [symbols]: shortest interval from which on to look for empty ones, NONE: no trade yet
    last_closes: Floats  # [symbols]: close of the shortest candle before `next_empty`
    digests: Ints  # [MEMORY, 2]: what is remembered of trades, in turn, see `sequence_memory`
    places: Ints  # [MEMORY]: where to find a trade in it
    heads: Ints  # [symbols * n]: newest candle of each series, -1: none
    tails: Ints  # [symbols * n]: oldest one
    ranges: Ints  # [space, 3]: first and last sequence, newest event time
    pool: Ints  # [candles, WORDS]
    values: Floats  # the same memory as doubles
    slabs: Ints  # [n + 1]: next row of each interval, at the end of a slab: none; the number of empty slabs
    alive: Ints  # [slabs]: candles in each slab, and one more where it is being filled
    touched: Ints  # [slabs]: 1: has changed since it was last saved
    pending: Ints  # [candles, 4]: candle, due time, venue, index of the interval
    due_slots: Ints  # [candles]: scratch
    due_keys: Ints  # [candles]: scratch
    venues: Ints  # [venues, VENUE_WORDS]
    sources: Ints  # [sources, 3]
    breaks: Ints  # [breaks, 4]: venue, from, to, 1: no source at all was there in between
    gaps: Ints  # [gaps, 3]: symbol, from, to: trades given up
    out: Ints  # [space, WORDS]: candles written by marks, in order
    live_ids: Ints  # indexes of the intervals that are written live
    live: Ints  # [space, WORDS]: open candles written by marks, in order
    live_values: Floats  # the same memory as doubles
    refused: Ints  # [rows, 2]: row, reason


_VECTOR = types.int64[::1]
_TABLE = types.int64[:, ::1]
_FLOATS = {
    "values": types.float64[:, ::1],
    "live_values": types.float64[:, ::1],
    "last_closes": types.float64[::1],
}
_VECTORS = {
    "counters",
    "rules",
    "ranks",
    "next_empty",
    "places",
    "live_ids",
    "heads",
    "tails",
    "slabs",
    "alive",
    "touched",
    "due_slots",
    "due_keys",
}
STATE = types.NamedTuple(
    [_FLOATS.get(name, _VECTOR if name in _VECTORS else _TABLE) for name in CandleState._fields],
    CandleState,
)

F = TypeVar("F", bound=Callable[..., Any])

# Without Numba's reference counting: it cost ten times the fold itself. Nothing compiled here allocates, and
# the caller holds all arrays meanwhile.
_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "forceinline": True, "_nrt": False}


def part(function: F) -> F:
    """A compiled part of an entry point; compiled with it, and kept in its cache."""
    return cast("F", njit(**_OPTIONS)(function))


def entry(signature: Any) -> Callable[[F], F]:
    """A compiled function that Python calls, cached."""
    return cast("Callable[[F], F]", njit(signature, cache=True, **_OPTIONS))
