"""The compiled fold of trades and time marks into candles: its entry points.

Rows are folded one by one in log order, so the result cannot depend on how they were cut into batches. The
kernel stops where Python has to help (a table is full, an unknown key, a gap, a source that joins or leaves)
and is called again for the same row; up to there it has changed nothing of that row. Longer candles are
rolled up from the shortest when those are due; a trade that comes later is folded into each of them.

Signatures are written out: all is compiled, or loaded from Numba's cache, when this module is imported.
Numba does not notice when a callee in another file changes, but it hashes what a function closes over: the
entry points close over a digest of all the files that they are made of, and nothing but them is cached.
"""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numba import types

from processors.candles import (
    carry as candle_carry,
)
from processors.candles import (
    closing as candle_closing,
)
from processors.candles import (
    live as candle_live,
)
from processors.candles import (
    order as candle_order,
)
from processors.candles import (
    pool as candle_pool,
)
from processors.candles import (
    sequence_memory,
)
from processors.candles import (
    slabs as candle_slabs,
)
from processors.candles import (
    words as candle_words,
)
from processors.candles.carry import begin, carry_on
from processors.candles.closing import advance, settle, spoil
from processors.candles.pool import find, fold, pend, start
from processors.candles.sequence_memory import differs, digest_of, note, place_of, remember
from processors.candles.slabs import lacks_row
from processors.candles.words import (
    AHEAD,
    AT_AHEAD,
    AT_GAP,
    AT_MARK,
    BAD_KEY,
    BAD_NUMBER,
    CARRY,
    CONFLICTS,
    COUNT,
    DONE,
    DROPPED,
    FLAGS,
    GAP,
    GRACE,
    HIGHEST,
    HIGHEST_NEWEST,
    HOLD,
    INVALID,
    LAST_TIME,
    LATE_APPLIED,
    LATE_REFUSED,
    LEAD,
    MARK,
    MERGED,
    NEED_CANDLES,
    NEED_KEY,
    NEED_RANGES,
    NEWEST,
    NONE,
    OTHER_VALUES,
    RANGE_COUNT,
    RANGE_START,
    REFUSED_LEVEL,
    REPEATS,
    SKIP,
    SOURCE_JOINED,
    SOURCE_TIME,
    SOURCE_VENUE,
    STATE,
    TOO_LATE,
    TRADE,
    TRADES,
    VENUE,
    WATERMARK,
    entry,
    part,
)


@part
def _refuse(state: Any, row: int, reason: int, counter: int) -> None:
    level = state.counters[REFUSED_LEVEL]
    state.refused[level, 0] = row
    state.refused[level, 1] = reason
    state.counters[REFUSED_LEVEL] = level + 1
    state.counters[counter] += 1


@part
def _trade(
    state: Any, row: int, symbol: int, time: int, price: float, size: float, side: int, sequence: int
) -> int:
    """One trade: refuse it, drop it as a repeat, or fold it. Changes nothing when it returns a need."""
    counters = state.counters
    if not (0.0 < price < np.inf and 0.0 <= size < np.inf and 0 <= time < LAST_TIME):
        _refuse(state, row, BAD_NUMBER, INVALID)
        return DROPPED
    venue = state.venues[state.symbols[symbol, VENUE]]
    if venue[NEWEST] != NONE and time > venue[NEWEST] + state.rules[LEAD]:
        return AT_AHEAD
    place = -1
    digest = digest_of(time, price, size, side)
    ranges = state.symbols[symbol, RANGE_COUNT]
    if sequence >= 0 and (ranges == 0 or sequence != state.symbols[symbol, HIGHEST] + 1):
        place = place_of(state, symbol, sequence)
        at = state.symbols[symbol, RANGE_START] + place
        if place < ranges and state.ranges[at, 0] <= sequence:
            if differs(state, symbol, sequence, digest):
                _refuse(state, row, OTHER_VALUES, CONFLICTS)
            else:
                counters[REPEATS] += 1
            return DROPPED
    count = state.intervals.shape[0]
    length = state.intervals[0, 0]
    open_time = start(time, length, state.intervals[0, 1])
    due = open_time + length + state.rules[GRACE]
    if due + state.rules[HOLD] <= venue[WATERMARK]:
        _refuse(state, row, TOO_LATE, LATE_REFUSED)
        return DROPPED
    if lacks_row(state, 0):
        return NEED_CANDLES
    if place >= 0:
        if not note(state, symbol, place, sequence, time):
            return NEED_RANGES
    elif sequence >= 0:
        state.symbols[symbol, HIGHEST] = sequence
        state.symbols[symbol, HIGHEST_NEWEST] = max(state.symbols[symbol, HIGHEST_NEWEST], time)
    if sequence >= 0:
        remember(state, symbol, sequence, digest)
    counters[TRADES] += 1
    if due <= venue[WATERMARK]:
        counters[LATE_APPLIED] += 1
    slot = find(state, symbol * count, open_time)
    carries = state.rules[CARRY]
    if carries and state.pool[slot, COUNT] == 0:
        begin(state, symbol, open_time)
    fold(state, slot, time, price, size, side == 1, sequence)
    pend(state, slot)
    if carries:
        carry_on(state, slot)
    if state.pool[slot, FLAGS] & MERGED:
        for interval in range(1, count):
            longer = start(time, state.intervals[interval, 0], state.intervals[interval, 1])
            slot = find(state, symbol * count + interval, longer)
            fold(state, slot, time, price, size, side == 1, sequence)
            pend(state, slot)
            if carries:
                carry_on(state, slot)
    return DONE


@part
def _mark(state: Any, row: int, source: int, time: int) -> int:
    """A mark of a source that has joined and stays."""
    if source < 0 or not state.sources[source, SOURCE_JOINED]:
        return AT_MARK
    venue = state.sources[source, SOURCE_VENUE]
    if state.venues[venue, AHEAD] > 0:
        return AT_MARK
    state.sources[source, SOURCE_TIME] = max(state.sources[source, SOURCE_TIME], time)
    state.venues[venue, NEWEST] = max(state.venues[venue, NEWEST], time)
    advance(state, venue)
    return settle(state, venue, row)


def _compile(digest: int) -> tuple[Any, Any, Any]:
    """The entry points, cached under the digest of their sources."""

    @entry(
        types.UniTuple(types.int64, 2)(
            STATE,
            types.int64[::1],  # symbols by key id, -1: not known yet, -2: the key is bad
            types.int8[::1],  # kinds of rows; trades that are not folded become SKIP
            types.int32[::1],  # key ids, -1: null
            types.int64[::1],  # times, microseconds
            types.float64[::1],  # prices
            types.float64[::1],  # sizes
            types.int64[::1],  # sides, 1: the aggressor bought
            types.int64[::1],  # sequences, -1: none
            types.int32[::1],  # sources of marks, -1: ask Python
            types.int64,  # row to begin at
        )
    )
    def fold_rows(
        state: Any,
        known: Any,
        kinds: Any,
        keys: Any,
        times: Any,
        prices: Any,
        sizes: Any,
        sides: Any,
        sequences: Any,
        sources: Any,
        first: int,
    ) -> tuple[int, int]:
        if first < 0:
            return digest, DONE
        for row in range(first, kinds.size):
            kind = kinds[row]
            need = DONE
            if kind == TRADE:
                key = keys[row]
                symbol = known[key] if key >= 0 else -2
                if symbol == -1:
                    return row, NEED_KEY
                if symbol < 0:
                    _refuse(state, row, BAD_KEY, INVALID)
                    kinds[row] = SKIP
                    continue
                need = _trade(
                    state,
                    row,
                    symbol,
                    times[row],
                    prices[row],
                    sizes[row],
                    sides[row],
                    sequences[row],
                )
            elif kind == MARK:
                need = _mark(state, row, sources[row], times[row])
            elif kind == GAP:
                need = AT_GAP
            if need == DROPPED:
                kinds[row] = SKIP
            elif need != DONE:
                return row, need
        return kinds.size, DONE

    @entry(types.int64(STATE, types.int64, types.int64))
    def settle_venue(state: Any, venue: int, mark_row: int) -> int:
        if venue < 0:
            return digest
        advance(state, venue)
        return settle(state, venue, mark_row)

    @entry(types.int64(STATE, types.int64, types.int64, types.int64))
    def spoil_candles(state: Any, symbol: int, opened: int, closed: int) -> int:
        if symbol < 0:
            return digest
        spoil(state, symbol, opened, closed)
        return DONE

    return fold_rows, settle_venue, spoil_candles


def _digest() -> int:
    files = [
        Path(str(m.__file__))
        for m in (
            *(candle_words, candle_slabs, candle_order, candle_pool, candle_carry, candle_live),
            *(candle_closing, sequence_memory),
        )
    ]
    content = b"".join(file.read_bytes() for file in files)
    return int.from_bytes(hashlib.sha256(content).digest()[:7], "big")


fold_rows, settle_venue, spoil_candles = _compile(_digest())
