"""The compiled fold of trades into price alerts: rows in log order, so that no cut of the log can matter.

A symbol that has alerts owns a row of `symbols`, and its alerts a row each of `alerts`. For alerts on a
level the symbol's row holds the band of prices within which nothing can happen, and the time up to which it
holds: most trades cost a comparison. A move is watched by two monotonic queues, of the lowest and of the
highest price of each second, in `rings`.

The kernel stops where Python has to help, and may then be called again for the same row.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import types

from processors.candles.words import Floats, Ints, entry, part

NONE = -(1 << 62)
"""No time yet."""

TRADE, MARK = 1, 2  # as candle_words has them; repeated, so that the cache notices a change

# Why the kernel stops.
DONE, NEED_ROOM, NEED_OUT, AT_AHEAD, AT_MARK = 0, 1, 2, 3, 4

# Words of a symbol; doubles stand in the same memory.
FIRST, COUNT, SYMBOL_VENUE, BEGIN, NEWEST, SEQUENCE, SAFE_UNTIL = 0, 1, 2, 3, 4, 5, 6
BAND_LOW, BAND_HIGH, LAST = 7, 8, 9
SYMBOL_WORDS = 10
# Words of an alert. SIDE of crosses: where the price stands, 0: not known. SIDE of all others: 1: it may
# fire, 0: it has fired, and its condition has held since.
FROM, UNTIL, KIND, REPEATS, LEVEL, WINDOW, SIDE, FIRED_AT = 0, 1, 2, 3, 4, 5, 6, 7
RING, SPACE, LOWS, LOWS_COUNT, HIGHS, HIGHS_COUNT = 8, 9, 10, 11, 12, 13
ALERT_WORDS = 14
# Words of a firing.
OUT_ROW, OUT_ALERT, OUT_DIRECTION, OUT_REFERENCE = 0, 1, 2, 3
OUT_WORDS = 4
# Words of a venue.
MARKED, WAITING = 0, 1
VENUE_WORDS = 2

ABOVE, BELOW, CROSSES, MOVE = 0, 1, 2, 3
SECOND = 1_000_000
NEARLY = 1.0 - 1e-12
"""A move that is as far as wanted, but for the rounding of its prices, is far enough."""


class AlertState(NamedTuple):
    """The arrays of one partition; Python makes them, the kernel fills them."""

    symbols: Ints  # [symbols, SYMBOL_WORDS]
    symbol_values: Floats  # the same memory as doubles
    alerts: Ints  # [alerts, ALERT_WORDS]; those of a symbol stand together
    alert_values: Floats
    rings: Ints  # [space, 2]: second and price; lows of an alert, then highs
    ring_values: Floats
    venues: Ints  # [venues, VENUE_WORDS]
    out: Ints  # [space, OUT_WORDS]
    out_values: Floats
    level: Ints  # [1]: rows of `out`


_STATE = types.NamedTuple(
    [
        types.int64[::1]
        if name == "level"
        else types.float64[:, ::1]
        if name.endswith("values")
        else types.int64[:, ::1]
        for name in AlertState._fields
    ],
    AlertState,
)


@part
def _expire(state: Any, alert: int, oldest: int) -> None:
    """Let go of what is older than a second; doing it twice does no more."""
    ring, space = state.alerts[alert, RING], state.alerts[alert, SPACE]
    for head, count, start in ((LOWS, LOWS_COUNT, ring), (HIGHS, HIGHS_COUNT, ring + space)):
        while state.alerts[alert, count] > 0 and state.rings[start + state.alerts[alert, head], 0] < oldest:
            state.alerts[alert, head] = (state.alerts[alert, head] + 1) % space
            state.alerts[alert, count] -= 1


@part
def _push(
    state: Any, alert: int, head: int, count: int, start: int, sign: float, at: int, price: float
) -> None:
    """Add a price to a queue whose prices rise (sign 1: lows) or fall (sign -1: highs) from its head on."""
    space = state.alerts[alert, SPACE]
    while state.alerts[alert, count] > 0:
        back = start + (state.alerts[alert, head] + state.alerts[alert, count] - 1) % space
        if sign * state.ring_values[back, 1] < sign * price:
            if state.rings[back, 0] == at:
                return
            break
        state.alerts[alert, count] -= 1
    back = start + (state.alerts[alert, head] + state.alerts[alert, count]) % space
    state.rings[back, 0] = at
    state.ring_values[back, 1] = price
    state.alerts[alert, count] += 1


@part
def _is_done(state: Any, alert: int) -> bool:
    """Whether it has fired for good."""
    return state.alerts[alert, FIRED_AT] != NONE and not state.alerts[alert, REPEATS]


@part
def _fire(state: Any, row: int, alert: int, time: int, direction: int, reference: float) -> bool:
    """Write a firing down, unless it has fired at this very time."""
    if state.alerts[alert, FIRED_AT] == time:
        return False
    level = state.level[0]
    state.out[level, OUT_ROW] = row
    state.out[level, OUT_ALERT] = alert
    state.out[level, OUT_DIRECTION] = direction
    state.out_values[level, OUT_REFERENCE] = reference
    state.level[0] = level + 1
    state.alerts[alert, FIRED_AT] = time
    return True


@part
def _look(state: Any, row: int, alert: int, time: int, price: float, last: float) -> None:
    """One alert at one trade."""
    kind, level, side = state.alerts[alert, KIND], state.alert_values[alert, LEVEL], state.alerts[alert, SIDE]
    if _is_done(state, alert):
        return
    if kind == CROSSES:
        now = (price > level) - (price < level)
        if now != 0 and now != side and (side == 0 or _fire(state, row, alert, time, now, last)):
            state.alerts[alert, SIDE] = now
        return
    direction, reference = 0, 0.0
    if kind == ABOVE:
        direction = 1 if price >= level else 0
    elif kind == BELOW:
        direction = -1 if price <= level else 0
    else:
        ring, space = state.alerts[alert, RING], state.alerts[alert, SPACE]
        if state.alerts[alert, LOWS_COUNT] > 0:
            low = state.ring_values[ring + state.alerts[alert, LOWS], 1]
            high = state.ring_values[ring + space + state.alerts[alert, HIGHS], 1]
            rise, fall = (price - low) * 100.0, (high - price) * 100.0
            if rise >= level * low * NEARLY and rise * high >= fall * low:
                direction, reference = 1, low
            elif fall >= level * high * NEARLY:
                direction, reference = -1, high
        at = time // SECOND
        _push(state, alert, LOWS, LOWS_COUNT, ring, 1.0, at, price)
        _push(state, alert, HIGHS, HIGHS_COUNT, ring + space, -1.0, at, price)
    if direction == 0:
        state.alerts[alert, SIDE] = 1
    elif side == 1 and _fire(state, row, alert, time, direction, reference):
        state.alerts[alert, SIDE] = 0
        if not state.alerts[alert, REPEATS]:
            state.alerts[alert, LOWS_COUNT] = state.alerts[alert, HIGHS_COUNT] = 0


@part
def _narrow(state: Any, symbol: int, alert: int) -> None:
    """Take an alert that is in effect into the band of its symbol."""
    kind, level, side = state.alerts[alert, KIND], state.alert_values[alert, LEVEL], state.alerts[alert, SIDE]
    if _is_done(state, alert):
        return
    low, high = -np.inf, np.inf
    if kind == MOVE or (kind == CROSSES and side == 0):
        low, high = np.inf, -np.inf
    elif kind == CROSSES:
        if side > 0:
            low = level
        else:
            high = level
    elif (kind == ABOVE) == (side == 1):
        high = np.nextafter(level, -np.inf) if kind == ABOVE else level
    else:
        low = np.nextafter(level, np.inf) if kind == BELOW else level
    state.symbol_values[symbol, BAND_LOW] = max(state.symbol_values[symbol, BAND_LOW], low)
    state.symbol_values[symbol, BAND_HIGH] = min(state.symbol_values[symbol, BAND_HIGH], high)


@part
def _watch(state: Any, row: int, symbol: int, time: int, price: float) -> int:
    """All alerts of a symbol at a trade outside of its band."""
    first, count = state.symbols[symbol, FIRST], state.symbols[symbol, COUNT]
    if state.level[0] + count > state.out.shape[0]:
        return NEED_OUT
    for alert in range(first, first + count):
        begin, end = state.alerts[alert, FROM], state.alerts[alert, UNTIL]
        if state.alerts[alert, KIND] == MOVE and begin <= time < end and not _is_done(state, alert):
            _expire(state, alert, time // SECOND - state.alerts[alert, WINDOW])
            space = state.alerts[alert, SPACE]
            if state.alerts[alert, LOWS_COUNT] == space or state.alerts[alert, HIGHS_COUNT] == space:
                return NEED_ROOM
    state.symbols[symbol, SAFE_UNTIL] = -NONE
    state.symbol_values[symbol, BAND_LOW] = -np.inf
    state.symbol_values[symbol, BAND_HIGH] = np.inf
    last = state.symbol_values[symbol, LAST]
    for alert in range(first, first + count):
        begin, end = state.alerts[alert, FROM], state.alerts[alert, UNTIL]
        if time < end:
            change = end if time >= begin else begin
            state.symbols[symbol, SAFE_UNTIL] = min(state.symbols[symbol, SAFE_UNTIL], change)
            if time >= begin:
                _look(state, row, alert, time, price, last)
                _narrow(state, symbol, alert)
    return DONE


@entry(
    types.UniTuple(types.int64, 2)(
        _STATE,
        types.int64[::1],  # symbols by key id, -1: no alerts
        types.int64,  # microseconds that a trade may be ahead of its feed
        types.int8[::1],  # kinds of rows
        types.int32[::1],  # key ids, -1: null
        types.int64[::1],  # times, microseconds
        types.float64[::1],  # prices
        types.float64[::1],  # sizes
        types.int64[::1],  # sequences, -1: none
        types.int32[::1],  # venues of marks; may be empty where there are none
        types.int64,  # row to begin at
    )
)
def watch_rows(
    state: Any,
    known: Any,
    lead: int,
    kinds: Any,
    keys: Any,
    times: Any,
    prices: Any,
    sizes: Any,
    sequences: Any,
    mark_venues: Any,
    first: int,
) -> tuple[int, int]:
    """Fold rows from `first` on; the row it stopped at, and why."""
    for row in range(first, kinds.size):
        time = times[row]
        if kinds[row] == MARK and row < mark_venues.size:
            venue = mark_venues[row]
            state.venues[venue, MARKED] = max(state.venues[venue, MARKED], time)
            if state.venues[venue, WAITING] > 0:
                return row, AT_MARK
        if kinds[row] != TRADE or keys[row] < 0 or known[keys[row]] < 0:
            continue
        symbol, price = known[keys[row]], prices[row]
        if not (0.0 < price < np.inf and 0.0 <= sizes[row] < np.inf) or time < state.symbols[symbol, BEGIN]:
            continue
        marked = state.venues[state.symbols[symbol, SYMBOL_VENUE], MARKED]
        if marked == NONE:
            continue
        if time > marked + lead:
            return row, AT_AHEAD
        newest, sequence = state.symbols[symbol, NEWEST], sequences[row]
        if time < newest or (time == newest and 0 <= sequence <= state.symbols[symbol, SEQUENCE]):
            continue
        if (
            time >= state.symbols[symbol, SAFE_UNTIL]
            or not state.symbol_values[symbol, BAND_LOW] <= price <= state.symbol_values[symbol, BAND_HIGH]
        ):
            need = _watch(state, row, symbol, time, price)
            if need != DONE:
                return row, need
        state.symbols[symbol, NEWEST] = time
        state.symbols[symbol, SEQUENCE] = (
            max(sequence, state.symbols[symbol, SEQUENCE]) if time == newest else sequence
        )
        state.symbol_values[symbol, LAST] = price
    return kinds.size, DONE
