"""Backtests over a few trades, quotes and books, with orders at named times, for tests."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np

from backtest.book_view import BookView
from backtest.engine import Run, run
from backtest.history import Books, History, Quotes, Trades
from backtest.orders import Fill
from backtest.strategy import Strategy
from backtest.terms import Terms
from backtest.ticks import QuoteTick, TradeTick
from backtest.timers import Timer
from schemas.identity import split_key
from schemas.records import BookUpdate
from tests.backtest_runs import BEGAN, MARKET, terms_of

Act = Callable[[Any], object]
SECOND = 1_000_000
Level = tuple[float, float]


def trades_of(rows: Sequence[Sequence[float]], market: str = MARKET) -> Trades:
    """Trades of second, price, size and, if given, side."""
    times = np.array([BEGAN + round(row[0] * SECOND) for row in rows], np.int64)
    sides = np.array([row[3] if len(row) > 3 else 1 for row in rows], np.int8)
    prices, sizes = (np.array([row[column] for row in rows], np.float64) for column in (1, 2))
    return Trades(market, times, prices, sizes, sides)


def quotes_of(rows: Sequence[Sequence[float]], market: str = MARKET) -> Quotes:
    """Quotes of second, bid, its size, ask and its size."""
    times = np.array([BEGAN + round(row[0] * SECOND) for row in rows], np.int64)
    columns = (np.array([row[column] for row in rows], np.float64) for column in (1, 2, 3, 4))
    return Quotes(market, times, *columns)


def book(second: float, bids: Sequence[Level], asks: Sequence[Level], *, delta: bool = False) -> BookUpdate:
    """A snapshot, or a delta, of a book."""
    venue, symbol = split_key(MARKET)
    return BookUpdate(
        venue=venue,
        symbol=symbol,
        kind="delta" if delta else "snapshot",
        first_sequence=None,
        last_sequence=None,
        previous_sequence=None,
        bid_prices=[price for price, _ in bids],
        bid_sizes=[size for _, size in bids],
        ask_prices=[price for price, _ in asks],
        ask_sizes=[size for _, size in asks],
        checksum=None,
        event_time=BEGAN + round(second * SECOND),
        receive_time=BEGAN + round(second * SECOND),
    )


def books_of(updates: Sequence[BookUpdate]) -> Books:
    """The changes of the book of one market."""
    return Books(MARKET, np.array([each.receive_time for each in updates], np.int64), list(updates))


class _Timed(Strategy):
    """Does what a test says at seconds after the beginning; hears of nothing else."""

    def play(self, acts: Mapping[float, Act], filled: Callable[[Any, Fill], object] | None = None) -> None:
        self.acts = {BEGAN + round(second * SECOND): act for second, act in acts.items()}
        self.filled = filled
        self.orders: list[Any] = []

    def on_start(self) -> None:
        for time in self.acts:
            self.at(time)

    def on_timer(self, timer: Timer) -> None:
        assert timer.due is not None
        self.orders.append(self.acts[timer.due](self))

    def on_fill(self, fill: Fill) -> None:
        if self.filled is not None:
            self.filled(self, fill)


class _Hearing(_Timed):
    """The same, hearing of every event."""

    def on_trade(self, trade: TradeTick) -> None:
        assert trade.time

    def on_quote(self, quote: QuoteTick) -> None:
        assert quote.time

    def on_book(self, book: BookView) -> None:
        assert book.time


def play_events(
    history: History,
    acts: Mapping[float, Act],
    terms: Terms | None = None,
    filled: Callable[[Any, Fill], object] | None = None,
    *,
    hearing: bool = False,
    **options: Any,
) -> tuple[Run, Any]:
    """Run a script: what to do at which second; returns the run and the strategy."""
    strategy = _Hearing() if hearing else _Timed()
    strategy.play(acts, filled)
    return run(strategy, history, replace(terms or terms_of(1_000_000), **options)), strategy


def by_trades(rows: Sequence[Sequence[float]], acts: Mapping[float, Act], **options: Any) -> list[Any]:
    """What is filled by trades, heard of or not: second, size, price and whether as a maker."""
    return _both(History(trades=[trades_of(rows)]), acts, **options)


def by_quotes(rows: Sequence[Sequence[float]], acts: Mapping[float, Act], **options: Any) -> list[Any]:
    """What is filled by quotes, likewise."""
    return _both(History(quotes=[quotes_of(rows)]), acts, **options)


def by_books(
    updates: Sequence[BookUpdate],
    acts: Mapping[float, Act],
    trades: Sequence[Sequence[float]] = (),
    **options: Any,
) -> list[Any]:
    """What is filled by a book and trades, likewise."""
    history = History(books=[books_of(updates)], trades=[trades_of(trades)] if trades else ())
    return _both(history, acts, **options)


def _both(history: History, acts: Mapping[float, Act], **options: Any) -> list[Any]:
    found = [told(play_events(history, acts, hearing=hearing, **options)[0]) for hearing in (False, True)]
    assert found[0] == found[1]
    return found[0]


def told(run: Run) -> list[Any]:
    """Fills as a test writes them."""
    return [
        ((fill.time - BEGAN) / SECOND, float(fill.size), float(fill.price), fill.maker) for fill in run.fills
    ]


def buy(size: object = None, **how: Any) -> Act:
    """An order of the only market."""
    return lambda strategy: strategy.buy(MARKET, None if size is None else Decimal(str(size)), **how)


def sell(size: object = None, **how: Any) -> Act:
    """Likewise."""
    return lambda strategy: strategy.sell(MARKET, None if size is None else Decimal(str(size)), **how)
