"""Where candles lie in the pool: in slabs, each of one interval, filled one row after the other. Compiled.

Candles of one interval that begin together end together and are let go together. So a slab empties as a
whole, and is taken again only then; and a slab that is full of closed candles does not change any more: it is
a page of the checkpoint that need not be written again. The slab that is filled counts as a candle of its
own, so that it is not taken for an empty one.

Not cached by Numba on their own, see `pool`.
"""

from typing import Any

from processors.candles.words import HELD, SERIES, SLAB, WORDS, part


@part
def touch(state: Any, slot: int) -> None:
    """Note that a candle has changed since its slab was saved."""
    state.touched[slot // SLAB] = 1


@part
def lacks_row(state: Any, interval: int) -> bool:
    """Whether no candle of an interval can be made before the pool grows."""
    return bool(state.slabs[interval] % SLAB == 0 and state.slabs[state.intervals.shape[0]] == 0)


@part
def lacks_longer(state: Any, rows: int) -> bool:
    """Whether the pool must grow before so many candles of each longer interval can be made."""
    count = state.intervals.shape[0]
    needed = 0
    for interval in range(1, count):
        more = rows - -state.slabs[interval] % SLAB
        if more > 0:
            needed += (more + SLAB - 1) // SLAB
    return bool(needed > state.slabs[count])


@part
def _leave(state: Any, slab: int) -> None:
    state.alive[slab] -= 1
    if state.alive[slab] == 0:
        state.slabs[state.intervals.shape[0]] += 1


@part
def take_row(state: Any, interval: int) -> int:
    """A row for a new candle of an interval, all zero: the next of its slab, or the first of an empty one."""
    row = state.slabs[interval]
    if row % SLAB == 0:
        if row > 0:
            _leave(state, row // SLAB - 1)
        slab = 0
        while state.alive[slab] > 0:
            slab += 1
        state.alive[slab] = 1
        state.slabs[state.intervals.shape[0]] -= 1
        row = slab * SLAB
        for each in range(row, row + SLAB):
            for word in range(WORDS):
                state.pool[each, word] = 0  # eight zero bytes are 0.0 as well
            state.pool[each, SERIES] = -1
    state.slabs[interval] = row + 1
    state.alive[row // SLAB] += 1
    state.counters[HELD] += 1
    return int(row)


@part
def drop_row(state: Any, slot: int) -> None:
    """Let a candle go. Its row stays as it is: that it is gone follows from the last sweep of its venue."""
    _leave(state, slot // SLAB)
    state.counters[HELD] -= 1
