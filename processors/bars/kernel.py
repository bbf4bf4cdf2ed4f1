"""The compiled fold of sorted trades into bars."""

import hashlib
from pathlib import Path
from typing import Any

from numba import types

from processors.candles import pool as candle_pool
from processors.candles.pool import add
from processors.candles.words import entry, part

# Words of a bar; sums are double-double, each has its low part in the next word.
SESSION, NUMBER, COUNT, OPENED, CLOSED, FIRST_SEQUENCE, LAST_SEQUENCE = 0, 1, 2, 3, 4, 5, 6
OPEN, HIGH, LOW, CLOSE, VOLUME, QUOTE_VOLUME, TAKER_BUY_VOLUME = 7, 8, 9, 10, 11, 13, 15
FULL, SERIES = 17, 18  # in a row of `out`: whether it is full; index of the symbol times specs, plus the spec
WORDS = 20

DAY = 86_400_000_000
TICK, BY_VOLUME = 0, 1
"""Kinds; the third is by value."""
ENOUGH = 1.0 - 1e-12
"""Of a threshold: the doubles of 0.3, thirty-five times, fall short of 10.5 by less."""


@part
def _write(bars: Any, row: int, full: int, out: Any, level: int) -> None:
    """Close a bar; the next one of the session begins."""
    for word in range(FULL):
        out[level, word] = bars[row, word]
    out[level, FULL] = full
    out[level, SERIES] = row
    bars[row, NUMBER] += 1
    bars[row, COUNT] = 0


@part
def _take(
    bars: Any, values: Any, row: int, time: int, price: float, size: float, buy: bool, sequence: int
) -> None:
    """One trade into an open bar, after all earlier ones."""
    if bars[row, COUNT] == 0:
        for word in range(OPEN, FULL):
            values[row, word] = 0.0
        for word in range(OPEN, CLOSE + 1):
            values[row, word] = price
        bars[row, OPENED] = time
        bars[row, FIRST_SEQUENCE] = sequence
        bars[row, LAST_SEQUENCE] = sequence
    values[row, HIGH] = max(values[row, HIGH], price)
    values[row, LOW] = min(values[row, LOW], price)
    values[row, CLOSE] = price
    bars[row, CLOSED] = time
    if sequence >= 0:
        if sequence < bars[row, FIRST_SEQUENCE] or bars[row, FIRST_SEQUENCE] < 0:
            bars[row, FIRST_SEQUENCE] = sequence
        bars[row, LAST_SEQUENCE] = max(bars[row, LAST_SEQUENCE], sequence)
    bars[row, COUNT] += 1
    add(values, row, VOLUME, size, 0.0)
    add(values, row, QUOTE_VOLUME, price * size, 0.0)
    if buy:
        add(values, row, TAKER_BUY_VOLUME, size, 0.0)


def _compile(digest: int) -> Any:
    """The entry point, cached under the digest of what it is made of; see `candles.kernel`."""

    @entry(
        types.UniTuple(types.int64, 2)(
            types.int64[:, ::1],  # open bars, by symbol and spec
            types.float64[:, ::1],  # the same memory as doubles
            types.int64[::1],  # kinds of the specs
            types.float64[::1],  # their thresholds
            types.boolean[:, ::1],  # by symbol and spec: whether such bars are built
            types.int64[:, ::1],  # trades: symbol, time, sequence, side; sorted
            types.float64[:, ::1],  # their prices and sizes
            types.int64[:, ::1],  # out: bars that are closed
            types.int64,  # trade to begin at
            types.int64,  # level of out
        )
    )
    def fold_bars(
        bars: Any,
        values: Any,
        kinds: Any,
        thresholds: Any,
        chosen: Any,
        trades: Any,
        numbers: Any,
        out: Any,
        first: int,
        level: int,
    ) -> tuple[int, int]:
        if first < 0:
            return digest, level
        specs = kinds.size
        for index in range(first, trades.shape[0]):
            if level + 2 * specs > out.shape[0]:
                return index, level
            symbol, time = trades[index, 0], trades[index, 1]
            session = time - time % DAY
            for spec in range(specs):
                if not chosen[symbol, spec]:
                    continue
                row = symbol * specs + spec
                if bars[row, SESSION] != session:
                    if bars[row, COUNT] > 0:
                        _write(bars, row, 0, out, level)
                        level += 1
                    bars[row, SESSION] = session
                    bars[row, NUMBER] = 0
                price, size = numbers[index, 0], numbers[index, 1]
                _take(bars, values, row, time, price, size, trades[index, 3] == 1, trades[index, 2])
                if kinds[spec] == TICK:
                    filled = float(bars[row, COUNT])
                elif kinds[spec] == BY_VOLUME:
                    filled = values[row, VOLUME]
                else:
                    filled = values[row, QUOTE_VOLUME]
                if filled >= thresholds[spec] * ENOUGH:
                    _write(bars, row, 1, out, level)
                    level += 1
        return trades.shape[0], level

    return fold_bars


fold_bars = _compile(
    int.from_bytes(hashlib.sha256(Path(str(candle_pool.__file__)).read_bytes()).digest()[:7], "big")
)
