"""Candles in the pool: found or made, folded from trades, merged into longer ones. Compiled.

Not cached by Numba on their own: they are compiled into the entry points of `kernel`, which know
when this file changes.
"""

from typing import Any

from processors.candles.slabs import take_row, touch
from processors.candles.words import (
    CLOSE,
    CLOSED,
    CLOSED_SEQUENCE,
    COUNT,
    FIRST_SEQUENCE,
    FLAGS,
    GRACE,
    HIGH,
    LAST_SEQUENCE,
    LOW,
    NEWER,
    OLDER,
    OPEN,
    OPEN_TIME,
    OPENED,
    OPENED_SEQUENCE,
    PENDING,
    PENDING_LEVEL,
    QUOTE_VOLUME,
    SERIES,
    TAKER_BUY_VOLUME,
    UNTOLD,
    VENUE,
    VOLUME,
    WORDS,
    part,
)


@part
def add(values: Any, row: int, word: int, high: float, low: float) -> None:
    """Add high + low to a double-double sum (Knuth's two-sum, then renormalised)."""
    before = values[row, word]
    total = before + high
    part = total - before
    error = (before - (total - part)) + (high - part) + values[row, word + 1] + low
    values[row, word] = total + error
    values[row, word + 1] = error - (values[row, word] - total)


@part
def start(time: int, length: int, anchor: int) -> int:
    """Open time of the interval that holds a time."""
    return time - (time - anchor) % length


@part
def find(state: Any, series: int, open_time: int) -> int:
    """The candle of a series at an open time, made if it is not there; the pool has room for it."""
    pool = state.pool
    newer = -1
    slot = state.heads[series]
    while slot >= 0 and pool[slot, OPEN_TIME] > open_time:
        newer = slot
        slot = pool[slot, OLDER]
    if slot >= 0 and pool[slot, OPEN_TIME] == open_time:
        return int(slot)
    made = take_row(state, series % state.intervals.shape[0])
    touch(state, made)
    pool[made, SERIES] = series
    pool[made, OPEN_TIME] = open_time
    pool[made, NEWER] = newer
    pool[made, OLDER] = slot
    if newer >= 0:
        pool[newer, OLDER] = made
    else:
        state.heads[series] = made
    if slot >= 0:
        pool[slot, NEWER] = made
    else:
        state.tails[series] = made
    return made


@part
def pend(state: Any, slot: int) -> None:
    """Have a candle written by the first mark at which it is due."""
    if state.pool[slot, FLAGS] & PENDING:
        return
    state.pool[slot, FLAGS] |= PENDING
    touch(state, slot)
    count = state.intervals.shape[0]
    interval = state.pool[slot, SERIES] % count
    level = state.counters[PENDING_LEVEL]
    state.pending[level, 0] = slot
    state.pending[level, 1] = state.pool[slot, OPEN_TIME] + state.intervals[interval, 0] + state.rules[GRACE]
    state.pending[level, 2] = state.symbols[state.pool[slot, SERIES] // count, VENUE]
    state.pending[level, 3] = interval
    state.counters[PENDING_LEVEL] = level + 1


@part
def fold(state: Any, slot: int, time: int, price: float, size: float, buy: bool, sequence: int) -> None:
    """One trade into one candle."""
    touch(state, slot)
    pool, values = state.pool, state.values
    pool[slot, FLAGS] |= UNTOLD
    if pool[slot, COUNT] == 0:
        for word in range(OPEN, CLOSE + 1):
            values[slot, word] = price
        pool[slot, OPENED] = time
        pool[slot, CLOSED] = time
        pool[slot, OPENED_SEQUENCE] = sequence
        pool[slot, CLOSED_SEQUENCE] = sequence
        pool[slot, FIRST_SEQUENCE] = sequence
        pool[slot, LAST_SEQUENCE] = sequence
    else:
        values[slot, HIGH] = max(values[slot, HIGH], price)
        values[slot, LOW] = min(values[slot, LOW], price)
        opened, closed = pool[slot, OPENED], pool[slot, CLOSED]
        if time < opened or (time == opened and sequence < pool[slot, OPENED_SEQUENCE]):
            values[slot, OPEN] = price
            pool[slot, OPENED] = time
            pool[slot, OPENED_SEQUENCE] = sequence
        if time > closed or (time == closed and sequence >= pool[slot, CLOSED_SEQUENCE]):
            values[slot, CLOSE] = price
            pool[slot, CLOSED] = time
            pool[slot, CLOSED_SEQUENCE] = sequence
        if sequence >= 0:
            if sequence < pool[slot, FIRST_SEQUENCE] or pool[slot, FIRST_SEQUENCE] < 0:
                pool[slot, FIRST_SEQUENCE] = sequence
            pool[slot, LAST_SEQUENCE] = max(pool[slot, LAST_SEQUENCE], sequence)
    pool[slot, COUNT] += 1
    add(values, slot, VOLUME, size, 0.0)
    add(values, slot, QUOTE_VOLUME, price * size, 0.0)
    if buy:
        add(values, slot, TAKER_BUY_VOLUME, size, 0.0)


@part
def merge(pool: Any, values: Any, slot: int, parts: Any, part_values: Any, part: int) -> bool:
    """One shorter candle into a longer one that contains it, or is new; False if that changes nothing."""
    if parts[part, COUNT] == 0 and values[slot, OPEN] > 0.0:
        return False
    if pool[slot, COUNT] == 0:
        for word in range(COUNT, LAST_SEQUENCE + 1):
            pool[slot, word] = parts[part, word]
        for word in range(OPEN, WORDS - 1):
            values[slot, word] = part_values[part, word]
        return True
    values[slot, HIGH] = max(values[slot, HIGH], part_values[part, HIGH])
    values[slot, LOW] = min(values[slot, LOW], part_values[part, LOW])
    if parts[part, OPENED] < pool[slot, OPENED]:  # parts do not overlap: no two share a time
        values[slot, OPEN] = part_values[part, OPEN]
        pool[slot, OPENED] = parts[part, OPENED]
        pool[slot, OPENED_SEQUENCE] = parts[part, OPENED_SEQUENCE]
    if parts[part, CLOSED] > pool[slot, CLOSED]:
        values[slot, CLOSE] = part_values[part, CLOSE]
        pool[slot, CLOSED] = parts[part, CLOSED]
        pool[slot, CLOSED_SEQUENCE] = parts[part, CLOSED_SEQUENCE]
    first = parts[part, FIRST_SEQUENCE]
    if first >= 0 and (first < pool[slot, FIRST_SEQUENCE] or pool[slot, FIRST_SEQUENCE] < 0):
        pool[slot, FIRST_SEQUENCE] = first
    pool[slot, LAST_SEQUENCE] = max(pool[slot, LAST_SEQUENCE], parts[part, LAST_SEQUENCE])
    pool[slot, COUNT] += parts[part, COUNT]
    for word in (VOLUME, QUOTE_VOLUME, TAKER_BUY_VOLUME):
        add(values, slot, word, part_values[part, word], part_values[part, word + 1])
    return True
