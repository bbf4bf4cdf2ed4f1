"""Candles of intervals without trades, where the rules ask for them. Compiled.

From its first candle on, each symbol has a candle for every shortest interval through which some source of
its venue was there: one without trades has the close of the candle before it as its prices. It is made by the
mark at which it is due, and rolled up as others are.

Not cached by Numba on their own, see `pool`.
"""

from typing import Any

from processors.candles.pool import find, pend, start
from processors.candles.slabs import lacks_row, touch
from processors.candles.words import (
    BREAKS,
    CLOSE,
    COUNT,
    ENDED,
    FIRST_SEQUENCE,
    GRACE,
    LAST_SEQUENCE,
    LAST_TIME,
    NEWER,
    NONE,
    OLDER,
    OPEN,
    OPEN_TIME,
    VENUE,
    WATERMARK,
    part,
)


@part
def _price(state: Any, slot: int, price: float) -> None:
    """Have a candle without trades carry a price."""
    touch(state, slot)
    for word in range(OPEN, CLOSE + 1):
        state.values[slot, word] = price
    pend(state, slot)


@part
def begin(state: Any, symbol: int, open_time: int) -> None:
    """A symbol has a new candle: what follows it may have to be filled."""
    if state.next_empty[symbol] == NONE or open_time < state.next_empty[symbol]:
        state.next_empty[symbol] = open_time


@part
def carry_on(state: Any, slot: int) -> None:
    """A late trade may have changed the close of a candle: candles without trades after it follow."""
    price = state.values[slot, CLOSE]
    newer = state.pool[slot, NEWER]
    while newer >= 0 and state.pool[newer, COUNT] == 0 and state.values[newer, CLOSE] != price:
        _price(state, newer, price)
        newer = state.pool[newer, NEWER]


@part
def _absent_until(state: Any, venue: int, opens: int, ends: int) -> int:
    """When a feed came back that was away in an interval; NONE if it was there throughout."""
    for index in range(state.counters[BREAKS]):
        row = state.breaks[index]
        if row[0] == venue and row[3] and opens < row[2] and ends > row[1]:
            return int(row[2])
    return NONE


@part
def _fill(state: Any, symbol: int, venue: int, limit: int) -> bool:
    """Make the missing candles of a symbol that end by a time; False when the pool must grow first."""
    length, anchor = state.intervals[0]
    series = symbol * state.intervals.shape[0]
    opens = state.next_empty[symbol]
    slot = state.heads[series]
    while slot >= 0 and state.pool[slot, OPEN_TIME] >= opens:
        slot = state.pool[slot, OLDER]
    price = state.last_closes[symbol] if slot < 0 else state.values[slot, CLOSE]
    done = True
    while opens + length <= limit:
        newer = state.tails[series] if slot < 0 else state.pool[slot, NEWER]
        if newer < 0 or state.pool[newer, OPEN_TIME] != opens:
            back = _absent_until(state, venue, opens, opens + length)
            if back >= LAST_TIME:
                break
            if back != NONE:
                opens = start(back - 1, length, anchor) + length
                if newer >= 0:
                    opens = min(opens, state.pool[newer, OPEN_TIME])
                continue
            if lacks_row(state, 0):
                done = False
                break
            newer = find(state, series, opens)
            state.pool[newer, FIRST_SEQUENCE] = -1
            state.pool[newer, LAST_SEQUENCE] = -1
            _price(state, newer, price)
        slot = newer
        price = state.values[slot, CLOSE]
        opens += length
    state.next_empty[symbol] = opens
    state.last_closes[symbol] = price
    return done


@part
def carry(state: Any, venue: int) -> bool:
    """Make what is missing of a venue and due; False, to be called again, when the pool must grow."""
    limit = state.venues[venue, WATERMARK]
    if limit == NONE:
        return True
    if not state.venues[venue, ENDED]:
        limit -= state.rules[GRACE]
    for symbol in range(state.symbols.shape[0]):
        is_begun = state.symbols[symbol, VENUE] == venue and state.next_empty[symbol] != NONE
        if is_begun and not _fill(state, symbol, venue, limit):
            return False
    return True
