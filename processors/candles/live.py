"""Open candles as they stand at a mark. Compiled.

Longer candles are rolled up from the shortest only when these are due; here they are put together from what
has been rolled up and what has not.

Not cached by Numba on their own, see `pool`.
"""

from typing import Any

from processors.candles.order import sort
from processors.candles.pool import merge, start
from processors.candles.slabs import touch
from processors.candles.words import (
    AS_OF,
    FLAGS,
    GRACE,
    LIVE_LEVEL,
    MARK_ROW,
    MERGED,
    OLDER,
    OPEN_TIME,
    PENDING_LEVEL,
    SERIES,
    UNTOLD,
    WATERMARK,
    WORDS,
    part,
)


@part
def most_live(state: Any, venue: int) -> int:
    """A bound of the open candles that a mark of a venue writes."""
    most = 0
    for index in range(state.counters[PENDING_LEVEL]):
        if state.pending[index, 2] == venue and state.pool[state.pending[index, 0], FLAGS] & UNTOLD:
            most += state.live_ids.size
    return most


@part
def _take_untold(state: Any, venue: int) -> int:
    """Open candles that have changed, as keys in order of key, interval and open time; some twice."""
    count = state.intervals.shape[0]
    shortest = state.intervals[0, 0]
    level = 0
    for index in range(state.counters[PENDING_LEVEL]):
        slot = state.pending[index, 0]
        if state.pending[index, 2] != venue or not state.pool[slot, FLAGS] & UNTOLD:
            continue
        state.pool[slot, FLAGS] &= ~UNTOLD
        touch(state, slot)
        symbol = state.pool[slot, SERIES] // count
        for interval in state.live_ids:
            if state.pending[index, 3] == 0 or state.pending[index, 3] == interval:
                length, anchor = state.intervals[interval]
                opens = start(state.pool[slot, OPEN_TIME], length, anchor)
                state.due_slots[level] = symbol * count + interval
                state.due_keys[level] = ((state.ranks[symbol] * count + interval) << 33) | (opens // shortest)
                level += 1
    sort(state.due_keys, state.due_slots, level)
    return level


@part
def _write(state: Any, series: int, opens: int, watermark: int, mark_row: int) -> None:
    count = state.intervals.shape[0]
    level = state.counters[LIVE_LEVEL]
    out, values = state.live, state.live_values
    for word in range(WORDS):
        out[level, word] = 0
    slot = state.heads[series]
    while slot >= 0 and state.pool[slot, OPEN_TIME] > opens:
        slot = state.pool[slot, OLDER]
    if slot >= 0 and state.pool[slot, OPEN_TIME] == opens:
        merge(out, values, level, state.pool, state.values, slot)
    interval = series % count
    if interval > 0:
        ends = opens + state.intervals[interval, 0]
        reach = state.intervals[0, 0] + state.rules[GRACE]
        slot = state.heads[series - interval]
        while slot >= 0 and state.pool[slot, OPEN_TIME] + reach > watermark:
            if opens <= state.pool[slot, OPEN_TIME] < ends and not state.pool[slot, FLAGS] & MERGED:
                merge(out, values, level, state.pool, state.values, slot)
            slot = state.pool[slot, OLDER]
    out[level, SERIES] = series
    out[level, OPEN_TIME] = opens
    out[level, AS_OF] = watermark
    out[level, MARK_ROW] = mark_row
    state.counters[LIVE_LEVEL] = level + 1


@part
def write_live(state: Any, venue: int, mark_row: int) -> None:
    """Write the open candles of a venue that have changed; there is room for them."""
    taken = _take_untold(state, venue)
    count = state.intervals.shape[0]
    watermark = state.venues[venue, WATERMARK]
    for index in range(taken):
        if index > 0 and state.due_keys[index] == state.due_keys[index - 1]:
            continue
        series = state.due_slots[index]
        length, anchor = state.intervals[series % count]
        middle = (state.due_keys[index] & ((1 << 33) - 1)) * state.intervals[0, 0] + state.intervals[0, 0] - 1
        _write(state, series, start(middle, length, anchor), watermark, mark_row)
