"""Candles of trades that are all known: the builder of the stream, fed with all of them at once."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from processors.candles.batches import CandleColumns, CandleRows, RowKind
from processors.candles.builder import CandleBuilder
from processors.candles.rules import CandleRules
from processors.candles.words import Floats, Ints
from processors.intervals import INTERVALS, Interval, intervals_of
from schemas.errors import ConfigurationError
from schemas.records import TimeMark

T = TypeVar("T", bound=np.generic)

PORTION = 50_000
"""Trades between two marks: so many are open at once, whatever the file's length."""

_VENUE = "file"
_MINUTE = INTERVALS["1m"]
_FAR = 1 << 53


def past_candles(
    times: Ints,
    prices: Floats,
    sizes: Floats,
    sides: Ints,
    symbols: Ints,
    intervals: Sequence[str],
    *,
    carry: bool = False,
) -> CandleColumns:
    """Candles of trades, by the rules of the stream but for lateness: here no trade is late.

    The trades are taken to be whole from the beginning of the minute of the first one to the end of the
    minute of the last one, or of the shortest interval where that is shorter: candles that reach beyond are
    marked as incomplete.

    Args:
        times: Event times, microseconds, ascending; of the order within a candle.
        prices: Likewise in this order.
        sizes: In base units.
        sides: 1: the aggressor bought.
        symbols: Index of the symbol of each trade.
        intervals: Names.
        carry: Whether intervals without trades between those of a symbol have candles.

    Returns:
        Candles sorted by symbol, interval and open time; the name of a symbol is its index in digits. Their
        sequences are the places of the trades among those of their symbol.

    Raises:
        ConfigurationError: An interval is unknown or repeated.
    """
    chosen = _divisible(intervals)
    builder = CandleBuilder(CandleRules(chosen, grace=0, hold=0, lead=_FAR, carry=carry))
    unit = min(chosen[0], _MINUTE, key=lambda interval: interval.length)
    began, ended = unit.open_time(int(times[0])), unit.open_time(int(times[-1])) + unit.length
    keys = [f"{_VENUE}:{index:09d}" for index in range(int(symbols.max()) + 1)]
    places = _places(symbols)
    parts = []
    first: list[TimeMark] = [TimeMark(_VENUE, _VENUE, began, False, "")]
    for start in range(0, len(times), PORTION):
        chunk = slice(start, start + PORTION)
        last = start + PORTION >= len(times)
        mark = TimeMark(_VENUE, _VENUE, ended if last else int(times[chunk][-1]), last, "")
        marks = [*first, mark]
        ids = _with_marks(symbols[chunk], len(first))
        moments = _with_marks(times[chunk], len(first))
        kinds = _with_marks(np.full(len(ids) - len(marks), RowKind.TRADE, np.int8), len(first))
        at = [*range(len(first)), len(ids) - 1]
        kinds[at] = RowKind.MARK
        moments[at] = [each.time for each in marks]
        rows = CandleRows(
            keys=keys,
            kinds=kinds,
            key_ids=ids.astype(np.int32),
            times=moments,
            prices=_with_marks(prices[chunk], len(first)),
            sizes=_with_marks(sizes[chunk], len(first)),
            sides=_with_marks(sides[chunk], len(first)),
            sequences=_with_marks(places[chunk], len(first)),
            offsets=np.zeros(len(ids), np.int64),
            marks=dict(zip(at, marks, strict=True)),
        )
        parts.append(builder.fold(rows).candles)
        first = []
    return CandleColumns.joined(parts, intervals)


def _divisible(names: Sequence[str]) -> tuple[Interval, ...]:
    """The intervals, and a minute where they have no common part: all longer ones are made of minutes."""
    try:
        return intervals_of(names)
    except ConfigurationError:
        return intervals_of([_MINUTE.name, *names])


def _with_marks(column: npt.NDArray[T], before: int) -> npt.NDArray[T]:
    """A column with empty rows before and one after."""
    return np.concatenate((np.zeros(before, column.dtype), column, np.zeros(1, column.dtype)))


def _places(symbols: Ints) -> Ints:
    """How many trades of the same symbol stand before each."""
    order = np.argsort(symbols, kind="stable")
    counts = np.bincount(symbols)
    places = np.empty(len(symbols), np.int64)
    places[order] = np.arange(len(symbols)) - np.repeat(np.cumsum(counts) - counts, counts)
    return places
