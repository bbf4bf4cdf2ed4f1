"""Which sequences of a symbol have been seen: ranges with holes, in one table for all symbols. Compiled.

The range that holds the highest sequence has its end and its newest event time in the symbol's own row, so
the usual trade (last sequence + 1) does not come here at all.
"""

from typing import Any

from processors.candle_words import (
    HIGHEST,
    HIGHEST_NEWEST,
    RANGE_COUNT,
    RANGE_SPACE,
    RANGE_START,
    part,
)


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
