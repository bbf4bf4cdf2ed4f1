"""Candles as a backtest reads them: columns of one market, handed out one by one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Any, Final

import msgspec
import numpy as np

from schemas.errors import ValidationError
from schemas.records import Micros

DAY_US: Final = 86_400_000_000
TOGETHER: Final = 4096
"""Candles whose columns are turned into numbers together."""
_FIRST_SATURDAY: Final = 2
"""1970-01-03, in days since the epoch."""


class ClosedCandle(msgspec.Struct, gc=False, frozen=True):
    """A closed candle, as a strategy sees it.

    Attributes:
        market: `venue:symbol`.
        open_time: Microseconds since the epoch, UTC.
        close_time: The same; the moment of the next candle's opening.
        open: First price, quote currency per unit; likewise high, low, close.
        volume: Sum of sizes, base units; nan where it is not known.
    """

    market: str
    open_time: Micros
    close_time: Micros
    open: float
    high: float
    low: float
    close: float
    volume: float


@dataclass(frozen=True, slots=True)
class Holes:
    """What a row of candles does not hold between its first and its last.

    Attributes:
        candles: How many are missing.
        places: Between how many pairs of neighbours.
        after: Open time of the candle before the widest hole, µs.
        before: Open time of the candle behind it, µs.
    """

    candles: int
    places: int
    after: Micros
    before: Micros


@dataclass(frozen=True, slots=True)
class Bars:
    """The candles of one market, oldest first.

    Attributes:
        market: `venue:symbol`.
        open_times: Microseconds.
        length: Of a candle, µs: a candle closes that much after it opens.
        opens: And so on, all of one length; lists, or arrays of doubles.
    """

    market: str
    open_times: Sequence[Micros]
    length: Micros
    opens: Sequence[float]
    highs: Sequence[float]
    lows: Sequence[float]
    closes: Sequence[float]
    volumes: Sequence[float]

    def __len__(self) -> int:
        return len(self.open_times)

    def __iter__(self) -> Iterator[ClosedCandle]:
        return chain.from_iterable(map(self._candles, range(0, len(self), TOGETHER)))

    def _candles(self, first: int) -> Iterator[ClosedCandle]:
        """The next candles of which numbers are made: columns may be arrays that a file is mapped to."""
        last = first + TOGETHER
        columns = (self.open_times, self.opens, self.highs, self.lows, self.closes, self.volumes)
        times, *prices = (_numbers(column[first:last]) for column in columns)
        length = self.length
        close_times = [time + length for time in times]
        return map(ClosedCandle, repeat(self.market), times, close_times, *prices)

    def check(self) -> None:
        """Look for what no market says.

        Raises:
            ValidationError: A price is 0 or less, a high is below its candle or a low above it, or times do
                not rise.
        """
        before = None
        for candle in self:
            low, high = candle.low, candle.high
            if not 0.0 < low <= candle.open <= high < float("inf") or not low <= candle.close <= high:
                raise ValidationError(
                    f"candle {candle.open_time} of {self.market} is none: open {candle.open}, "
                    f"high {high}, low {low}, close {candle.close}"
                )
            if before is not None and candle.open_time <= before:
                raise ValidationError(f"the candles of {self.market} do not rise in time at {before}")
            before = candle.open_time

    def holes(self) -> Holes | None:
        """What is missing; None if nothing is.

        Candles of days that never lie on a Saturday or Sunday are not missed there.
        """
        times = np.asarray(self.open_times, np.int64)
        steps = np.diff(times)
        missing = np.maximum(steps // self.length - 1, 0)
        days = times // DAY_US
        weekend = np.isin((days - _FIRST_SATURDAY) % 7, (0, 1))
        if self.length == DAY_US and not weekend.any():
            dates = days.astype("datetime64[D]")
            missing = np.maximum(np.busday_count(dates[:-1], dates[1:]) - 1, 0)
        if not missing.any():
            return None
        widest = int(np.argmax(missing))
        return Holes(
            int(missing.sum()), int(np.count_nonzero(missing)), int(times[widest]), int(times[widest + 1])
        )


def _numbers(column: Sequence[Any]) -> Sequence[Any]:
    """Python's own numbers, of an array as well: those of NumPy are slow one by one."""
    return column.tolist() if isinstance(column, np.ndarray) else column


def usual_step(open_times: Sequence[Micros]) -> Micros:
    """The most frequent step of times, the shortest of several: the length of the candles.

    Raises:
        ValidationError: There are fewer than two.
    """
    if len(open_times) < 2:
        raise ValidationError(f"the interval of candles is read from their times: got {len(open_times)}")
    steps, counts = np.unique(np.diff(np.asarray(open_times, np.int64)), return_counts=True)
    return int(steps[np.argmax(counts)])
