"""All that a run tells its strategy of, merged in the order in which it happened.

Of one time: trades first, then changes of books, quotes, funding, candles that close, and timers last. Of one
kind, markets go by name; of one market, rows go in their order. A candle that closes at a time holds no trade
of that time, and is told after it all the same: so it is live, where a candle closes once its time is over.
Candles that close at one time fill the orders of their markets, each on its path, before the first of them is
told: nobody knows a close while an order of its beginning is filled.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, repeat
from typing import Any, Final, TypeAlias

import numpy as np

from backtest.bars import TOGETHER, Bars, ClosedCandle
from backtest.history import Books, Funding, Quotes, Times, Trades
from backtest.matching.moments import Moment
from backtest.orders import Side
from backtest.ticks import QuoteTick, TradeTick
from schemas.errors import ValidationError
from schemas.records import BookUpdate, Micros

TRADE, BOOK, QUOTE, FUNDING, PATH, CANDLE, TIMER = range(7)
"""Kinds of events, in the order of those of one time."""
_SIDES: Final[tuple[Side | None, ...]] = (None, "buy", "sell")
FundingDue: TypeAlias = tuple[Micros, float, float]
"""Of funding: when it is due, µs; its rate; the mark price then, or nan."""
Event: TypeAlias = tuple[int, int, Callable[[Any], object], Any]
"""Time, µs; rank; who is to be told; of what."""


class Ranks:
    """Ranks of all rows of a run.

    Args:
        markets: All of the run.
    """

    def __init__(self, markets: Sequence[str]) -> None:
        self._places = {market: place for place, market in enumerate(sorted(markets))}

    def of(self, kind: int, market: str) -> int:
        """The rank of the rows of a kind in a market."""
        return kind * len(self._places) + self._places[market]

    @property
    def timer(self) -> int:
        """The rank of timers: behind all rows."""
        return TIMER * len(self._places)

    @property
    def end(self) -> int:
        """A rank behind everything."""
        return self.timer + 1


def of_candles(bars: Bars, rank: int, tell: Callable[[ClosedCandle], object]) -> Iterable[Event]:
    """Candles, each at its close."""
    times = chain.from_iterable(
        (np.asarray(bars.open_times[first : first + TOGETHER], np.int64) + bars.length).tolist()
        for first in range(0, len(bars), TOGETHER)
    )
    return zip(times, repeat(rank), repeat(tell), bars)


def of_trades(trades: Trades, rank: int, tell: Callable[[TradeTick], object]) -> Iterable[Event]:
    """Trades, one by one."""
    return chain.from_iterable(
        _events(
            trades.times[part],
            rank,
            tell,
            map(
                TradeTick,
                repeat(trades.market),
                trades.times[part].tolist(),
                trades.prices[part].tolist(),
                trades.sizes[part].tolist(),
                map(_SIDES.__getitem__, trades.sides[part].tolist()),
            ),
        )
        for part in _parts(len(trades))
    )


def of_quotes(quotes: Quotes, rank: int, tell: Callable[[QuoteTick], object]) -> Iterable[Event]:
    """Quotes, one by one."""
    return chain.from_iterable(
        _events(
            quotes.times[part],
            rank,
            tell,
            map(
                QuoteTick,
                repeat(quotes.market),
                quotes.times[part].tolist(),
                quotes.bids[part].tolist(),
                quotes.bid_sizes[part].tolist(),
                quotes.asks[part].tolist(),
                quotes.ask_sizes[part].tolist(),
            ),
        )
        for part in _parts(len(quotes))
    )


def of_books(books: Books, rank: int, tell: Callable[[BookUpdate], object]) -> Iterable[Event]:
    """Changes of a book."""
    return _events(books.times, rank, tell, books.updates)


def of_funding(funding: Funding, rank: int, tell: Callable[[FundingDue], object]) -> Iterable[Event]:
    """Payments of funding."""
    return _events(funding.times, rank, tell, payments_of(funding))


def payments_of(funding: Funding) -> Iterator[FundingDue]:
    """Payments one by one."""
    return zip(funding.times.tolist(), funding.rates.tolist(), funding.marks.tolist(), strict=True)


def merged(rows: Sequence[Iterable[Event]]) -> Iterable[Event]:
    """Events of several rows in the order of their moments."""
    # Ranks differ between rows, so that nothing behind them is ever compared.
    return rows[0] if len(rows) == 1 else heapq.merge(*rows)


def check_times(times: Times, what: str) -> Moment:
    """First and last time of rows.

    Raises:
        ValidationError: Times fall.
    """
    if np.any(times[1:] < times[:-1]):
        raise ValidationError(f"the times of {what} fall: rows are given in the order of event time")
    return int(times[0]), int(times[-1])


def _events(
    times: Times, rank: int, tell: Callable[[Any], object], items: Iterable[object]
) -> Iterator[Event]:
    return zip(times.tolist(), repeat(rank), repeat(tell), items)


def _parts(rows: int) -> Iterator[slice]:
    return (slice(first, first + TOGETHER) for first in range(0, rows, TOGETHER))
