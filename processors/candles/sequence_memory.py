"""Which sequences of a symbol have been seen: ranges with holes, in one table for all symbols. Compiled.

The range that holds the highest sequence has its end and its newest event time in the symbol's own row, so
the usual trade (last sequence + 1) does not ask them at all.

Of what the newest trades said digests are kept, one after the other, so that a checkpoint writes the last few
only. They are found by a table without chains: the place follows from symbol and sequence, and a later trade
may take it. What is no longer found counts as the same.
"""

from typing import Any

import numpy as np

from processors.candles.words import (
    HIGHEST,
    HIGHEST_NEWEST,
    MEMORY,
    RANGE_COUNT,
    RANGE_SPACE,
    RANGE_START,
    REMEMBERED,
    Ints,
    part,
)

_MIX, _PRICE, _SIZE, _TIME = (
    *(-4417276706812531889, 2545254862174436341, -4658895280553007687),
    7640891576956012809,
)
"""Odd numbers whose bits have no pattern."""
_APART = 40_503
"""Between the places of two symbols; trades that follow each other have places that follow each other."""


@part
def digest_of(time: int, price: float, size: float, side: int) -> int:
    """A number from what a trade says, 32 bits: others give another one, but for one in 2^32."""
    bits = np.float64(price).view(np.int64) * _PRICE + np.float64(size + 0.0).view(np.int64) * _SIZE
    bits += (time * 4 + side) * _TIME
    bits ^= bits >> 29
    return int(((bits * _MIX) >> 32) & 0xFFFFFFFF)


@part
def remember(state: Any, symbol: int, sequence: int, digest: int) -> None:
    """Keep what a trade said, in the place of the oldest one."""
    number = state.counters[REMEMBERED]
    state.digests[number & (MEMORY - 1), 0] = sequence
    state.digests[number & (MEMORY - 1), 1] = (symbol << 32) | digest
    state.places[(sequence + symbol * _APART) & (MEMORY - 1)] = number + 1
    state.counters[REMEMBERED] = number + 1


@part
def differs(state: Any, symbol: int, sequence: int, digest: int) -> bool:
    """Whether a trade is remembered under this sequence that said something else."""
    number = state.places[(sequence + symbol * _APART) & (MEMORY - 1)] - 1
    if number < 0 or number < state.counters[REMEMBERED] - MEMORY:
        return False
    kept = state.digests[number & (MEMORY - 1)]
    return bool(kept[0] == sequence and kept[1] >> 32 == symbol and kept[1] & 0xFFFFFFFF != digest)


def places_of_digests(digests: Ints, remembered: int) -> Ints:
    """The table by which digests are found, out of them.

    Args:
        digests: As the state has them.
        remembered: Trades that have ever been remembered.
    """
    numbers = np.arange(max(0, remembered - MEMORY), remembered)
    kept = digests[numbers & (MEMORY - 1)]
    places = np.zeros(MEMORY, np.int64)
    places[(kept[:, 0] + (kept[:, 1] >> 32) * _APART) & (MEMORY - 1)] = numbers + 1
    return places


@part
def _end_of(state: Any, symbol: int, index: int) -> int:
    """Last sequence of the symbol's range `index`."""
    if index == state.symbols[symbol, RANGE_COUNT] - 1:
        return int(state.symbols[symbol, HIGHEST])
    return int(state.ranges[state.symbols[symbol, RANGE_START] + index, 1])


@part
def place_of(state: Any, symbol: int, sequence: int) -> int:
    """Index of the first range that ends at the sequence or after it; their count if there is none."""
    low, high = 0, state.symbols[symbol, RANGE_COUNT]
    if high == 0 or sequence > state.symbols[symbol, HIGHEST]:
        return int(high)
    while low < high:
        middle = (low + high) // 2
        if _end_of(state, symbol, middle) < sequence:
            low = middle + 1
        else:
            high = middle
    return low


@part
def note(state: Any, symbol: int, place: int, sequence: int, time: int) -> bool:
    """Remember an unseen sequence; False, with nothing changed, when the symbol needs room for a range."""
    row = state.symbols[symbol]
    ranges = state.ranges
    start, count = row[RANGE_START], row[RANGE_COUNT]
    right = start + place
    joins_left = place > 0 and _end_of(state, symbol, place - 1) == sequence - 1
    joins_right = place < count and ranges[right, 0] == sequence + 1
    if not joins_left and not joins_right:
        if count == row[RANGE_SPACE]:
            return False
        if count > 0:  # the highest range goes home before it may stop being the highest
            ranges[start + count - 1, 1] = row[HIGHEST]
            ranges[start + count - 1, 2] = row[HIGHEST_NEWEST]
        for index in range(start + count, right, -1):
            for word in range(3):
                ranges[index, word] = ranges[index - 1, word]
        ranges[right, 0] = sequence
        ranges[right, 1] = sequence
        ranges[right, 2] = time
        row[RANGE_COUNT] = count + 1
        if place == count:
            row[HIGHEST] = sequence
            row[HIGHEST_NEWEST] = time
        return True
    if count > 0:
        ranges[start + count - 1, 1] = row[HIGHEST]
        ranges[start + count - 1, 2] = row[HIGHEST_NEWEST]
    if joins_left:
        ranges[right - 1, 1] = sequence
        ranges[right - 1, 2] = max(ranges[right - 1, 2], time)
        if joins_right:
            ranges[right - 1, 1] = ranges[right, 1]
            ranges[right - 1, 2] = max(ranges[right - 1, 2], ranges[right, 2])
            for index in range(right, start + count - 1):
                for word in range(3):
                    ranges[index, word] = ranges[index + 1, word]
            count -= 1
            row[RANGE_COUNT] = count
    else:
        ranges[right, 0] = sequence
        ranges[right, 2] = max(ranges[right, 2], time)
    row[HIGHEST] = ranges[start + count - 1, 1]
    row[HIGHEST_NEWEST] = ranges[start + count - 1, 2]
    return True
