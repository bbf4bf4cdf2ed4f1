"""Columns of a run as charts draw them: as they are, or put together to what a page can carry.

Candles are put together as candles are: first open, highest high, lowest low, last close. Of the equity each
step keeps its last, lowest and highest value, and the deepest fall below the peak: no extreme gets lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from backtest.bars import DAY_US, Bars
from backtest.engine import Run
from backtest.statistics.benchmark import buy_and_hold
from backtest.statistics.drawdown import Floats, Times
from schemas.records import Micros

SECOND: Final = 1_000_000
LADDER: Final[Sequence[Micros]] = (
    *(number * SECOND for number in (1, 5, 15, 30)),
    *(number * 60 * SECOND for number in (1, 5, 15, 30, 60, 120, 240, 720)),
    *(DAY_US, 7 * DAY_US, 28 * DAY_US),
)
"""Lengths of steps, µs; all of them begin on Mondays."""
MONDAY: Final = 4 * DAY_US
"""1970-01-05."""


@dataclass(frozen=True, slots=True)
class Prices:
    """Candles of one market, a row a step; nan where it has none.

    Attributes:
        market: `venue:symbol`.
        opens: float64[n]; likewise highs, lows, closes.
    """

    market: str
    opens: Floats
    highs: Floats
    lows: Floats
    closes: Floats


@dataclass(frozen=True, slots=True)
class Series:
    """What charts draw, a row a step; times in which no market has candles have no steps.

    Attributes:
        starts: int64[n]: beginnings of the steps, µs.
        length: Of a step, µs.
        candles: How many candles of one market a step holds at most.
        prices: Of each market.
        equity: float64[n]: at the end of the step.
        lowest: float64[n]: of the equity within the step; likewise highest.
        under: float64[n]: deepest fall within the step, as a part of the peak before it.
        held: float64[n]: equity of buy and hold at the end of the step.
    """

    starts: Times
    length: Micros
    candles: int
    prices: Sequence[Prices]
    equity: Floats
    lowest: Floats
    highest: Floats
    under: Floats
    held: Floats

    def step_of(self, times: Times) -> Times:
        """The step in which each of some times lies, from 0; times before the first one lie there."""
        return np.maximum(np.searchsorted(self.starts, times, "right") - 1, 0)


def series_of(run: Run, most: int, markets: Sequence[str]) -> Series:
    """The columns of a run, in at most so many steps.

    Args:
        run: What came of a run.
        most: Steps.
        markets: Of which the prices are wanted.
    """
    own = min(each.length for each in run.bars)
    opened = [np.asarray(each.open_times, np.int64) for each in run.bars]
    starts = every = _distinct(np.sort(np.concatenate(opened)))
    length = own
    for longer in LADDER:
        if len(starts) <= most:
            break
        if longer > length:
            length = longer
            starts = _distinct(every - (every - MONDAY) % length)
    candles = 1 if length == own else max(int(np.bincount(_rows(starts, times)).max()) for times in opened)

    capital = float(run.terms.capital)
    peaks = np.maximum.accumulate(np.maximum(run.equity, capital))
    # A candle that closes at the end of a step belongs to it.
    rows = np.maximum(_rows(starts, run.times - 1), 0)
    first = np.flatnonzero(np.diff(rows, prepend=-1))
    known = np.searchsorted(rows[first], np.arange(len(starts)), "right") - 1
    last = np.append(first[1:], len(rows)) - 1
    return Series(
        starts,
        length,
        candles,
        [_prices(each, starts) for each in run.bars if each.market in markets],
        run.equity[last][known],
        np.minimum.reduceat(run.equity, first)[known],
        np.maximum.reduceat(run.equity, first)[known],
        np.maximum.reduceat((peaks - run.equity) / peaks, first)[known],
        buy_and_hold(run.bars, run.times, capital)[last][known],
    )


def candle_of(bars: Bars, times: Times, prices: Floats) -> Times:
    """Open times of the candles in which fills lie.

    What is filled within a candle bears the time of its close, which is the open of the next one: there the
    price says which of the two it was.
    """
    opened = np.asarray(bars.open_times, np.int64)
    at = np.maximum(np.searchsorted(opened, times, "right") - 1, 0)
    lows, highs = np.asarray(bars.lows, np.float64), np.asarray(bars.highs, np.float64)
    before = np.maximum(at - 1, 0)
    elsewhere = (opened[at] == times) & ~((lows[at] <= prices) & (prices <= highs[at]))
    fits = (lows[before] <= prices) & (prices <= highs[before])
    found: Times = opened[np.where(elsewhere & fits, before, at)]
    return found


def _distinct(times: Times) -> Times:
    """Times that do not fall, each once."""
    found: Times = times[np.diff(times, prepend=times[0] - 1) > 0]
    return found


def _rows(starts: Times, times: Times) -> Times:
    return np.searchsorted(starts, times, "right") - 1


def _prices(bars: Bars, starts: Times) -> Prices:
    rows = _rows(starts, np.asarray(bars.open_times, np.int64))
    first = np.flatnonzero(np.diff(rows, prepend=-1))
    last = np.append(first[1:], len(rows)) - 1
    columns = (
        np.asarray(bars.opens, np.float64)[first],
        np.maximum.reduceat(np.asarray(bars.highs, np.float64), first),
        np.minimum.reduceat(np.asarray(bars.lows, np.float64), first),
        np.asarray(bars.closes, np.float64)[last],
    )
    spread = np.full((4, len(starts)), np.nan)
    spread[:, rows[first]] = columns
    return Prices(bars.market, *spread)
