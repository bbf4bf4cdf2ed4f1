"""What a time mark does: the watermark moves, what is due is written, what is old is let go. Compiled."""

from typing import Any

from processors.candles.carry import carry, carry_on
from processors.candles.live import most_live, write_live
from processors.candles.order import sort
from processors.candles.pool import find, merge, pend, start
from processors.candles.slabs import drop_row, lacks_longer, touch
from processors.candles.words import (
    BREAKS,
    CANDLES,
    CARRY,
    COMPLETE,
    DONE,
    ENDED,
    ENDED_AT,
    FLAGS,
    GAP_COUNT,
    GAPS,
    GRACE,
    HELD,
    HOLD,
    LIVE_LEVEL,
    MARK_ROW,
    MERGED,
    NEED_CANDLES,
    NEED_LIVE,
    NEED_OUT,
    NEWER,
    NONE,
    OLDER,
    OPEN_TIME,
    OUT_LEVEL,
    PENDING,
    PENDING_LEVEL,
    REVISION,
    REVISIONS,
    SERIES,
    SOURCE_JOINED,
    SOURCE_TIME,
    SOURCE_VENUE,
    SOURCES,
    SWEEP,
    SWEPT,
    UNTOLD,
    VENUE,
    WATERMARK,
    WORDS,
    part,
)


@part
def advance(state: Any, venue: int) -> None:
    """The watermark of a venue: lowest time of its joined sources, or where the feed ended; never back."""
    lowest = state.venues[venue, ENDED_AT] if state.venues[venue, ENDED] else NONE
    for source in range(state.counters[SOURCES]):
        row = state.sources[source]
        joined = row[SOURCE_VENUE] == venue and row[SOURCE_JOINED]
        if joined and (lowest == NONE or row[SOURCE_TIME] < lowest):
            lowest = row[SOURCE_TIME]
    if lowest > state.venues[venue, WATERMARK]:
        state.venues[venue, WATERMARK] = lowest


@part
def is_complete(state: Any, slot: int) -> bool:
    """Whether no trade of the candle can be missing: its feed was always there, nothing was given up."""
    count = state.intervals.shape[0]
    series = state.pool[slot, SERIES]
    symbol = series // count
    opens = state.pool[slot, OPEN_TIME]
    ends = opens + state.intervals[series % count, 0]
    for index in range(state.counters[BREAKS]):
        row = state.breaks[index]
        if row[0] == state.symbols[symbol, VENUE] and opens < row[2] and ends > row[1]:
            return False
    if state.symbols[symbol, GAP_COUNT]:
        for index in range(state.counters[GAPS]):
            row = state.gaps[index]
            if row[0] == symbol and opens <= row[2] and ends > row[1]:
                return False
    return True


@part
def spoil(state: Any, symbol: int, opened: int, closed: int) -> None:
    """Have complete candles of a symbol that touch [opened, closed] written again: they no longer are."""
    count = state.intervals.shape[0]
    watermark = state.venues[state.symbols[symbol, VENUE], WATERMARK]
    for interval in range(count):
        length = state.intervals[interval, 0]
        held = length + state.rules[GRACE] + state.rules[HOLD]
        slot = state.heads[symbol * count + interval]
        while slot >= 0 and state.pool[slot, OPEN_TIME] + held > watermark:
            opens = state.pool[slot, OPEN_TIME]
            if opens <= closed and opens + length > opened and is_complete(state, slot):
                pend(state, slot)
            slot = state.pool[slot, OLDER]


@part
def _take_due(state: Any, venue: int, shortest: bool, level: int) -> int:
    """Move what is due from the pending candles to the due ones, sorted by key, interval and open time."""
    count = state.intervals.shape[0]
    pending, counters = state.pending, state.counters
    watermark, ended = state.venues[venue, WATERMARK], state.venues[venue, ENDED]
    index = 0
    while index < counters[PENDING_LEVEL]:
        due = ended or pending[index, 1] <= watermark
        if due and pending[index, 2] == venue and (pending[index, 3] == 0) == shortest:
            slot = pending[index, 0]
            series = state.pool[slot, SERIES]
            rank = state.ranks[series // count] * count + series % count
            state.due_slots[level] = slot
            state.due_keys[level] = (rank << 33) | (state.pool[slot, OPEN_TIME] // state.intervals[0, 0])
            level += 1
            counters[PENDING_LEVEL] -= 1
            for word in range(4):
                pending[index, word] = pending[counters[PENDING_LEVEL], word]
        else:
            index += 1
    sort(state.due_keys, state.due_slots, level)
    return level


@part
def _write(state: Any, slot: int, mark_row: int) -> None:
    level = state.counters[OUT_LEVEL]
    for word in range(WORDS):
        state.out[level, word] = state.pool[slot, word]
    state.out[level, COMPLETE] = is_complete(state, slot)
    state.out[level, MARK_ROW] = mark_row
    state.counters[OUT_LEVEL] = level + 1
    state.counters[CANDLES] += 1
    if state.pool[slot, REVISION] > 0:
        state.counters[REVISIONS] += 1
    touch(state, slot)
    state.pool[slot, REVISION] += 1
    state.pool[slot, FLAGS] = (state.pool[slot, FLAGS] | MERGED) & ~(PENDING | UNTOLD)


@part
def _sweep(state: Any, venue: int) -> None:
    """Let candles go that no trade can reach any more; which, follows from the time of the sweep alone."""
    count = state.intervals.shape[0]
    limit = state.venues[venue, SWEPT] * state.rules[SWEEP]
    for symbol in range(state.symbols.shape[0]):
        if state.symbols[symbol, VENUE] != venue:
            continue
        for interval in range(count):
            kept = state.intervals[interval, 0] + state.rules[GRACE] + state.rules[HOLD]
            series = symbol * count + interval
            slot = state.tails[series]
            while slot >= 0 and state.pool[slot, OPEN_TIME] + kept <= limit:
                drop_row(state, slot)
                slot = state.pool[slot, NEWER]
            state.tails[series] = slot
            if slot >= 0:
                state.pool[slot, OLDER] = -1
            else:
                state.heads[series] = -1


@part
def settle(state: Any, venue: int, mark_row: int) -> int:
    """Roll up and write what is due at the watermark, in order, and what is open; again after a need."""
    counters = state.counters
    count = state.intervals.shape[0]
    watermark, ended = state.venues[venue, WATERMARK], state.venues[venue, ENDED]
    if state.rules[CARRY] and not carry(state, venue):
        return NEED_CANDLES
    shortest = longer = 0
    for index in range(counters[PENDING_LEVEL]):
        if state.pending[index, 2] == venue and (ended or state.pending[index, 1] <= watermark):
            if state.pending[index, 3] == 0:
                shortest += 1
            else:
                longer += 1
    live = 0
    if state.live_ids.size:
        live = most_live(state, venue) + shortest * (count - 1)
        if min(state.live.shape[0] - counters[LIVE_LEVEL], state.due_keys.size) < live:
            return NEED_LIVE
    if shortest + longer > 0:
        most = shortest * count + longer
        if state.rules[CARRY]:  # what is rolled up may change candles without trades after it
            most += counters[HELD]
        if lacks_longer(state, shortest):
            return NEED_CANDLES
        if state.out.shape[0] - counters[OUT_LEVEL] < most:
            return NEED_OUT
        taken = _take_due(state, venue, True, 0)
        for index in range(taken):
            part = state.due_slots[index]
            if not state.pool[part, FLAGS] & MERGED:
                series = state.pool[part, SERIES]
                for interval in range(1, count):
                    length, anchor = state.intervals[interval]
                    slot = find(state, series + interval, start(state.pool[part, OPEN_TIME], length, anchor))
                    if merge(state.pool, state.values, slot, state.pool, state.values, part):
                        touch(state, slot)
                        state.pool[slot, FLAGS] |= state.pool[part, FLAGS] & UNTOLD
                        pend(state, slot)
                        if state.rules[CARRY]:
                            carry_on(state, slot)
        taken = _take_due(state, venue, False, taken)
        for index in range(taken):
            _write(state, state.due_slots[index], mark_row)
    if live:
        write_live(state, venue, mark_row)
    if watermark != NONE and watermark // state.rules[SWEEP] != state.venues[venue, SWEPT]:
        state.venues[venue, SWEPT] = watermark // state.rules[SWEEP]
        _sweep(state, venue)
    return DONE
