"""Candles of markets that have none: of their trades by the processors' own fold, else of middle prices."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import nan
from typing import TYPE_CHECKING, Final

import numpy as np

from backtest.bars import Bars
from backtest.history import Books, History, Numbers, Quotes, Times, Trades
from infra.order_book import OrderBook
from processors.intervals import INTERVALS
from schemas.errors import ConfigurationError
from schemas.identity import split_key
from schemas.records import Micros

if TYPE_CHECKING:
    from processors.candles.batches import CandleColumns

_BOUGHT: Final = 1
"""A side of the kernel: the taker bought."""


@dataclass(frozen=True, slots=True)
class Folded:
    """Candles of one market, and which of them are not whole; those that are given are taken to be.

    Attributes:
        bars: The candles.
        incomplete: Open times of those of which trades may be missing, as before the first one, µs.
    """

    bars: Bars
    incomplete: frozenset[Micros] = frozenset()


def candles_of(history: History, market: str, interval: str) -> Folded:
    """The candles of a market: those that are given, else those that its trades, quotes or books make.

    Of trades they are those of the live pipeline. Of quotes and books they are of middle prices, and have no
    volume (nan).

    Args:
        history: Of the run.
        market: One of its markets.
        interval: Name of the interval of the candles that are made.

    Raises:
        ConfigurationError: There is no such interval, or nothing to make candles of.
    """
    if interval not in INTERVALS:
        raise ConfigurationError(f"there is no interval {interval}; there are {', '.join(INTERVALS)}")
    for bars in history.bars:
        if bars.market == market and len(bars):
            return Folded(bars)
    for trades in history.trades:
        if trades.market == market and len(trades):
            return of_trades(trades, interval)
    for quotes in history.quotes:
        if quotes.market == market:
            times, middles = middles_of_quotes(quotes)
            if times.size:
                return _of_middles(market, times, middles, interval)
    for books in history.books:
        if books.market == market:
            times, middles = middles_of_books(books)
            if times.size:
                return _of_middles(market, times, middles, interval)
    raise ConfigurationError(f"there is no price of {market}")


def of_trades(trades: Trades, interval: str) -> Folded:
    """The candles of trades; an interval without trades has none."""
    return _folded(trades.market, trades.times, trades.prices, trades.sizes, trades.sides, interval)


def middles_of_quotes(quotes: Quotes) -> tuple[Times, Numbers]:
    """Times and middle prices of the quotes that have both sides."""
    middles = (quotes.bids + quotes.asks) / 2
    known = np.isfinite(middles)
    return quotes.times[known], middles[known]


def middles_of_books(books: Books) -> tuple[Times, Numbers]:
    """Times and middle prices of a book wherever it has both sides; each change is applied once."""
    book = OrderBook(*split_key(books.market))
    times: list[int] = []
    middles: list[float] = []
    for time, update in zip(books.times.tolist(), books.updates, strict=True):
        book.apply(update)
        bid, ask = book.best_bid, book.best_ask
        if bid is not None and ask is not None:
            times.append(time)
            middles.append((bid[0] + ask[0]) / 2)
    return np.array(times, np.int64), np.array(middles, np.float64)


def _of_middles(market: str, times: Times, middles: Numbers, interval: str) -> Folded:
    nothing = np.zeros(len(times))
    found = _folded(market, times, middles, nothing, nothing, interval)
    return replace(found, bars=replace(found.bars, volumes=[nan] * len(found.bars)))


def _folded(
    market: str, times: Times, prices: Numbers, sizes: Numbers, sides: Numbers | np.ndarray, interval: str
) -> Folded:
    # A run over candles does not pay for loading the kernels.
    from processors.candles.past import past_candles

    found = past_candles(
        np.ascontiguousarray(times, np.int64),
        np.ascontiguousarray(prices, np.float64),
        np.ascontiguousarray(sizes, np.float64),
        (sides == _BOUGHT).astype(np.int64),
        np.zeros(len(times), np.int64),
        [interval],
    )
    incomplete = frozenset(found.open_times[~found.complete].tolist())
    return Folded(_bars_of(market, found, interval), incomplete)


def _bars_of(market: str, candles: CandleColumns, interval: str) -> Bars:
    opens, highs, lows, closes = (candles.prices[:, column].tolist() for column in range(4))
    volumes = candles.volumes[:, 0].tolist()
    times = candles.open_times.tolist()
    return Bars(market, times, INTERVALS[interval].length, opens, highs, lows, closes, volumes)
