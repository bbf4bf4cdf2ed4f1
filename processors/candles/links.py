"""What is there in a pool that was loaded: candles by series and age, and what pends. Compiled.

Saved are the rows alone. Links, fill levels and pending candles follow from them, and which candles have been
let go follows from the last sweep of their venues.
"""

import hashlib
from pathlib import Path
from typing import Any

from numba import types

from processors.candles import words as candle_words
from processors.candles.words import (
    FLAGS,
    GRACE,
    HELD,
    HOLD,
    NEWER,
    NONE,
    OLDER,
    OPEN_TIME,
    PENDING,
    PENDING_LEVEL,
    SERIES,
    SLAB,
    STATE,
    SWEEP,
    SWEPT,
    VENUE,
    entry,
    part,
)


@part
def _insert(state: Any, series: int, slot: int) -> None:
    """Put a candle into the list of its series; quick if it is among the newest."""
    pool = state.pool
    newer = -1
    older = state.heads[series]
    while older >= 0 and pool[older, OPEN_TIME] > pool[slot, OPEN_TIME]:
        newer = older
        older = pool[older, OLDER]
    pool[slot, NEWER], pool[slot, OLDER] = newer, older
    if newer >= 0:
        pool[newer, OLDER] = slot
    else:
        state.heads[series] = slot
    if older >= 0:
        pool[older, NEWER] = slot
    else:
        state.tails[series] = slot


def _compile(digest: int) -> Any:
    """The entry point, cached under the digest of its sources."""

    @entry(types.int64(STATE, types.int64[::1]))
    def link_slabs(state: Any, slabs: Any) -> int:
        """Link the candles of slabs that come by age; returns how many there are."""
        if slabs.size and slabs[0] < 0:
            return digest
        count = state.intervals.shape[0]
        level = held = 0
        for slab in slabs:
            for row in range(slab * SLAB, (slab + 1) * SLAB):
                series = state.pool[row, SERIES]
                if series < 0:
                    continue
                interval, venue = series % count, state.symbols[series // count, VENUE]
                due = state.pool[row, OPEN_TIME] + state.intervals[interval, 0] + state.rules[GRACE]
                swept = state.venues[venue, SWEPT]
                if swept != NONE and due + state.rules[HOLD] <= swept * state.rules[SWEEP]:
                    continue
                _insert(state, series, row)
                held += 1
                state.alive[slab] += 1
                if state.pool[row, FLAGS] & PENDING:
                    state.pending[level, 0] = row
                    state.pending[level, 1] = due
                    state.pending[level, 2] = venue
                    state.pending[level, 3] = interval
                    level += 1
        state.counters[HELD] = held
        state.counters[PENDING_LEVEL] = level
        return held

    return link_slabs


def _digest() -> int:
    content = b"".join(Path(str(module)).read_bytes() for module in (__file__, candle_words.__file__))
    return int.from_bytes(hashlib.sha256(content).digest()[:7], "big")


link_slabs = _compile(_digest())
